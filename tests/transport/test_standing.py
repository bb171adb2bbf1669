"""Rooms and standing links in virtual time: any order, again and again, and every end is told why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from transport.channel import Channel
from transport.errors import LinkClosed, PeerAbort, PeerLost, PeerTimeout, TransportError
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.memory import MemoryHub
from transport.meter import Meter
from transport.standing import Host, HostOptions, Room, RoomSpec, open_host

TAG = Tag(Phase.ONLINE, 1, 1)
CLINIC = "north-clinic"


class Events(list[tuple[str, ...]]):
    """What a host's callbacks have said."""

    def options(self, **changed: object) -> HostOptions:
        return HostOptions(
            report=lambda line: self.append(("report", line)),
            refused=lambda who, why: self.append(("refused", who, why)),
            link_up=lambda room, peer: self.append(("up", room, peer)),
            link_down=lambda room, peer, why: self.append(("down", room, peer, why)),
            **changed,  # type: ignore[arg-type]
        )

    def of(self, kind: str) -> list[tuple[str, ...]]:
        return [event[1:] for event in self if event[0] == kind]


def room_of(own: str, run: str = CLINIC, **changed: object) -> RoomSpec:
    """E1 is called; everyone else calls it."""
    calls = {"outbound": {"E1": "E1"}} if own != "E1" else {"inbound": ("E2", "HC")}
    return RoomSpec(Hello(own, run=run), **{**calls, **changed})  # type: ignore[arg-type]


@asynccontextmanager
async def hosts(hub: MemoryHub, *names: str, options: HostOptions | None = None) -> AsyncIterator[list[Host]]:
    """Open a host each; E1 listens."""
    async with trio.open_nursery() as nursery:
        opened: dict[str, Host] = {}
        done, ended = trio.Event(), []

        async def party(name: str, task_status: trio.TaskStatus[None]) -> None:
            async with open_host(name, hub, name if name == "E1" else "", options) as host:
                opened[name] = host
                task_status.started()
                await done.wait()
            ended.append(name)

        for name in names:
            await nursery.start(party, name)
        yield [opened[name] for name in names]
        done.set()


async def say(channel: Channel, text: bytes, query: int = 1) -> None:
    await channel.endpoint(query, Clock()).send(TAG, text)


async def hear(channel: Channel, query: int = 1) -> bytes:
    return await channel.endpoint(query, Clock()).receive(TAG, most=100)


@pytest.mark.parametrize("order", [("E1", "E2"), ("E2", "E1")])
@pytest.mark.parametrize("pause", [0.0, 17.0])
async def test_a_link_stands_whoever_opens_the_room_first(
    order: tuple[str, str], pause: float, autojump_clock: trio.abc.Clock
) -> None:
    async with hosts(MemoryHub(), *order) as opened:
        rooms: dict[str, Room] = {}
        for host in opened:
            rooms[host.local] = host.open_room(room_of(host.local))
            await trio.sleep(pause)
        there, back = await rooms["E1"].link("E2", 10), await rooms["E2"].link("E1", 10)
        await say(there, b"hello")
        assert await hear(back) == b"hello"
        assert (set(rooms["E1"].links), set(rooms["E2"].links)) == ({"E2"}, {"E1"})
        assert rooms["E1"].links["E2"] is there


async def test_rooms_of_one_host_share_a_door_and_nothing_else(autojump_clock: trio.abc.Clock) -> None:
    async with hosts(MemoryHub(), "E1", "E2", "HC") as (first, second, centre):
        one, other = first.open_room(room_of("E1", "aa")), first.open_room(room_of("E1", "bb"))
        second.open_room(room_of("E2", "aa"))
        second.open_room(room_of("E2", "bb"))
        centre.open_room(room_of("HC", "bb"))
        await one.link("E2", 1)
        await other.link("HC", 1)
        left = await other.link("E2", 1)
        assert sorted(one.links) == ["E2"]
        await one.close()
        assert sorted(other.links) == ["E2", "HC"]
        assert not left.ended
        assert sorted(first.rooms) == ["bb"]


async def test_a_caller_of_an_unknown_room_is_told_and_calls_again(autojump_clock: trio.abc.Clock) -> None:
    events = Events()
    async with hosts(MemoryHub(), "E1", "E2", options=events.options()) as (first, second):
        room = second.open_room(room_of("E2"))
        with pytest.raises(PeerTimeout) as caught:
            await room.link("E1", 3)
        why = f"E1 has no deployment {CLINIC}"
        assert str(caught.value) == f"E2: E1 (E1) is not linked now: last error: E1 stopped: {why}; waited 3 s"
        # Eight calls in three seconds: after 0, 0.05, 0.15, 0.35, 0.75, 1.55, and 3.15 is too late.
        assert first.refused == 6
        assert ("a caller", why) in events.of("refused")
        again = [line for (line,) in events.of("report") if line.startswith("E2: no link to E1")]
        assert again == [f"E2: no link to E1 (E1) in {CLINIC}, calling again: E1 stopped: {why}"]
        first.open_room(room_of("E1"))
        assert not (await room.link("E1", 5)).ended


