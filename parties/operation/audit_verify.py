"""Reading an audit log back: is every line still what it was, and what do they say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parties.operation.audit import ANEW, hash_of, read_line
from pehealth.errors import ConfigError, PehealthError

LINE_BYTES = 65_536
MOST_PROBLEMS = 20


class AuditBroken(PehealthError):
    """An audit log is not what was written; every place that shows it is in `problems`, up to 20."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"the audit log is not what was written: {'; '.join(problems)}")


@dataclass
class AuditSummary:
    """What an audit log says.

    Attributes:
        lines: how many there are.
        begins: hash of the line before the first; `ANEW` if there was none.
        head: hash of the last line: to be kept elsewhere.
        first: time of the first line.
        last: time of the last line.
        queries: (model, version, outcome) -> number of queries.
        events: event -> number of lines.
        submitters: who -> number of queries.
        torn: places of lines that the machine's death cut.
    """

    lines: int = 0
    begins: str = ANEW
    head: str = ANEW
    first: str = ""
    last: str = ""
    queries: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    submitters: Counter[str] = field(default_factory=Counter)
    torn: list[str] = field(default_factory=list)


def verify(paths: Sequence[Path], heads: Sequence[str] = ()) -> AuditSummary:
    """Check that the lines of the files, in this order, form one chain.

    Args:
        paths: files of one party, the oldest first.
        heads: hashes that were kept elsewhere and must be in the chain.

    Returns:
        What the lines say.

    Raises:
        AuditBroken: naming each place where the chain is broken.
        ConfigError: a file cannot be read.
    """
    reading = _Reading()
    missing = {head.lower() for head in heads}
    for path in paths:
        try:
            with path.open("rb") as file:
                number = 0
                while line := file.readline(LINE_BYTES):
                    number += 1
                    reading.take(f"{path} line {number}", line)
                    missing.discard(reading.summary.head)
        except OSError as error:
            raise ConfigError(f"audit log {path} cannot be read: {error.strerror}") from error
    reading.end()
    reading.problems += [f"the line with the hash {head} is not there: lines were cut off" for head in sorted(missing)]
    if reading.problems:
        raise AuditBroken(reading.problems[:MOST_PROBLEMS])
    return reading.summary


class _Reading:
    """The state of a walk along the chain."""

    def __init__(self) -> None:
        self.summary = AuditSummary()
        self.problems: list[str] = []
        self._number = 0
        self._unread = ""
        """Place of the line before, if it is none of ours: only a torn one can be."""

    def take(self, place: str, line: bytes) -> None:
        """Take the next line, with its line break."""
        summary = self.summary
        row = read_line(line) if line.endswith(b"\n") else None
        if row is not None:
            self._link(place, row)
            self._count(row)
        elif self._unread:
            self.problems.append(f"{self._unread} is no line of an audit log")
        self._unread = "" if row else place
        self._number += 1
        summary.lines += 1
        summary.head = hash_of(line.removesuffix(b"\n"))

    def end(self) -> None:
        """Take note that no line follows: the last may be torn."""
        if self._unread:
            self.summary.torn.append(self._unread)

    def _link(self, place: str, row: dict[str, object]) -> None:
        summary = self.summary
        number = row["number"]
        if summary.lines == 0:
            summary.begins, summary.first = str(row["previous"]), str(row["time"])
            self._number = number - 1 if type(number) is int else 0
            if (summary.begins == ANEW) != (number == 1):
                self.problems.append(f"{place} is number {number!r}, and says that the line before is {summary.begins}")
        elif row["previous"] != summary.head:
            self.problems.append(f"{place} does not follow the line before: one was changed, left out, added or moved")
        elif self._unread and row["event"] != "started":
            self.problems.append(f"{self._unread} is no line of an audit log")
        elif self._unread:
            summary.torn.append(self._unread)
        if number != self._number + 1:
            self.problems.append(f"{place} is number {number!r}, expected {self._number + 1}")
            self._number = number - 1 if type(number) is int else self._number

    def _count(self, row: dict[str, object]) -> None:
        summary = self.summary
        summary.last = str(row["time"])
        summary.events[str(row["event"])] += 1
        if row["event"] == "query":
            version = row["version"]
            kind = str(row["model"]), version if type(version) is int else 0, str(row["outcome"])
            summary.queries[kind] += 1
            summary.submitters[str(row["who"])] += 1
