"""The audit log: who asked what of which model, and how it ended; each line has the hash of the line before it.

Chaining lines by a hash follows [HS91] and [SK99]. It shows that a line was changed, left out, added or moved after
those that follow it were written. It does not show that the last lines were cut off, or that whoever controls the
machine wrote the whole file anew: for that the head (the hash of the last line) must be kept elsewhere. It is written
to the log from time to time for that purpose, and `pehealth audit verify --head` asks whether it is still there.

A line has no content: neither readings nor results, nor anything that was sent.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path

from parties.operation.append_file import AppendFile
from parties.operation.events import checked, moment
from parties.operation.log import Clock, utc_now
from pehealth.errors import ConfigError

ANEW = "0" * 64
"""In place of the hash of the line before: there is none."""
WAITING = 10_000
"""Lines that are kept while the disk takes none; older ones are then lost, which the chain's numbers show."""
MOVED = "the file was moved or deleted while in use; a restart begins another"
TAIL_BYTES = 65_536
LINE_FIELDS = (
    "number",
    "time",
    "party",
    "event",
    "who",
    "deployment",
    "model",
    "version",
    "query",
    "outcome",
    "previous",
)


def hash_of(line: bytes) -> str:
    """Return the name of a line in the next one: SHA-256 of its bytes without the line break, in hex."""
    return hashlib.sha256(line).hexdigest()


class AuditLog:
    """Appends to a chain, for one process at a time.

    Every line is given to the system at once, so it outlives a kill -9; `sync` brings it to the disk.

    Args:
        path: the file; a chain that is there goes on.
        party: whose log it is.
        now: the clock.

    Raises:
        ConfigError: the file cannot be used, or another process writes to it.
    """

    def __init__(self, path: Path, party: str, now: Clock = utc_now) -> None:
        self.party, self._now = party, now
        try:
            self._file = AppendFile(path)
            _lock(self._file)
            self.number, self.head = _last(self._file)
        except BlockingIOError as error:
            raise ConfigError(f"audit log {path}: another process writes to it; each party needs its own") from error
        except OSError as error:
            raise ConfigError(f"audit log {path} cannot be used: {error.strerror}") from error
        self._waiting: list[str] = []
        self.failure = ""
        """Why the last line could not be written; empty: it was."""
        self._synced = self.number
        self._append("started", "", "", "", 0, 0, "ok")

    def query(self, who: str, deployment: str, model: str, version: int, query: int, outcome: str) -> None:
        """Keep how a query ended."""
        self._append("query", who, deployment, model, version, query, outcome)

    def deployed(self, deployment: str, model: str, version: int) -> None:
        """Keep that a deployment is in use from now on."""
        self._append("deployed", "", deployment, model, version, 0, "ok")

    def retired(self, deployment: str, model: str, version: int, queries: int) -> None:
        """Keep that a deployment was deleted after so many queries."""
        self._append("retired", "", deployment, model, version, queries, "ok")

    def _append(
        self, event: str, who: str, deployment: str, model: str, version: int, query: int, outcome: str
    ) -> None:
        row = {
            "number": self.number + 1, "time": moment(self._now()), "party": self.party, "event": event,
            "who": checked("who", who), "deployment": checked("deployment", deployment),
            "model": checked("model", model), "version": checked("version", version), "query": checked("query", query),
            "outcome": checked("outcome", outcome), "previous": self.head,
        }  # fmt: skip
        line = json.dumps(row, separators=(",", ":"))
        self.number, self.head = self.number + 1, hash_of(line.encode())
        self._waiting.append(line)
        del self._waiting[:-WAITING]
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the system takes it; why not is then in `failure`."""
        try:
            moved = self._file.moved()
            while self._waiting and not moved:
                self._file.write(self._waiting[0])
                del self._waiting[0]
            self._file.finish()
        except OSError as error:
            self.failure = error.strerror or type(error).__name__
        else:
            self.failure = MOVED if moved else ""

    def sync(self) -> None:
        """Bring all lines to the disk; blocks for milliseconds, so call it from a thread."""
        number = self.number
        if number != self._synced:
            self._file.sync()
            self._synced = number

    def close(self) -> None:
        """Keep that the party has stopped, and write no more."""
        self._append("stopped", "", "", "", 0, 0, "ok")
        self.sync()
        self._file.close()


def _lock(file: AppendFile) -> None:
    fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _last(file: AppendFile) -> tuple[int, str]:
    """Return number and hash of the last line; one that the machine's death tore is ended, so the chain goes on."""
    size = os.fstat(file.descriptor).st_size
    tail = os.pread(file.descriptor, TAIL_BYTES, max(size - TAIL_BYTES, 0))
    if not tail:
        return 0, ANEW
    if not tail.endswith(b"\n"):
        os.write(file.descriptor, b"\n")
        tail += b"\n"
    lines = tail[:-1].split(b"\n")
    numbers = (number_of(line) for line in reversed(lines))
    return next((n + back for back, n in enumerate(numbers) if n), 0), hash_of(lines[-1])


def number_of(line: bytes) -> int:
    """Return the number of a line, 0 if it is none of ours."""
    row = read_line(line)
    number = row.get("number") if row else None
    return number if type(number) is int and number > 0 else 0


def read_line(line: bytes) -> dict[str, object] | None:
    """Return a line's fields; None if it is none of ours."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and tuple(row) == LINE_FIELDS else None
