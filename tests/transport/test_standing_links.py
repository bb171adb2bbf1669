"""What becomes of a standing link: replaced, blocked, broken by our own mistake, made anew a thousand times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from transport.channel import Channel
from transport.errors import LinkClosed, PeerAbort, PeerLost, PeerTimeout
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.memory import MemoryHub, MemoryStream
from transport.meter import Meter
from transport.observe import Observation
from transport.standing import Host, HostOptions, Room, RoomSpec, open_host

TAG = Tag(Phase.ONLINE, 1, 1)
CALLED = RoomSpec(Hello("E1", run="r"), inbound=("E2", "HC"))


def calling(own: str, run: str = "r") -> RoomSpec:
    return RoomSpec(Hello(own, run=run), outbound={"E1": "E1"})


async def hear(channel: Channel, query: int = 1) -> bytes:
    return await channel.endpoint(query, Clock()).receive(TAG, most=100)


class Deaf(MemoryHub):
    """A network on which `freeze` makes every link half-open: nothing arrives any more, and nobody is told."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[MemoryStream] = []

    async def connect(self, address: str) -> trio.abc.Stream:
        stream = await super().connect(address)
        assert isinstance(stream, MemoryStream)
        self.streams.append(stream)
        return stream

    def freeze(self) -> None:
        for stream in self.streams:
            for pipe in (stream._out, stream._in):
                pipe.put = len  # type: ignore[method-assign]
                pipe.end = pipe.abandon = lambda: None  # type: ignore[method-assign]
        self.streams.clear()


async def test_without_tls_a_second_of_the_same_name_waits_until_the_first_was_silent(
    autojump_clock: trio.abc.Clock,
) -> None:
    hub, events = Deaf(), []
    options = HostOptions(
        link_up=lambda room, peer: events.append("up"), link_down=lambda room, peer, why: events.append(why)
    )
    async with open_host("E1", hub, "E1", options) as host:
        room = host.open_room(CALLED)
        async with open_host("E2", hub) as first:
            await first.open_room(calling("E2")).link("E1", 1)
            old = await room.link("E2", 1)
            async with open_host("E2", hub) as second:
                twin = second.open_room(calling("E2"))
                with pytest.raises(PeerTimeout, match=r"E1 is linked to a E2 already: is it running twice?"):
                    await twin.link("E1", 100)
                assert room.links["E2"] is old
                hub.freeze()
                began = trio.current_time()
                await twin.link("E1", 100)
                assert 10 <= trio.current_time() - began < 20 + 7.5
                assert room.links["E2"] is not old
                with pytest.raises(LinkClosed):
                    await hear(old)
                assert events == ["up", "replaced by a newer link of the same party", "up"]


async def test_one_service_a_peer_at_a_time_even_if_the_old_one_takes_long_to_end(
    autojump_clock: trio.abc.Clock,
) -> None:
    running: list[Channel] = []
    most = 0

    async def serve(channel: Channel) -> None:
        nonlocal most
        running.append(channel)
        most = max(most, len(running))
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)
            running.remove(channel)

    hub = Deaf()
    async with open_host("E1", hub, "E1") as host:
        room = host.open_room(CALLED, serve)
        async with open_host("E2", hub) as caller:
            calls = caller.open_room(calling("E2"))
            await calls.link("E1", 1)
            old = await room.link("E2", 1)
            await calls.links["E1"].abort("E2", "once more")
            await trio.sleep(1)
            assert room.links["E2"] is not old
            assert running == [old]
            await trio.sleep(20)
            assert running == [room.links["E2"]]
    assert (most, running) == (1, [])


async def test_a_link_that_was_lost_in_silence_is_closed_and_forgotten(autojump_clock: trio.abc.Clock) -> None:
    hub = Deaf()
    async with open_host("E1", hub, "E1") as host, open_host("E2", hub) as caller:
        room = host.open_room(CALLED)
        await caller.open_room(calling("E2")).link("E1", 1)
        old = await room.link("E2", 1)
        hub.freeze()
        with pytest.raises(PeerTimeout, match=r"nothing at all was heard from E2 for 60\.0 s"):
            await hear(old)
        await trio.sleep(5)
        assert not room._ending
        with pytest.raises(LinkClosed):
            await old._wire.receive()


