"""A flood of tiny messages, of made-up tags: it takes little of our time, and of our memory what is allowed."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from transport.channel import Channel
from transport.framing import Kind, pack_header
from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.memory import memory_pair
from transport.meter import Meter
from transport.wire import Wire

FRAMES = 20_000


async def test_a_flood_of_keepalives_leaves_most_of_the_time_to_others(autojump_clock: trio.abc.Clock) -> None:
    ours, theirs = memory_pair()
    channel = Channel(Wire(ours, "E1"), "E2", "E1")
    tag = Tag(Phase.ONLINE, 1, 1)
    flood = b"".join(
        pack_header(Kind.KEEPALIVE, 0, 0, number % 2**16, 0, Kind.KEEPALIVE, 0) for number in range(FRAMES)
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        began = trio.current_time()
        await theirs.send_all(flood + pack_header(Kind.DATA, 1, 0, FRAMES % 2**16, 1, tag.pack(), 0))
        await channel.endpoint(1, Clock()).receive(tag, most=0)
        # Ten microseconds each; parsing one takes about one.
        assert 0.15 < trio.current_time() - began < 0.25
        await theirs.aclose()
        await channel.aclose()


def test_made_up_tags_fill_no_memory_and_are_counted_together() -> None:
    meter = Meter("E1")
    counter = meter.link("E2", server=False)
    for number in range(FRAMES):
        counter.received(Phase.ONLINE << 30 | number, 10, 1, 1, 0)
    assert len(counter._received) == 2**14 + 1
    report = meter.report()
    assert report.links(Phase.ONLINE)["E2", "E1"].messages == FRAMES
    assert report.tags(Phase.ONLINE)[Tag(Phase.ONLINE, 0x3FFF, 0xFFFF)].messages == FRAMES - 2**14


async def test_the_buffer_counts_empty_messages_and_stops_the_reading(autojump_clock: trio.abc.Clock) -> None:
    ours, theirs = memory_pair()
    channel = Channel(Wire(ours, "E1"), "E2", "E1", limits=Limits(buffered_bytes=100_000))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        for number in range(200):
            await theirs.send_all(pack_header(Kind.DATA, 1, 0, number, number, Tag(Phase.OFFLINE, 1, 1).pack(), 0))
            await trio.sleep(0.1)
        await trio.sleep(60)
        # The 98th message is one too many: it came after 9.7 of 80 seconds.
        assert channel.blocked == pytest.approx(70.3)
        assert channel.silence == 0
        channel.forget(0)
        assert await channel.endpoint(1, Clock()).receive(Tag(Phase.OFFLINE, 1, 1), most=0) == b""
        await trio.testing.wait_all_tasks_blocked()
        assert channel.blocked == pytest.approx(0, abs=1e-3)
        await theirs.aclose()
        await channel.aclose()
