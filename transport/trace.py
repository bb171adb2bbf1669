"""What each party did when: messages sent, arrived and taken, and intervals of computing. Material for a replay.

A recorder is an observer of channels:

    recorder = Recorder()
    options = MeshOptions(observer=recorder.observe)
    with recorder.compute("E1", query, "1.conv2d"):
        ...
    json.dumps(recorder.trace().to_wire())
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, get_args

import trio

from transport.errors import TransportError
from transport.interfaces import Tag
from transport.observe import Observation

What = Literal["sent", "arrived", "taken", "computed"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that one party did. Times are in seconds since the start of the trace.

    Attributes:
        what: "sent", "arrived", "taken" (by the protocol; its interval is the wait) or "computed" (an interval with a
            name, waits included: what was computed in it is what the messages in it leave).
        party: who.
        query: for which query.
        began: when it began.
        ended: when it ended.
        peer: the other end of a message.
        tag: packed, of a message; of an interval, where it belongs if that is known.
        size: bytes of payload of a message.
        depth: of a message.
        name: of an interval of computing, for instance a layer's.
    """

    what: What
    party: str
    query: int
    began: float
    ended: float
    peer: str = ""
    tag: int = 0
    size: int = 0
    depth: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message seen from both ends.

    Its sending began at `t_send`, it arrived at `t_arrive`, was waited for from `t_wait` and taken at `t_recv`.
    """

    sender: str
    receiver: str
    query: int
    tag: Tag
    size: int
    depth: int
    t_send: float
    t_arrive: float
    t_wait: float
    t_recv: float


@dataclass(frozen=True, slots=True)
class Trace:
    """What one party, or several, have done.

    Attributes:
        started: when the trace began, on a clock that all parties share; aligns the traces of several processes.
        events: in the order in which they ended, for each party.
    """

    started: float = 0.0
    events: tuple[Event, ...] = ()

    @classmethod
    def merge(cls, traces: Iterable[Trace]) -> Trace:
        """Return one trace of several, on the time scale of the earliest."""
        parts = list(traces)
        started = min((part.started for part in parts), default=0.0)
        events = [
            replace(event, began=event.began + part.started - started, ended=event.ended + part.started - started)
            for part in parts
            for event in part.events
        ]
        return cls(started, tuple(sorted(events, key=lambda event: event.ended)))

    def messages(self) -> tuple[Message, ...]:
        """Return the messages that were sent and taken, in the order of their sending."""
        waiting: dict[tuple[What, str, str, int, int], deque[Event]] = defaultdict(deque)
        for event in self.events:
            if event.what != "computed":
                ends = (event.party, event.peer) if event.what == "sent" else (event.peer, event.party)
                waiting[event.what, *ends, event.query, event.tag >> 30].append(event)
        found = []
        for (what, sender, receiver, query, phase), sent in list(waiting.items()):
            if what == "sent":
                rest = (sender, receiver, query, phase)
                pairs = zip(sent, waiting["arrived", *rest], waiting["taken", *rest], strict=False)
                found += [_message(*events) for events in pairs]
        return tuple(sorted(found, key=lambda message: message.t_send))

    def computes(self, party: str | None = None) -> tuple[Event, ...]:
        """Return the intervals of computing, of one party or of all."""
        return tuple(e for e in self.events if e.what == "computed" and party in (None, e.party))

    def to_wire(self) -> dict[str, object]:
        """Return plain lists, texts and numbers, for JSON or msgpack."""
        rows = [
            [e.what, e.party, e.query, e.began, e.ended, e.peer, e.tag, e.size, e.depth, e.name] for e in self.events
        ]
        return {"started": self.started, "events": rows}

    @classmethod
    def from_wire(cls, wire: object) -> Trace:
        """Return the trace behind `to_wire`. Raises TransportError if it is something else."""
        try:
            return cls._from_wire(wire)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise TransportError(f"expected a trace, came something else: {error!r}") from error

    @classmethod
    def _from_wire(cls, wire: object) -> Trace:
        if not isinstance(wire, dict):
            raise TypeError("not a mapping")
        events = []
        for what, party, query, began, ended, peer, tag, size, depth, name in wire["events"]:
            if what not in get_args(What):
                raise ValueError(f"an event of kind {what!r}")
            numbers = (int(tag), int(size), int(depth))
            if not 0 <= numbers[0] < 2**32:
                raise ValueError("a tag that no message has")
            events.append(
                Event(what, str(party), int(query), float(began), float(ended), str(peer), *numbers, str(name))
            )
        return cls(float(wire["started"]), tuple(events))


class Recorder:
    """Collects the events of one party, or of all parties of a process.

    Args:
        started: what to note as the start, in seconds since 1970 or on a clock that all recorders share; the time of
            day, unless told otherwise.
        clock: for intervals of computing, on the scale of the running clock; that clock, unless told otherwise.
    """

    def __init__(self, started: float | None = None, clock: Callable[[], float] | None = None) -> None:
        self._started = time.time() if started is None else started
        self._clock = clock or trio.current_time
        self._zero = trio.current_time()
        self._events: list[Event] = []

    def observe(self, seen: Observation) -> None:
        """Note a message: the observer to give to a mesh."""
        began, ended = seen.began - self._zero, seen.ended - self._zero
        self._events.append(
            Event(seen.what, seen.local, seen.query, began, ended, seen.peer, seen.tag, seen.size, seen.depth)
        )

    @contextmanager
    def compute(self, party: str, query: int, name: str, tag: int = 0) -> Iterator[None]:
        """Note the time that the block takes, waits included."""
        began = self._clock()
        try:
            yield
        finally:
            self.note(party, query, name, self._clock() - began, tag)

    def note(self, party: str, query: int, name: str, seconds: float, tag: int = 0) -> None:
        """Note an interval of so many seconds that ends now."""
        ended = self._clock() - self._zero
        self._events.append(Event("computed", party, query, ended - seconds, ended, tag=tag, name=name))

    def trace(self) -> Trace:
        """Return what was noted so far."""
        return Trace(self._started, tuple(self._events))


def _message(sent: Event, arrived: Event, taken: Event) -> Message:
    return Message(
        sender=sent.party,
        receiver=taken.party,
        query=sent.query,
        tag=Tag.unpack(sent.tag),
        size=sent.size,
        depth=sent.depth,
        t_send=sent.began,
        t_arrive=arrived.ended,
        t_wait=taken.began,
        t_recv=taken.ended,
    )
