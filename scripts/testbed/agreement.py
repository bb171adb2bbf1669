"""Real time beside replay and live shaping, and bytes on the link beside the meter's: what netcheck judges, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

TOLERANCE = 0.05
TOLERANCE_BEYOND_WINDOW = 0.10
INITIAL_WINDOW = 10 * 1448
"""Bytes that TCP sends before it waits for the first acknowledgement [RFC 6928]: ten segments of 1500-byte packets."""


Middle = Callable[[Sequence[float]], float]
"""What stands for the times of many queries: the median, or `min` where others use the machine as well."""


@dataclass(frozen=True)
class Times:
    """Seconds of one case, a query an entry: over real TCP, as `replay` says, with live shaping."""

    real: Sequence[float]
    replay: Sequence[float]
    live: Sequence[float]

    def off(self, way: str, middle: Middle = median) -> float:
        """Return by how much "replay" or "live" differs from the real times; `middle` stands for many of them."""
        return middle(getattr(self, way)) / middle(self.real) - 1


@dataclass(frozen=True)
class LinkBytes:
    """Bytes of one link: what the meter counted, what left the sender, what came to the receiver."""

    metered: int
    sent: int
    arrived: int

    @property
    def equal(self) -> bool:
        """True if all three are the same."""
        return self.metered == self.sent == self.arrived


@dataclass(frozen=True)
class Case:
    """One engine under one network.

    Attributes:
        engine, net, batch, network, way, congestion: what was run, how the links were made, TCP's congestion control.
        insecure: the group offers no security.
        largest: bytes of the largest message of the online phase, header included.
        times: see `Times`.
        links: "E1->E2" -> its bytes over the whole run, control frames included.
        again: bytes that TCP sent more than once; they are not in `links`.
        lost: packets that the capture did not see; above 0 the bytes say nothing.
        late: milliseconds by which packets were later than the shape says: median, 99 in 100, most; empty if unknown.
        load: the machine's load average when the case began.
    """

    engine: str
    net: str
    batch: int
    network: str
    way: str
    congestion: str
    insecure: bool
    largest: int
    times: Times
    links: Mapping[str, LinkBytes]
    again: int
    lost: int
    late: Sequence[float] = ()
    load: float = 0.0

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Case:
        """Return the case that `to_json` wrote. Raises KeyError or TypeError for anything else."""
        return cls(
            **{name: row[name] for name in ("engine", "net", "batch", "network", "way", "insecure", "late", "load")},
            congestion=row["congestion_control"],
            largest=row["largest_message"],
            times=Times(**row["seconds"]),
            links={link: LinkBytes(**b) for link, b in row["links"].items()},
            again=row["sent_again"],
            lost=row["lost_by_capture"],
        )

    @property
    def beyond_window(self) -> bool:
        """True if a message exceeds TCP's initial window: on a link that was idle it takes more round trips."""
        return self.largest > INITIAL_WINDOW

    @property
    def tolerance(self) -> float:
        """By how much times may differ."""
        return TOLERANCE_BEYOND_WINDOW if self.beyond_window else TOLERANCE

    def problems(self, middle: Middle = median) -> list[str]:
        """Return whatever is not as it should be, a sentence each."""
        where = f"{self.engine} at {self.network} ({self.way})"
        found = [
            f"{where}: {way} differs from real time by {self.times.off(way, middle):+.1%}, above {self.tolerance:.0%}"
            for way in ("replay", "live")
            if abs(self.times.off(way, middle)) > self.tolerance
        ]
        found += [
            f"{where}: {link}: metered {b.metered}, sent {b.sent}, arrived {b.arrived} bytes"
            for link, b in self.links.items()
            if not b.equal
        ]
        if self.lost:
            found.append(f"{where}: the capture lost {self.lost} packets, so its bytes say nothing: run again")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the case as a part of netcheck's document."""
        return {
            "engine": self.engine,
            "net": self.net,
            "batch": self.batch,
            "network": self.network,
            "way": self.way,
            "congestion_control": self.congestion,
            "insecure": self.insecure,
            "largest_message": self.largest,
            "beyond_initial_window": self.beyond_window,
            "tolerance": self.tolerance,
            "seconds": {way: list(getattr(self.times, way)) for way in ("real", "replay", "live")},
            "median": {way: median(getattr(self.times, way)) for way in ("real", "replay", "live")},
            "least": {way: min(getattr(self.times, way)) for way in ("real", "replay", "live")},
            "off": {way: self.times.off(way) for way in ("replay", "live")},
            "links": {link: vars(b) for link, b in self.links.items()},
            "sent_again": self.again,
            "lost_by_capture": self.lost,
            "late": list(self.late),
            "load": self.load,
            "problems": self.problems(),
        }


HEADINGS = (
    "engine", "net", "network", "links", "real ms (least)", "replay ms", "live ms", "replay", "live", "allowed",
    "packets late by ms: median, 99 %, most", "bytes",
)  # fmt: skip


def table(cases: Sequence[Case], middle: Middle = median) -> str:
    """Return the cases as a Markdown table; times in milliseconds."""
    rows = ["| " + " | ".join(HEADINGS) + " |", 4 * "|---" + 7 * "|---:" + "|---|"]
    rows += [_row(case, middle) for case in cases]
    if any(case.beyond_window for case in cases):
        rows.append(
            f"\n\\* a message exceeds TCP's initial window of {INITIAL_WINDOW:,} bytes: replay and live have `,tcp`"
        )
    return "\n".join(rows)


def _row(case: Case, middle: Middle) -> str:
    t, same = case.times, sum(b.equal for b in case.links.values())
    total = sum(b.metered for b in case.links.values())
    return (
        f"| {case.engine}{' INSECURE' if case.insecure else ''} | {case.net} | {case.network} | {case.way} "
        f"| {1e3 * middle(t.real):.1f} ({1e3 * min(t.real):.1f}) | {1e3 * middle(t.replay):.1f} "
        f"| {1e3 * middle(t.live):.1f} | {t.off('replay', middle):+.1%} | {t.off('live', middle):+.1%} "
        f"| {case.tolerance:.0%}{' *' if case.beyond_window else ''} "
        f"| {', '.join(f'{x:.2f}' for x in case.late) or '-'} "
        f"| equal on {same} of {len(case.links)} links, {total:,} B |"
    )