async def test_a_link_that_is_cut_comes_back_and_its_service_too(autojump_clock: trio.abc.Clock) -> None:
    events, served = Events(), []

    async def serve(channel: Channel) -> None:
        served.append(channel)
        try:
            await trio.sleep_forever()
        finally:
            served.remove(channel)

    async with hosts(MemoryHub(), "E1", "E2", options=events.options()) as (first, second):
        room = first.open_room(room_of("E1"), serve)
        calls = second.open_room(room_of("E2"))
        old = await room.link("E2", 1)
        await trio.sleep(1)
        assert served == [old]
        await calls.links["E1"]._wire._stream.aclose()
        await trio.sleep(1)
        assert (await room.link("E2", 1)) is not old
        assert served == [room.links["E2"]]
        assert old.ended
        downs = [why for name, peer, why in events.of("down") if (name, peer) == (CLINIC, "E2")]
        assert len(downs) == 1
        assert "E1: E2 closed the link without a goodbye" in downs[0]
        assert events.of("up").count((CLINIC, "E2")) == 2
    assert served == []


async def test_a_peer_that_is_not_linked_is_a_peer_lost_with_the_last_error(autojump_clock: trio.abc.Clock) -> None:
    async with hosts(MemoryHub(), "E1", "E2") as (first, second):
        room = first.open_room(room_of("E1"))
        with pytest.raises(PeerLost, match=r"^E1: E2 is not linked now: it has not called$"):
            room.links["E2"]
        with pytest.raises(PeerLost, match=r"^E1: HMS1 is not linked now: nobody calls it$"):
            room.links["HMS1"]
        assert room.links.get("E2") is None
        assert "E2" not in room.links
        calls = second.open_room(room_of("E2"))
        await room.link("E2", 1)
        await calls.link("E1", 1)
        await calls.close("no model")
        await trio.sleep(1)
        with pytest.raises(PeerLost, match=r"^E1: E2 is not linked now: last error: E2 stopped: no model$"):
            room.links["E2"]


async def test_a_closed_room_says_goodbye_and_turns_callers_away(autojump_clock: trio.abc.Clock) -> None:
    async with hosts(MemoryHub(), "E1", "E2") as (first, second):
        room, calls = first.open_room(room_of("E1")), second.open_room(room_of("E2"))
        channel = await calls.link("E1", 1)

        async def wait() -> None:
            with pytest.raises(LinkClosed, match=f"E1: the room {CLINIC} is closed: retired"):
                await room.link("HC", 100)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(1)
            await room.close("retired")
        with pytest.raises(PeerAbort, match="E1 stopped: retired"):
            await hear(channel)
        await trio.sleep(1)
        with pytest.raises(PeerTimeout, match=f"last error: E1 stopped: E1 has closed {CLINIC}: retired"):
            await calls.link("E1", 1)
        await room.close()
        first.open_room(room_of("E1"))
        await calls.link("E1", 10)


async def test_the_end_of_the_host_is_a_goodbye_and_a_cancelled_one_says_so(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()

    async def second(why: type[TransportError], words: str) -> None:
        async with open_host("E2", hub) as host:
            channel = await host.open_room(room_of("E2")).link("E1", 10)
            with pytest.raises(why, match=words):
                await hear(channel)

    for end, why, words in [
        ("goodbye", PeerLost, "said goodbye"),
        ("cancel", PeerAbort, "E1 stopped: cancelled"),
        ("failure", PeerAbort, r"E1 stopped: internal error \(ZeroDivisionError\)"),
    ]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second, why, words)
            with trio.CancelScope() as scope:
                try:
                    async with open_host("E1", hub, "E1") as host:
                        await host.open_room(room_of("E1")).link("E2", 10)
                        if end == "failure":
                            1 / 0  # noqa: B018
                        if end == "cancel":
                            scope.cancel()
                            await trio.sleep_forever()
                except ZeroDivisionError:
                    assert end == "failure"
            assert scope.cancelled_caught == (end == "cancel")


class OutOfMasks(Exception):
    exit_code = 2


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (OutOfMasks("batch 7 is used up"), "E1 stopped: batch 7 is used up"),
        (PeerLost("E1: HC has left"), "E1 stopped: HC has left"),
        (PeerAbort("HC", "no model"), "HC stopped: no model"),
        (ExceptionGroup("", [OutOfMasks("x"), OutOfMasks("y")]), "E1 stopped: x"),
        (ZeroDivisionError("the reading is 37.2"), r"E1 stopped: internal error \(ZeroDivisionError\)"),
        (ExceptionGroup("", [OutOfMasks("x"), ZeroDivisionError()]), r"internal error \(ZeroDivisionError\)"),
    ],
    ids=["ours", "a lost peer", "of a third", "in a group", "a bug", "a bug in a group"],
)
async def test_a_service_that_fails_costs_its_own_link_only(
    failure: Exception, told: str, autojump_clock: trio.abc.Clock
) -> None:
    events = Events()

    async def serve(channel: Channel) -> None:
        if channel.peer == "HC":
            await trio.sleep_forever()
        await trio.sleep(1)
        raise failure

    async with hosts(MemoryHub(), "E1", "E2", "HC", options=events.options()) as (first, second, centre):
        room = first.open_room(room_of("E1"), serve)
        other = await centre.open_room(room_of("HC")).link("E1", 1)
        channel = await second.open_room(room_of("E2")).link("E1", 1)
        with pytest.raises(PeerAbort, match=told):
            await hear(channel)
        assert not other.ended
        assert not (await room.link("E2", 1)).ended
        reports = [line for (line,) in events.of("report") if "mistake" in line]
        assert len(reports) == ("internal" in told)
        assert "37.2" not in str(events)
        if reports:
            assert reports[0].startswith("E1: a mistake of ours, please report it: ZeroDivisionError")


