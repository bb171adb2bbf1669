"""Traces: the observer's notes pair up to messages, and survive JSON."""

from __future__ import annotations

import json

import pytest
import trio

from transport.errors import TransportError
from transport.interfaces import Clock, Phase, Tag
from transport.memory import memory_pair
from transport.network import Network
from transport.shaped import ShapedStream
from transport.testing import Pair, open_local
from transport.trace import Event, Message, Recorder, Trace

FIRST = Tag(Phase.ONLINE, 1, 1)
SECOND = Tag(Phase.ONLINE, 2, 1)


async def record() -> Trace:
    """E1 computes for 3 s and sends; E2 waits, computes for 1 s and answers; a byte travels 2 s."""
    async with trio.open_nursery() as nursery:

        def make_pair() -> Pair:
            left, right = memory_pair()
            network = Network(latency=2.0)
            return ShapedStream(left, network, nursery), ShapedStream(right, network, nursery)

        recorder = Recorder(started=1000.0)
        async with open_local(("E1", "E2"), make_pair=make_pair, observer=recorder.observe) as links:
            one, two = links["E1"]["E2"].endpoint(8, Clock()), links["E2"]["E1"].endpoint(8, Clock())

            async def answer() -> None:
                await two.receive(FIRST, most=10)
                with recorder.compute("E2", 8, "2.relu"):
                    await trio.sleep(1)
                await two.send(SECOND, b"abc")

            async with trio.open_nursery() as parties:
                parties.start_soon(answer)
                with recorder.compute("E1", 8, "1.dense"):
                    await trio.sleep(3)
                await one.send(FIRST, b"ab")
                await one.receive(SECOND, most=10)
        return recorder.trace()


async def test_trace_holds_messages_of_both_ends_and_intervals(autojump_clock: trio.abc.Clock) -> None:
    trace = await record()
    assert trace.messages() == (
        Message("E1", "E2", 8, FIRST, 2, 1, t_send=3, t_arrive=5, t_wait=0, t_recv=5),
        Message("E2", "E1", 8, SECOND, 3, 2, t_send=6, t_arrive=8, t_wait=3, t_recv=8),
    )
    assert [(e.party, e.name, e.began, e.ended) for e in trace.computes()] == [
        ("E1", "1.dense", 0, 3),
        ("E2", "2.relu", 5, 6),
    ]
    assert trace.computes("E2") == trace.computes()[1:]


async def test_trace_survives_json(autojump_clock: trio.abc.Clock) -> None:
    trace = await record()
    assert Trace.from_wire(json.loads(json.dumps(trace.to_wire()))) == trace


async def test_traces_of_two_processes_are_put_on_one_time_scale(autojump_clock: trio.abc.Clock) -> None:
    whole = await record()
    parts = [
        Trace(1000.0 + shift, tuple(event_at(e, -shift) for e in whole.events if e.party == party))
        for party, shift in (("E1", 0.0), ("E2", 0.5))
    ]
    merged = Trace.merge(parts)
    assert merged.started == 1000.0
    assert merged.messages() == whole.messages()
    assert Trace.merge([]) == Trace()


def event_at(event: Event, shift: float) -> Event:
    return Event(
        event.what,
        event.party,
        event.query,
        event.began + shift,
        event.ended + shift,
        event.peer,
        event.tag,
        event.size,
        event.depth,
        event.name,
    )


def test_message_that_was_never_taken_is_left_out() -> None:
    tag = FIRST.pack()
    events = (
        Event("sent", "E1", 1, 0, 1, "E2", tag, 5, 1),
        Event("arrived", "E2", 1, 2, 2, "E1", tag, 5, 1),
    )
    assert Trace(events=events).messages() == ()
    taken = Event("taken", "E2", 1, 0, 3, "E1", tag, 5, 1)
    assert len(Trace(events=(*events, taken)).messages()) == 1


@pytest.mark.parametrize(
    "wire",
    [None, {}, {"started": 0, "events": [[1]]}, {"started": 0, "events": [["x", "E1", 1, 0, 0, "", 0, 0, 0, ""]]}],
)
def test_what_is_no_trace_is_a_transport_error(wire: object) -> None:
    with pytest.raises(TransportError, match="expected a trace"):
        Trace.from_wire(wire)
