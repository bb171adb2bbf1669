"""What was measured of one system at one batch and latency, kept as JSON so that a stopped comparison goes on."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from testbed.capture import Capture

FORMAT = 2
CLEAR = 0.0015
"""Seconds at the ends of a gap that count as the query's: the capture sorts bytes by the millisecond."""


Span = tuple[float, float]
"""When a query began and ended, on the monotonic clock."""


@dataclass(frozen=True)
class Moved:
    """Bytes of all that a run sent, as `Run` names them."""

    links: Mapping[str, int]
    before: int
    between: int | None

    @classmethod
    def of(cls, capture: Capture, spans: Sequence[Span], warm: int) -> Moved:
        """Return what was seen on the links, for the queries after the first `warm`."""
        links = {
            link: round(median(seen.between(*span) for span in spans[warm:])) for link, seen in capture.sent.items()
        }
        gaps = [(a[1] + CLEAR, b[0] - CLEAR) for a, b in itertools.pairwise(spans)]
        between = [sum(seen.between(*gap) for seen in capture.sent.values()) for gap in gaps]
        return cls(
            {link: size for link, size in links.items() if size},
            sum(seen.between(0, spans[0][0]) for seen in capture.sent.values()),
            round(median(between)) if between else None,
        )


@dataclass(frozen=True)
class Run:
    """One run; all times in seconds, all bytes those of TCP's payload, each counted once.

    Attributes:
        system: its key.
        batch: images in a query.
        latency: of every link, one way.
        online: of the queries that count, from the sharing of the images to the opened logits, the slowest party.
        offline: of the same queries, what was made for them ahead; zeros if nothing was.
        cold: from the first connection to the first answer: set-up, sharing of the model, first query.
        links: "P0->P1" -> bytes online of a query, the median.
        before: bytes of everything before the first query, all links.
        between: bytes between a query and the next, all links: what is made ahead; None if only one query ran.
        rounds: as the system counts them itself.
        error: the largest difference of a logit from the plain network with floating-point numbers.
        own_error: the same, from the plain form of the system's own network, where that is another one.
        same: images whose class is the plain one.
        versions: of what ran.
        load: the machine's load average when it began.
        failed: why there are no figures; "" if there are.
        at: when, in seconds of the epoch.
    """

    system: str
    batch: int
    latency: float
    online: tuple[float, ...] = ()
    offline: tuple[float, ...] = ()
    cold: float = 0.0
    links: Mapping[str, int] = field(default_factory=dict)
    before: int = 0
    between: int | None = None
    rounds: int | None = None
    error: float = 0.0
    own_error: float | None = None
    same: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    load: float = 0.0
    failed: str = ""
    at: float = field(default_factory=time.time)

    @property
    def seconds(self) -> float:
        """Return the median of the online times."""
        return median(self.online)

    @property
    def total_bytes(self) -> int:
        """Return the bytes online of all links."""
        return sum(self.links.values())

    @property
    def busiest(self) -> int:
        """Return the bytes online of the direction that carries most."""
        return max(self.links.values(), default=0)


Key = tuple[str, int, float]


class Kept:
    """The runs of a comparison, in a file that is written after each of them.

    Args:
        file: where they are; a file of another format is as good as none.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.runs: dict[Key, Run] = {}
        try:
            document = json.loads(file.read_text())
            rows = document["runs"] if document["format"] == FORMAT else []
            self.runs = {key_of(run): run for run in map(from_json, rows)}
        except (OSError, ValueError, KeyError, TypeError):
            self.runs = {}

    def get(self, key: Key) -> Run | None:
        """Return a run that succeeded; a failed one is tried again."""
        run = self.runs.get(key)
        return None if run is None or run.failed else run

    def forget(self, systems: Iterable[str]) -> None:
        """Begin anew with these systems."""
        gone = set(systems)
        self.runs = {key: run for key, run in self.runs.items() if key[0] not in gone}
        self._write()

    def put(self, run: Run) -> None:
        """Keep a run."""
        self.runs[key_of(run)] = run
        self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"format": FORMAT, "runs": [asdict(run) for run in self.runs.values()]}, indent=1))
        new.replace(self._file)


def key_of(run: Run) -> Key:
    """Return what a run is filed under."""
    return run.system, run.batch, run.latency


def from_json(row: Mapping[str, Any]) -> Run:
    """Return a run from its JSON object. Raises TypeError for other fields, KeyError for missing ones."""
    return Run(**{**row, "online": tuple(row["online"]), "offline": tuple(row["offline"])})
