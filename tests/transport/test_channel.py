"""Channels keep their promises over every kind of link, and their causal figures mean what they say."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from transport.channel import Channel
from transport.conformance import check_channel
from transport.faults import TricklingStream
from transport.interfaces import Clock, Phase, Tag
from transport.memory import memory_pair
from transport.meter import Meter, MeterReport
from transport.observe import Observation
from transport.testing import MakePair, Pair, lockstep_pair, open_local, tcp_pair

LINKS: dict[str, MakePair] = {"memory": memory_pair, "lockstep": lockstep_pair, "tcp": tcp_pair}
TAG = Tag(Phase.ONLINE, 1, 1)
NEXT = Tag(Phase.ONLINE, 2, 1)
Links = dict[str, dict[str, Channel]]


def trickling_pair() -> Pair:
    left, right = memory_pair()
    return TricklingStream(left), TricklingStream(right)


@pytest.mark.parametrize("kind", LINKS)
async def test_channel_conforms(kind: str) -> None:
    await check_channel(LINKS[kind])


async def test_channel_conforms_byte_by_byte() -> None:
    await check_channel(trickling_pair, large=2000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lockstep", "tcp"])
async def test_both_ends_may_send_64_mib_at_once(kind: str) -> None:
    await check_channel(LINKS[kind], large=64 * 2**20)


async def move(links: Links, clocks: dict[str, Clock], sender: str, receiver: str, tag: Tag = TAG) -> None:
    await links[sender][receiver].endpoint(1, clocks[sender]).send(tag, b"")
    await links[receiver][sender].endpoint(1, clocks[receiver]).receive(tag, most=0)


async def test_chain_over_three_parties_counts_every_message_and_server_rounds_apart() -> None:
    clocks = {name: Clock() for name in ("E1", "E2", "HC")}
    meters = {name: Meter(name) for name in clocks}
    async with open_local(clocks, meters=meters) as links:
        await move(links, clocks, "HC", "E1")
        assert clocks["E1"] == Clock(1, 0)
        await move(links, clocks, "E1", "E2")
        assert clocks["E2"] == Clock(2, 1)
        await move(links, clocks, "E2", "HC")
        assert clocks["HC"] == Clock(3, 1)
        await move(links, clocks, "HC", "E1", NEXT)
        await move(links, clocks, "E1", "E2", NEXT)
        assert clocks == {"E1": Clock(4, 1), "E2": Clock(5, 2), "HC": Clock(3, 1)}
    report = MeterReport.merge(meter.report() for meter in meters.values())
    assert (report.depth(Phase.ONLINE), report.server_rounds(Phase.ONLINE)) == (5, 2)
    assert [report.layer_rounds(Phase.ONLINE, layer) for layer in (1, 2, 3)] == [1, 1, 0]
    assert report.depth(Phase.OFFLINE) == 0


async def test_message_that_arrived_and_was_not_taken_does_not_move_the_clock() -> None:
    mine, theirs = Clock(), Clock()
    async with open_local(("E1", "E2")) as links:
        out, back = links["E1"]["E2"].endpoint(1, theirs), links["E2"]["E1"].endpoint(1, mine)
        await out.send(TAG, b"a")
        await trio.testing.wait_all_tasks_blocked()
        await back.send(TAG, b"b")
        assert mine == Clock(0, 0)
        await back.receive(TAG, most=1)
        await out.receive(TAG, most=1)
        assert mine == theirs == Clock(1, 1)


async def test_several_messages_of_one_round_are_one_round() -> None:
    clocks = Clock(), Clock()
    meters = {name: Meter(name) for name in ("E1", "E2")}
    async with open_local(meters, meters=meters) as links:
        ends = links["E1"]["E2"].endpoint(1, clocks[0]), links["E2"]["E1"].endpoint(1, clocks[1])
        for end in ends:
            await end.send(TAG, b"a")
            await end.send(TAG, b"b")
        for end in ends:
            await end.receive(TAG, most=1)
            await end.receive(TAG, most=1)
    assert clocks == (Clock(1, 1), Clock(1, 1))
    assert meters["E1"].report().layer_rounds(Phase.ONLINE, 1) == 1


async def test_control_phase_is_not_for_protocols() -> None:
    async with open_local(("E1", "E2")) as links:
        with pytest.raises(ValueError, match="control layer 0"):
            await links["E1"]["E2"].endpoint(1, Clock()).send(Tag(Phase.CONTROL, 0, 1), b"")


async def test_two_tasks_may_not_wait_for_one_query() -> None:
    async with open_local(("E1", "E2")) as links, trio.open_nursery() as nursery:
        end = links["E1"]["E2"].endpoint(1, Clock())
        nursery.start_soon(lambda: end.receive(TAG, most=1))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="two tasks wait for messages of query 1 from E2"):
            await end.receive(TAG, most=1)
        nursery.cancel_scope.cancel()


async def test_observer_sees_each_message_at_both_ends(autojump_clock: trio.abc.Clock) -> None:
    seen: list[Observation] = []
    began = trio.current_time()
    async with open_local(("E1", "E2"), observer=seen.append) as links, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: links["E2"]["E1"].endpoint(5, Clock()).receive(TAG, most=3))
        await trio.sleep(2)
        await links["E1"]["E2"].endpoint(5, Clock()).send(TAG, b"abc")
    assert [(o.what, o.local, o.peer, o.began - began, o.ended - began) for o in seen] == [
        ("sent", "E1", "E2", 2, 2),
        ("arrived", "E2", "E1", 2, 2),
        ("taken", "E2", "E1", 0, 2),
    ]
    assert {(o.query, o.tag, o.size, o.depth) for o in seen} == {(5, TAG.pack(), 3, 1)}
