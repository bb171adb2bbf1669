"""The meters of all rooms as counters that only grow: read when somebody asks, kept when a room has gone."""

from __future__ import annotations

from dataclasses import dataclass

from pehealth.config import Party
from transport.interfaces import Phase
from transport.meter import Meter, MeterReport, Traffic

SENT, RECEIVED = "sent", "received"
Place = tuple[str, str]
"""Peer and direction."""


def group_of(peer: str) -> str:
    """Return a peer's name as a label: sensors are many, and when each of them sends is nobody's business."""
    return str(Party.HMS) if peer.startswith(Party.HMS) else peer


@dataclass(frozen=True, slots=True)
class LinkTotals:
    """What went over all links with one peer, in one direction.

    Attributes:
        payload: bytes of messages.
        framing: bytes of their headers.
        control: bytes of handshakes, keepalives, aborts and goodbyes, headers included.
        messages: number of messages, control frames left out.
    """

    payload: int = 0
    framing: int = 0
    control: int = 0
    messages: int = 0

    def __add__(self, other: LinkTotals) -> LinkTotals:
        return LinkTotals(
            self.payload + other.payload,
            self.framing + other.framing,
            self.control + other.control,
            self.messages + other.messages,
        )


class TrafficWatch:
    """All meters of a party."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}
        self._gone: dict[Place, LinkTotals] = {}

    def watch(self, room: str, meter: Meter) -> None:
        """Read a room's meter from now on. What an earlier one of the same room has counted is kept."""
        if self._meters.get(room) is not meter:
            self.forget(room)
            self._meters[room] = meter

    def forget(self, room: str) -> None:
        """Read a room's meter for the last time."""
        meter = self._meters.pop(room, None)
        if meter is not None:
            _add(self._gone, meter.report())

    def totals(self) -> dict[Place, LinkTotals]:
        """Return what was counted since the start, over all rooms."""
        sums = dict(self._gone)
        for meter in self._meters.values():
            _add(sums, meter.report())
        return sums


def _add(sums: dict[Place, LinkTotals], report: MeterReport) -> None:
    for (link, number), traffic in report.sent.items():
        _add_one(sums, (group_of(link[1]), SENT), number, traffic)
    for (link, number), traffic in report.received.items():
        _add_one(sums, (group_of(link[0]), RECEIVED), number, traffic)


def _add_one(sums: dict[Place, LinkTotals], place: Place, number: int, traffic: Traffic) -> None:
    if number >> 30 == Phase.CONTROL:
        more = LinkTotals(control=traffic.total)
    else:
        more = LinkTotals(traffic.payload, traffic.framing, 0, traffic.messages)
    sums[place] = sums.get(place, LinkTotals()) + more
