"""What went over each link: payload, framing, messages, depth and rounds, by phase, layer and step.

One meter a party, one `LinkMeter` a peer. Counted is what the frames hold; TLS and TCP add bytes of their own
below. `MeterReport` is the frozen result: reports of several parties merge, and can be shipped between processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from transport.errors import TransportError
from transport.framing import HEADER_BYTES
from transport.interfaces import Phase, Tag

Link = tuple[str, str]
"""Who sends and who receives."""

_LIVE_LAYERS = 4096
_MOST_TAGS = 2**14
"""Tags of one direction that are counted one by one, and that a peer can make up; more are counted as one."""
_OTHER_TAGS = 0x3FFFFFFF
"""Layer and step of that one, in each phase."""
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of payload, bytes of framing, and messages."""

    payload: int = 0
    framing: int = 0
    messages: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.payload + other.payload, self.framing + other.framing, self.messages + other.messages)

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(self.payload - other.payload, self.framing - other.framing, self.messages - other.messages)

    @property
    def total(self) -> int:
        """Payload and framing in bytes."""
        return self.payload + self.framing


class LinkMeter:
    """Counts the channels to one peer. Its two methods run for each frame, so they touch plain integers only."""

    __slots__ = ("_depths", "_layers", "_received", "_rounds", "_sent", "_server", "_settled", "local", "peer")

    def __init__(self, local: str, peer: str, *, server: bool) -> None:
        self.local, self.peer = local, peer
        self._server = server
        self._sent: dict[int, list[int]] = {}
        self._received: dict[int, list[int]] = {}
        self._depths = [0] * len(Phase)
        self._rounds = [0] * len(Phase)
        self._layers: dict[tuple[int, int], int] = {}
        self._settled: dict[int, int] = {}

    def sent(self, number: int, size: int, query: int, depth: int, rounds: int) -> None:
        """Count a frame that we send: `number` is the packed tag, `size` the payload in bytes."""
        self._count(self._sent, number, size)
        if number >> 30:
            self._causes(number, query, depth, rounds)

    def received(self, number: int, size: int, query: int, depth: int, rounds: int) -> None:
        """Count a frame that has arrived, whether or not the protocol has taken it."""
        self._count(self._received, number, size)
        if number >> 30:
            self._causes(number, query, depth, rounds)

    @staticmethod
    def _count(table: dict[int, list[int]], number: int, size: int) -> None:
        row = table.get(number)
        if row is None and len(table) >= _MOST_TAGS:
            number |= _OTHER_TAGS
            row = table.get(number)
        if row is None:
            table[number] = [size, 1]
        else:
            row[0] += size
            row[1] += 1

    def _causes(self, number: int, query: int, depth: int, rounds: int) -> None:
        phase = number >> 30
        if depth > self._depths[phase]:
            self._depths[phase] = depth
        if not self._server:
            return
        if rounds > self._rounds[phase]:
            self._rounds[phase] = rounds
        key = (query, number >> 16)
        # A set of rounds is the bits of one number: a layer of a query has few, and they are close together.
        self._layers[key] = self._layers.get(key, 0) | 1 << rounds
        if len(self._layers) > _LIVE_LAYERS:
            self._settle()

    def _settle(self) -> None:
        """Keep only the greatest count of the older queries, so that a server can run for months."""
        for key in list(self._layers)[: _LIVE_LAYERS // 2]:
            count = self._layers.pop(key).bit_count()
            self._settled[key[1]] = max(self._settled.get(key[1], 0), count)

    def report(self) -> MeterReport:
        """Return what was counted so far."""
        out, into = (self.local, self.peer), (self.peer, self.local)
        layers = dict(self._settled)
        for (_, layer), rounds in self._layers.items():
            layers[layer] = max(layers.get(layer, 0), rounds.bit_count())
        return MeterReport(
            parties=frozenset({self.local}),
            sent={(out, number): _traffic(row) for number, row in self._sent.items()},
            received={(into, number): _traffic(row) for number, row in self._received.items()},
            deepest={Phase(phase): depth for phase, depth in enumerate(self._depths) if depth},
            most_rounds={Phase(phase): rounds for phase, rounds in enumerate(self._rounds) if rounds},
            most_layer_rounds=layers,
        )


class Meter:
    """Everything that one party sends and receives, over all its links."""

    def __init__(self, local: str) -> None:
        self.local = local
        self._links: dict[str, LinkMeter] = {}

    def link(self, peer: str, *, server: bool) -> LinkMeter:
        """Return the counter of all channels to `peer`, one after the other; `server`: so rounds count."""
        if peer not in self._links:
            self._links[peer] = LinkMeter(self.local, peer, server=server)
        return self._links[peer]

    def report(self) -> MeterReport:
        """Return a snapshot of what was counted so far."""
        return MeterReport.merge(
            [MeterReport(parties=frozenset({self.local})), *(m.report() for m in self._links.values())]
        )


@dataclass(frozen=True, slots=True)
class MeterReport:
    """What one party, or several together, have counted.

    Attributes:
        parties: who has reported.
        sent: (link, packed tag) -> traffic, as the sender counted it.
        received: the same as the receiver counted it, on arrival.
        deepest: phase -> greatest depth of a message.
        most_rounds: phase -> greatest rounds of a message between servers.
        most_layer_rounds: phase and layer (the upper half of the packed tag) -> greatest number of rounds that
            one query spent there.
    """

    parties: frozenset[str] = frozenset()
    sent: Mapping[tuple[Link, int], Traffic] = field(default_factory=dict)
    received: Mapping[tuple[Link, int], Traffic] = field(default_factory=dict)
    deepest: Mapping[Phase, int] = field(default_factory=dict)
    most_rounds: Mapping[Phase, int] = field(default_factory=dict)
    most_layer_rounds: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def merge(cls, reports: Iterable[MeterReport]) -> MeterReport:
        """Return one report of several: traffic adds up, depth and rounds are the greatest."""
        parts = list(reports)
        return cls(
            parties=frozenset().union(*(part.parties for part in parts)),
            sent=_add(part.sent for part in parts),
            received=_add(part.received for part in parts),
            deepest=_greatest(part.deepest for part in parts),
            most_rounds=_greatest(part.most_rounds for part in parts),
            most_layer_rounds=_greatest(part.most_layer_rounds for part in parts),
        )

    def links(self, phase: Phase, layer: int | None = None) -> dict[Link, Traffic]:
        """Return the traffic of each link in a phase, or in one layer of it.

        Control frames (handshake, keepalive, abort, goodbye) are under `Phase.CONTROL`.
        """
        sums: dict[Link, Traffic] = {}
        for (link, number), traffic in self._known().items():
            if number >> 30 == phase and (layer is None or number >> 16 & 0x3FFF == layer):
                sums[link] = sums.get(link, Traffic()) + traffic
        return dict(sorted(sums.items()))

    def tags(self, phase: Phase, link: Link | None = None) -> dict[Tag, Traffic]:
        """Return the traffic under each tag of a phase, over all links or on one."""
        sums: dict[int, Traffic] = {}
        for (where, number), traffic in self._known().items():
            if number >> 30 == phase and link in (None, where):
                sums[number] = sums.get(number, Traffic()) + traffic
        return {Tag.unpack(number): sums[number] for number in sorted(sums)}

    def depth(self, phase: Phase) -> int:
        """Return the longest chain of messages in a phase, the greatest over the queries."""
        return self.deepest.get(phase, 0)

    def server_rounds(self, phase: Phase) -> int:
        """Return the longest chain of messages between servers in a phase, the greatest over the queries."""
        return self.most_rounds.get(phase, 0)

    def layer_rounds(self, phase: Phase, layer: int) -> int:
        """Return how many rounds between servers one query spent in a layer, the greatest over the queries."""
        return self.most_layer_rounds.get(phase << 14 | layer, 0)

    def check_conserved(self) -> None:
        """Check that what A sent is what B received, link by link and tag by tag, where both have reported.

        Control frames are left out: a goodbye may be under way when a report is taken.

        Raises:
            TransportError: naming each link and tag that differs.
        """
        wrong = []
        for link, number in sorted({*self.sent, *self.received}):
            if number >> 30 == 0 or not self.parties.issuperset(link):
                continue
            sent = self.sent.get((link, number), Traffic())
            received = self.received.get((link, number), Traffic())
            if sent != received:
                wrong.append(f"{link[0]}->{link[1]} {Tag.unpack(number)}: sent {sent}, received {received}")
        if wrong:
            raise TransportError("messages were lost or counted wrongly: " + "; ".join(wrong))

    def to_wire(self) -> dict[str, object]:
        """Return plain lists, texts and numbers, for msgpack or JSON."""
        return {
            "parties": sorted(self.parties),
            "sent": _rows(self.sent),
            "received": _rows(self.received),
            "deepest": [[int(phase), depth] for phase, depth in sorted(self.deepest.items())],
            "most_rounds": [[int(phase), rounds] for phase, rounds in sorted(self.most_rounds.items())],
            "most_layer_rounds": [list(pair) for pair in sorted(self.most_layer_rounds.items())],
        }

    @classmethod
    def from_wire(cls, wire: object) -> MeterReport:
        """Return the report behind `to_wire`. Raises TransportError if it is something else."""
        try:
            return cls._from_wire(wire)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise TransportError(f"expected a meter's report, came something else: {error!r}") from error

    @classmethod
    def _from_wire(cls, wire: object) -> MeterReport:
        if not isinstance(wire, dict):
            raise TypeError("not a mapping")
        return cls(
            parties=frozenset(str(name) for name in wire["parties"]),
            sent=_table(wire["sent"]),
            received=_table(wire["received"]),
            deepest={Phase(phase): int(depth) for phase, depth in wire["deepest"]},
            most_rounds={Phase(phase): int(rounds) for phase, rounds in wire["most_rounds"]},
            most_layer_rounds={int(layer): int(rounds) for layer, rounds in wire["most_layer_rounds"]},
        )

    def _known(self) -> Mapping[tuple[Link, int], Traffic]:
        """The sender's count of each link, or the receiver's where the sender has not reported."""
        others = {key: row for key, row in self.received.items() if key[0][0] not in self.parties}
        return {**others, **self.sent}


def _traffic(row: list[int]) -> Traffic:
    return Traffic(row[0], row[1] * HEADER_BYTES, row[1])


def _add(tables: Iterable[Mapping[tuple[Link, int], Traffic]]) -> dict[tuple[Link, int], Traffic]:
    sums: dict[tuple[Link, int], Traffic] = {}
    for table in tables:
        for key, traffic in table.items():
            sums[key] = sums.get(key, Traffic()) + traffic
    return sums


def _greatest(tables: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    best: dict[Key, int] = {}
    for table in tables:
        for key, value in table.items():
            best[key] = max(best.get(key, 0), value)
    return best


def _rows(table: Mapping[tuple[Link, int], Traffic]) -> list[list[object]]:
    return [
        [link[0], link[1], number, traffic.payload, traffic.framing, traffic.messages]
        for (link, number), traffic in sorted(table.items(), key=lambda item: item[0])
    ]


def _table(rows: Iterable[tuple[str, str, int, int, int, int]]) -> dict[tuple[Link, int], Traffic]:
    return {
        ((str(sender), str(receiver)), int(number)): Traffic(int(payload), int(framing), int(messages))
        for sender, receiver, number, payload, framing, messages in rows
    }
