"""The log: one JSON object a line, to standard error or to a file."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path

from parties.operation.append_file import AppendFile
from parties.operation.events import line_of

Clock = Callable[[], dt.datetime]
BURST, SPAN_SECONDS = 20, 10.0
"""So many events of a kind that strangers and clients can cause are written in so many seconds; others are counted."""


def utc_now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


class JsonLog:
    """Writes whitelisted events; a file that cannot be written loses its lines to standard error, and nothing stops.

    Args:
        party: whose log it is.
        path: the file; None: standard error.
        now: the clock.
    """

    def __init__(self, party: str, path: Path | None, now: Clock = utc_now) -> None:
        self._party, self._now = party, now
        self._file = None if path is None else AppendFile(path)

    def write(self, event: str, **fields: object) -> None:
        """Write one event with its fields. Raises TypeError for fields that are not the event's, and KeyError."""
        self._put(line_of(self._now(), self._party, event, fields))

    def _put(self, line: str) -> None:
        if self._file is not None:
            try:
                self._file.write(line)
            except OSError as error:
                _to_stderr(f"the log {self._file.path} cannot be written: {error.strerror}")
            else:
                return
        _to_stderr(line)

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()


class Damped:
    """Writes events that strangers and clients can cause, so many in a while: a flood must not fill the disk.

    Args:
        log: where to.
        event: the kind of event.
        seconds: the clock of the event loop.
    """

    def __init__(self, log: JsonLog, event: str, seconds: Callable[[], float]) -> None:
        self._log, self._event, self._seconds = log, event, seconds
        self._since, self._written, self._left_out = seconds(), 0, 0

    def write(self, **fields: object) -> None:
        """Write the event, or count it."""
        self.tick()
        if self._written < BURST:
            self._written += 1
            self._log.write(self._event, **fields)
        else:
            self._left_out += 1

    def tick(self) -> None:
        """Begin a new span if it is time."""
        if self._seconds() - self._since >= SPAN_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Say how many were left out, and begin a new span."""
        if self._left_out:
            self._log.write("left_out", of=self._event, count=self._left_out)
        self._since, self._written, self._left_out = self._seconds(), 0, 0


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