async def test_a_link_that_stood_for_a_while_is_made_anew_at_once(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    async with open_host("E1", hub, "E1") as host, open_host("E2", hub) as caller:
        calls = caller.open_room(calling("E2"))
        await trio.sleep(60)
        room = host.open_room(CALLED)
        for _ in range(20):
            await room.link("E2", 10)
            await trio.sleep(10)
            await room.links["E2"].abort("E1", "again")
            began = trio.current_time()
            await calls.link("E1", 10)
            # The other end's last words, and the shortest pause.
            assert trio.current_time() - began < 0.1


async def test_closed_rooms_and_clients_that_have_gone_are_forgotten_in_the_end(
    autojump_clock: trio.abc.Clock,
) -> None:
    hub = MemoryHub()
    async with open_host("E1", hub, "E1") as host:
        for run in range(100):
            await host.open_room(RoomSpec(Hello("E1", run=f"r{run}"))).close("retired")
        assert len(host._closed) == 64
        room = host.open_room(RoomSpec(Hello("E1", run="r"), inbound=lambda name: name != "E1"))
        for number in range(300):
            async with open_host(f"HMS{number}", hub) as client:
                await client.open_room(calling(f"HMS{number}")).link("E1", 1)
        await trio.sleep(2)
        assert (len(room._errors), len(room._house.held)) == (256, 0)


async def test_what_came_before_a_goodbye_can_still_be_taken(autojump_clock: trio.abc.Clock) -> None:
    """The other end has done its part and leaves while we still compute."""
    hub = MemoryHub()
    async with open_host("E1", hub, "E1") as host:
        room = host.open_room(CALLED)
        async with open_host("E2", hub) as caller:
            channel = await caller.open_room(calling("E2")).link("E1", 1)
            await channel.endpoint(1, Clock()).send(TAG, b"the last share")
            link = await room.link("E2", 1)
        await trio.sleep(10)
        assert "E2" not in room.links
        assert await hear(link) == b"the last share"
        with pytest.raises(PeerLost, match="E2 said goodbye"):
            await hear(link)


async def test_what_nobody_takes_ends_the_link_at_the_deadline(autojump_clock: trio.abc.Clock) -> None:
    """Not even the silence limit would: we do not read, so we do not hear."""
    limits = Limits(buffered_bytes=10_000, deadline_seconds=300)
    hub, downs = MemoryHub(), []
    options = HostOptions(limits=limits, link_down=lambda room, peer, why: downs.append(why))
    async with open_host("E1", hub, "E1", options) as host, open_host("E2", hub) as caller:
        room = host.open_room(CALLED)
        channel = await caller.open_room(calling("E2")).link("E1", 1)
        began = trio.current_time()
        for query in range(30):
            await channel.endpoint(query, Clock()).send(TAG, bytes(1000))
        with pytest.raises(PeerAbort, match="E1 stopped: nobody took what E2 has sent for 300 s"):
            await hear(channel)
        assert 300 <= trio.current_time() - began <= 601
        assert (await room.link("E2", 10)).blocked == 0
    assert downs[0] == "nobody took what E2 has sent for 300 s"


async def test_a_mistake_of_an_observer_costs_one_link(autojump_clock: trio.abc.Clock) -> None:
    hub, lines = MemoryHub(), []

    def observe(seen: Observation) -> None:
        if seen.peer == "E2":
            raise KeyError("a reading")

    async with open_host("E1", hub, "E1", HostOptions(report=lines.append)) as host:
        room = host.open_room(RoomSpec(Hello("E1", run="r"), inbound=("E2", "HC"), observer=observe))
        async with open_host("HC", hub) as centre, open_host("E2", hub) as other:
            good = await centre.open_room(calling("HC")).link("E1", 1)
            bad = await other.open_room(calling("E2")).link("E1", 1)
            await bad.endpoint(1, Clock()).send(TAG, b"x")
            with pytest.raises(PeerLost):
                await hear(bad)
            await good.endpoint(1, Clock()).send(TAG, b"y")
            assert await hear(await room.link("HC", 1)) == b"y"
            await room.link("E2", 1)
    assert next(line for line in lines if "mistake" in line).startswith(
        "E1: a mistake of ours, please report it: KeyError in observe, line "
    )
    assert "reading" not in "".join(lines)


async def test_a_service_may_close_its_own_room_and_the_host_may_end_meanwhile(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    async with open_host("E1", hub, "E1") as host:

        async def serve(channel: Channel) -> None:
            await hear(channel)
            await rooms[0].close("retired")

        rooms: list[Room] = [host.open_room(CALLED, serve)]
        async with open_host("E2", hub) as caller:
            channel = await caller.open_room(calling("E2")).link("E1", 1)
            await channel.endpoint(1, Clock()).send(TAG, b"close")
            with pytest.raises(PeerAbort, match="E1 stopped: retired"):
                await hear(channel)
            assert host.rooms == {}
    with pytest.raises(LinkClosed, match="E1: no room can be opened any more: we are stopping"):
        host.open_room(CALLED)


async def test_a_room_that_closes_turns_away_who_is_greeting(autojump_clock: trio.abc.Clock) -> None:
    """E2's greeting is under way for a second; the room is closed in the middle of it."""
    from transport.network import Network

    hub = MemoryHub()
    async with open_host("E1", hub, "E1", HostOptions(network=Network(1.0))) as host:
        room = host.open_room(CALLED)
        async with open_host("E2", hub, "", HostOptions(network=Network(1.0))) as caller:
            calls = caller.open_room(calling("E2"))
            await trio.sleep(0.5)
            await room.close("retired")
            with pytest.raises(PeerTimeout, match="E1 has closed r: retired"):
                await calls.link("E1", 4)
            assert dict(room.links) == {}


async def test_a_host_that_ends_leaves_nothing_running(autojump_clock: trio.abc.Clock) -> None:
    """In the middle of everything: links, calls in vain, a caller that is silent, one that greets."""
    hub = MemoryHub()
    root = trio.lowlevel.current_root_task()
    assert root is not None

    def count(task: trio.lowlevel.Task) -> int:
        return 1 + sum(count(child) for nursery in task.child_nurseries for child in nursery.child_tasks)

    async def wait(_: Channel) -> None:
        await trio.sleep_forever()

    before = count(root)
    began = trio.current_time()
    async with open_host("E1", hub, "E1") as host, open_host("E2", hub) as caller:
        host.open_room(CALLED, wait)
        host.open_room(RoomSpec(Hello("E1", run="s"), outbound={"HC": "nobody"}))
        await caller.open_room(calling("E2")).link("E1", 1)
        caller.open_room(calling("E2", "unknown"))
        silent = await hub.connect("E1")
        await trio.sleep(5)
        assert count(root) > before + 10
    assert trio.current_time() - began < 5 + 5
    assert count(root) == before
    await silent.aclose()


async def test_pauses_between_calls_double_and_differ_by_chance(autojump_clock: trio.abc.Clock) -> None:
    calls: list[float] = []

    class Counting(MemoryHub):
        async def connect(self, address: str) -> trio.abc.Stream:
            calls.append(trio.current_time())
            raise PeerLost("connection refused")

    chances: Iterator[float] = itertools.cycle([0.0, 0.5, 0.999])
    async with open_host("E2", Counting(), "", HostOptions(chance=lambda: next(chances))) as host:
        host.open_room(calling("E2"))
        await trio.sleep(60)
    pauses = [later - earlier for earlier, later in itertools.pairwise(calls)]
    whole = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[5.0] * 20]
    factors = itertools.cycle([0.5, 1.0, 1.499])
    assert pauses == pytest.approx(
        [pause * factor for pause, factor in zip(whole, factors, strict=False)][: len(pauses)]
    )


def sizes(host: Host, room: Room, meter: Meter) -> tuple[int, ...]:
    """Return how much a host holds: whatever could grow with each link."""
    house = room._house
    tables = [
        [*room._standing], room._ending, room._errors, house.held, host._guests, host._closed, host.rooms, meter._links,
        [row for link in meter._links.values() for row in link._received],
        house.nursery.child_tasks,
    ]  # fmt: skip
    return tuple(map(len, tables))


@pytest.mark.parametrize("end", ["abort", "goodbye", "cut", "service fails"])
async def test_two_thousand_links_leave_no_more_behind_than_twenty(end: str, autojump_clock: trio.abc.Clock) -> None:
    hub, meter = MemoryHub(), Meter("E1")

    async def serve(channel: Channel) -> None:
        while True:
            if await hear(channel) == b"fail":
                raise PeerLost("on purpose")

    async with open_host("E1", hub, "E1") as host, open_host("E2", hub) as caller:
        room = host.open_room(RoomSpec(Hello("E1", run="r"), inbound=["E2"], meter=meter), serve)
        calls = caller.open_room(calling("E2"))
        seen: dict[int, tuple[int, ...]] = {}
        for visit in range(500):
            channel = await calls.link("E1", 100)
            await channel.endpoint(1, Clock()).send(TAG, b"fail" if end == "service fails" else b"reading")
            if end == "abort":
                await channel.abort("E2", f"visit {visit}")
            elif end == "goodbye":
                await channel.aclose()
            elif end == "cut":
                await channel._wire._stream.aclose()
            await trio.sleep(30)
            if visit in (20, 499):
                seen[visit] = sizes(host, room, meter)
    assert seen[20] == seen[499]
    assert meter.report().links(Phase.ONLINE)["E2", "E1"].messages == 500
