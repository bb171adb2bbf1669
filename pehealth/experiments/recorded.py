"""From what the parties noted to programs: what was computed is what lies between the messages.

A party does one thing after another within a phase of a query. So between the end of one message and the beginning of
the next it computed (or waited for its own processor), and no call around any computation is needed to know it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import get_args

from pehealth.errors import ConfigError
from pehealth.experiments.steps import Phase, QueryTrace, Step
from transport.interfaces import MAX_LAYER, MAX_STEP
from transport.trace import Event, Trace

PHASES: tuple[Phase, ...] = get_args(Phase)
LAYER = "layer"
"""Name of an interval in which a party was in one layer; any other name is that of a whole operation."""

Key = tuple[int, int, str]
"""Phase (as in tags), query, party."""


def queries_of(trace: Trace) -> tuple[QueryTrace, ...]:
    """Return the programs of every query and phase, on the time scale of the trace.

    A party's program is cut where `layer` intervals end; what was computed after the last of them serves the layer of
    the message that it sends next, or that of the message before.

    Raises:
        ConfigError: a message was taken that had not arrived.
    """
    events: dict[Key, list[Event]] = defaultdict(list)
    for event in trace.events:
        events[event.tag >> 30, event.query, event.party].append(event)
    programs: dict[tuple[int, int], dict[str, tuple[Step, ...]]] = defaultdict(dict)
    for (phase, query, party), noted in sorted(events.items(), key=lambda item: item[0]):
        if phase > 0:
            programs[phase, query][party] = tuple(_program(noted))
    return tuple(QueryTrace(PHASES[phase - 1], query, parts) for (phase, query), parts in programs.items())


def _program(events: Sequence[Event]) -> Iterator[Step]:
    whole = [e for e in events if e.what == "computed" and e.name != LAYER]
    marks = deque((e.ended, e.tag >> 16 & MAX_LAYER) for e in events if e.what == "computed" and e.name == LAYER)
    messages = [e for e in events if e.what in ("sent", "taken")]
    arrivals = _arrivals(events)
    at = min((e.began for e in whole), default=messages[0].began if messages else 0.0)
    layer = 0
    for event in messages:
        own = event.tag >> 16 & MAX_LAYER
        yield from _computes(at, event.began, marks, own if event.what == "sent" else layer)
        yield _message(event, arrivals)
        at, layer = event.ended, own
    yield from _computes(at, max((e.ended for e in whole), default=at), marks, layer)


def _computes(began: float, ended: float, marks: deque[tuple[float, int]], otherwise: int) -> Iterator[Step]:
    """Return what was computed in an interval, by layer; `marks` that are over are dropped."""
    while marks and marks[0][0] <= began:
        marks.popleft()
    while began < ended:
        until, layer = marks[0] if marks else (ended, otherwise)
        yield Step("compute", layer, began, min(until, ended))
        began = min(until, ended)
        if marks and until <= ended:
            marks.popleft()


def _arrivals(events: Sequence[Event]) -> dict[str, deque[float]]:
    """Return when the messages of each peer had arrived; they are taken in this order."""
    times: dict[str, deque[float]] = defaultdict(deque)
    for event in events:
        if event.what == "arrived":
            times[event.peer].append(event.ended)
    return times


def _message(event: Event, arrivals: dict[str, deque[float]]) -> Step:
    taken = event.what == "taken"
    if taken and not arrivals[event.peer]:
        raise ConfigError(f"this trace cannot be read: {event.party} took a message of {event.peer} before it arrived")
    return Step(
        "take" if taken else "send",
        event.tag >> 16 & MAX_LAYER,
        event.began,
        event.ended,
        event.peer,
        event.tag & MAX_STEP,
        event.size,
        event.depth,
        arrivals[event.peer].popleft() if taken else 0.0,
    )