async def test_a_mismatch_is_reported_once_and_called_again_slowly(autojump_clock: trio.abc.Clock) -> None:
    events = Events()
    async with hosts(MemoryHub(), "E1", "E2", options=events.options()) as (first, second):
        first.open_room(RoomSpec(Hello("E1", run=CLINIC, fields={"digits": "4"}), inbound=["E2"]))
        room = second.open_room(room_of("E2"))
        with pytest.raises(PeerTimeout, match="digits differs: ours None, theirs '4'"):
            await room.link("E1", 22)
        assert first.refused == 5
        assert len([line for (line,) in events.of("report") if line.startswith("E2: ")]) == 1
        await room.close()
        later = second.open_room(RoomSpec(Hello("E2", run=CLINIC, fields={"digits": "4"}), outbound={"E1": "E1"}))
        await later.link("E1", 1)


async def test_another_version_and_a_wrong_address_are_told_as_ever(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    async with hosts(hub, "E1", "E2") as (first, second):
        first.open_room(room_of("E1"))
        room = second.open_room(RoomSpec(Hello("E2", run=CLINIC, version=2), outbound={"E1": "E1"}))
        with pytest.raises(PeerTimeout, match="protocol version differs: ours 2, theirs 1"):
            await room.link("E1", 1)
        wrong = second.open_room(RoomSpec(Hello("E2", run="x"), outbound={"HC": "E1"}))
        with pytest.raises(PeerTimeout, match="we wanted HC and reached E1: check the addresses"):
            await wrong.link("HC", 1)
        with pytest.raises(PeerTimeout, match="E1 does not expect a call from HMS1 in north-clinic"):
            async with open_host("HMS1", hub) as third:
                await third.open_room(room_of("HMS1")).link("E1", 1)


async def test_clients_come_and_go_by_a_predicate(autojump_clock: trio.abc.Clock) -> None:
    hub, meter = MemoryHub(), Meter("E1")
    async with open_host("E1", hub, "E1") as host:
        room = host.open_room(room_of("E1", inbound=lambda name: name.startswith("HMS"), meter=meter))
        for visit in range(3):
            for name in ("HMS1", "HMS2"):
                async with open_host(name, hub) as client:
                    await say(await client.open_room(room_of(name)).link("E1", 1), b"reading", visit)
                    assert await hear(await room.link(name, 1), visit) == b"reading"
        assert dict(room.links) == {}
        assert meter.report().links(Phase.ONLINE)["HMS1", "E1"].payload == 3 * len(b"reading")
        assert len(meter._links) == 2


async def test_both_ends_count_the_same_over_many_links(autojump_clock: trio.abc.Clock) -> None:
    meters = {"E1": Meter("E1"), "E2": Meter("E2")}
    async with hosts(MemoryHub(), "E1", "E2") as (first, second):
        room = first.open_room(room_of("E1", meter=meters["E1"]))
        calls = second.open_room(room_of("E2", meter=meters["E2"]))
        for visit in range(5):
            await say(await calls.link("E1", 1), b"12345", visit)
            channel = await room.link("E2", 1)
            assert await hear(channel, visit) == b"12345"
            await channel.abort("E1", "again")
            await trio.sleep(1)
    reports = [meter.report() for meter in meters.values()]
    assert reports[0].links(Phase.ONLINE) == reports[1].links(Phase.ONLINE)
    assert reports[0].links(Phase.ONLINE)["E2", "E1"].messages == 5


async def test_wrong_rooms_are_our_own_mistake() -> None:
    async with open_host("E1", MemoryHub(), "E1") as host:
        host.open_room(room_of("E1"))
        with pytest.raises(ValueError, match="is open already"):
            host.open_room(room_of("E1"))
        with pytest.raises(ValueError, match="cannot open a room as E2"):
            host.open_room(room_of("E2", "x"))
        with pytest.raises(ValueError, match="either calls or is called"):
            room_of("E1", inbound=["E2"], outbound={"E2": "E2"})
        with pytest.raises(ValueError, match="not ourselves"):
            room_of("E1", inbound=lambda name: True)
    with pytest.raises(ValueError, match="at least one guest"):
        HostOptions(guests=0)
