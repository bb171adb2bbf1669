"""Callers that are slow, silent, half-open, garbled or many harm nobody but themselves; memory, TCP and TLS."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from transport.certificates import Authority, Span
from transport.credentials import HeldCredentials
from transport.errors import PeerAbort, PeerLost, PeerTimeout
from transport.framing import Kind, pack_header
from transport.handshake import Hello, encode_hello
from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.memory import MemoryHub, MemoryListener
from transport.network import seeded_jitter
from transport.standing import Host, HostOptions, Room, RoomSpec, open_host
from transport.standing import _neighbourhood as neighbourhood
from transport.tcp import Tcp
from transport.tls import Tls

TAG = Tag(Phase.ONLINE, 1, 1)
CALLED = RoomSpec(Hello("E1", run="r"), inbound=lambda name: name != "E1")


def calling(own: str, address: str = "E1", run: str = "r") -> RoomSpec:
    return RoomSpec(Hello(own, run=run), outbound={"E1": address})


def greeting(name: str, run: str = "r") -> bytes:
    payload = encode_hello(Hello(name, run=run, wanted="E1"))
    return pack_header(Kind.HELLO, 0, 0, 0, 0, Kind.HELLO, len(payload)) + payload


async def exchange(room: Room, calls: Room, query: int = 1) -> None:
    """Send there and back."""
    caller, called = await calls.link("E1", 10), await room.link(calls.spec.hello.local, 10)
    for sender, receiver in ((caller, called), (called, caller)):
        await sender.endpoint(query, Clock()).send(TAG, b"reading")
        assert await receiver.endpoint(query, Clock()).receive(TAG, most=7) == b"reading"


async def test_a_silent_caller_is_gone_after_the_time_of_a_handshake(autojump_clock: trio.abc.Clock) -> None:
    hub, told = MemoryHub(), []
    async with open_host("E1", hub, "E1", HostOptions(refused=lambda who, why: told.append(why))) as host:
        host.open_room(CALLED)
        began = trio.current_time()
        stream = await hub.connect("E1")
        while await stream.receive_some():
            pass
        assert trio.current_time() - began == 10
        assert (host.refused, told) == (1, ["a caller did not greet within 10 s"])
        await stream.aclose()


async def test_a_caller_that_greets_byte_by_byte_is_gone_in_the_same_time(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    async with open_host("E1", hub, "E1") as host:
        host.open_room(CALLED)
        stream = await hub.connect("E1")
        began = trio.current_time()
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            for byte in greeting("E2") * 100:
                await stream.send_all(bytes([byte]))
                await trio.sleep(1)
        assert trio.current_time() - began <= 10 + 4
        await stream.aclose()


async def test_all_places_taken_by_silent_callers_are_free_again_after_one_handshake(
    autojump_clock: trio.abc.Clock,
) -> None:
    """Without addresses nobody can be told apart; the others wait in the queue, and get in."""
    hub = MemoryHub()
    async with open_host("E1", hub, "E1") as host, open_host("E2", hub) as caller:
        room = host.open_room(CALLED)
        silent = [await hub.connect("E1") for _ in range(64)]
        calls = caller.open_room(calling("E2"))
        with pytest.raises(PeerTimeout):
            await room.link("E2", 9)
        await exchange(room, calls)
        for stream in silent:
            await stream.aclose()


async def test_more_links_than_allowed_are_refused_by_name_and_in_all(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    options = HostOptions(links=4, links_each=2)
    async with open_host("E1", hub, "E1", options) as host, open_host("HMS1", hub) as one:
        for run in "abc":
            host.open_room(RoomSpec(Hello("E1", run=run), inbound=lambda name: name != "E1"))
        first = [one.open_room(calling("HMS1", run=run)) for run in "ab"]
        for room in first:
            await room.link("E1", 1)
        with pytest.raises(PeerTimeout, match="E1 has 2 links to HMS1 already, and no more at a time"):
            await one.open_room(calling("HMS1", run="c")).link("E1", 3)
        async with open_host("HMS2", hub) as other, open_host("HMS3", hub) as third:
            for run in "ab":
                await other.open_room(calling("HMS2", run=run)).link("E1", 1)
            calls = third.open_room(calling("HMS3", run="a"))
            with pytest.raises(PeerTimeout, match="E1 has 4 links already, and no more at a time"):
                await calls.link("E1", 3)
            await first[0].close()


async def test_a_party_that_links_again_at_once_all_the_time_is_slowed(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    async with open_host("E1", hub, "E1", HostOptions(links_each=5)) as host:
        host.open_room(CALLED)

        async def flap() -> None:
            while True:
                stream = await hub.connect("E1")
                await stream.send_all(greeting("E2"))
                await stream.receive_some()
                await stream.aclose()
                await trio.sleep(0.01)

        ups = []
        object.__setattr__(host._house.options, "link_up", lambda room, peer: ups.append(trio.current_time()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flap)
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        # Five a second, and the first five.
        assert len(ups) <= 55


async def test_no_more_files_is_reported_and_passes(autojump_clock: trio.abc.Clock) -> None:
    class Full(MemoryListener):
        left = 30

        async def accept(self) -> trio.abc.Stream:
            if self.left:
                self.left -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return await super().accept()

    class FullHub(MemoryHub):
        async def listen(self, address: str) -> MemoryListener:
            self._listeners[address] = Full(self, address)
            return self._listeners[address]

    hub, lines = FullHub(), []
    async with open_host("E1", hub, "E1", HostOptions(report=lines.append)) as host, open_host("E2", hub) as caller:
        room = host.open_room(CALLED)
        await exchange(room, caller.open_room(calling("E2")))
        assert host.refused == 30
        accepting = "E1: turned a caller away: accepting failed: [Errno 24] Too many open files"
        # Thirty in a second and a half, a line a second.
        assert lines == [accepting, f"{accepting} (and 19 more before)"]


FRAMES = (
    greeting("E2"),
    greeting("HMS9"),
    greeting("E2", run="x\n"),
    greeting("E1"),
    pack_header(Kind.ABORT, 0, 0, 0, 0, Kind.ABORT, 3) + b"abc",
    pack_header(Kind.BYE, 0, 0, 0, 0, Kind.BYE, 0),
    pack_header(Kind.DATA, 1, 1, 0, 1, TAG.pack(), 2**16),
    pack_header(Kind.KEEPALIVE, 0, 0, 1, 0, Kind.KEEPALIVE, 0),
    bytes.fromhex("160301"),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(FRAMES) | st.binary(max_size=60), max_size=4).map(b"".join) | st.none(), max_size=4
    )
)
def test_whatever_callers_send_the_host_lives_and_a_party_gets_in(callers: list[bytes | None]) -> None:
    """Each sends something, or closes at once, and stays as long as it is let."""
    lines: list[str] = []

    async def call(hub: MemoryHub, said: bytes | None) -> None:
        stream = await hub.connect("E1")
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if said is not None:
                await stream.send_all(said)
                while await stream.receive_some():
                    pass
        await stream.aclose()

    async def main() -> None:
        hub = MemoryHub()
        async with open_host("E1", hub, "E1", HostOptions(report=lines.append)) as host:
            room = host.open_room(CALLED)
            async with trio.open_nursery() as nursery:
                for said in callers:
                    nursery.start_soon(call, hub, said)
                await trio.sleep(100)
                async with open_host("HC", hub) as caller:
                    await exchange(room, caller.open_room(calling("HC")))
                nursery.cancel_scope.cancel()
            assert host._guests == {}

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [line for line in lines if "mistake" in line or not line.isprintable()] == []


async def test_a_hundred_clients_come_back_spread_over_time_when_a_party_starts_again(
    autojump_clock: trio.abc.Clock,
) -> None:
    calls: list[float] = []

    class Counting(MemoryHub):
        async def connect(self, address: str) -> trio.abc.Stream:
            calls.append(trio.current_time())
            if not self._listeners:
                raise PeerLost("connection refused")
            return await super().connect(address)

    hub, chance = Counting(), seeded_jitter(b"one")
    async with trio.open_nursery() as nursery:

        async def client(name: str) -> None:
            async with open_host(name, hub, "", HostOptions(chance=chance)) as host:
                host.open_room(calling(name))
                await trio.sleep_forever()

        for number in range(100):
            nursery.start_soon(client, f"HMS{number}")
        for _ in range(2):
            async with open_host("E1", hub, "E1") as host:
                room = host.open_room(CALLED)
                began = trio.current_time()
                for number in range(100):
                    await room.link(f"HMS{number}", 10)
                assert trio.current_time() - began < 7.6
                await trio.sleep(10)
            calls.clear()
            await trio.sleep(40)
        nursery.cancel_scope.cancel()
    # Without the party, at pauses of 5 s on average: 100 clients call 20 times a second, and not 100 at once.
    late = [int(10 * when) for when in calls if when > calls[0] + 20]
    assert 300 < len(late) < 500
    assert max(Counter(late).values()) < 12


def test_what_counts_as_one_address() -> None:
    assert neighbourhood("192.0.2.7") == neighbourhood("::ffff:192.0.2.7") == "192.0.2.7"
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2::9%eth0") == "2001:db8:1:2::/64"
    assert neighbourhood("2001:db8:1:3::9") != neighbourhood("2001:db8:1:2::9")
    assert neighbourhood("an address that is gone") == "an address that is gone"


# Over real connections on loopback.


@pytest.fixture(scope="module")
def authority() -> Authority:
    import datetime as dt

    return Authority.create(Span.days(dt.datetime.now(dt.UTC), 30))


Carriers = dict[str, "Tcp | Tls"]


@pytest.fixture(params=["tcp", "tls"])
def carriers(request: pytest.FixtureRequest, authority: Authority) -> Carriers:
    return carriers_of(authority, tls=request.param == "tls")


def carriers_of(authority: Authority, *, tls: bool) -> Carriers:
    names = ("E1", "E2", "HC", "HMS1")
    if not tls:
        return {name: Tcp() for name in names}
    span = Span(authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc)
    return {name: Tls(HeldCredentials(authority.issue(name, span))) for name in names}


@asynccontextmanager
async def two(carriers: Carriers, options: HostOptions | None = None) -> AsyncIterator[tuple[Host, Room, Room]]:
    """Give E1's host and room, and the room of E2, which is linked."""
    with trio.fail_after(60):
        async with (
            open_host("E1", carriers["E1"], "127.0.0.1:0", options) as host,
            open_host("E2", carriers["E2"]) as caller,
        ):
            room = host.open_room(CALLED)
            calls = caller.open_room(calling("E2", host.address))
            await exchange(room, calls, 0)
            yield host, room, calls


def dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    raw = socket.create_connection((host, int(port)))
    raw.setblocking(False)
    return raw


async def ended(raw: socket.socket) -> None:
    """Wait until the other end has closed."""
    while True:
        await trio.lowlevel.wait_readable(raw)
        try:
            if not raw.recv(2**16):
                return
        except OSError:
            return


async def test_last_words_of_a_cancelled_host_arrive_though_it_is_being_sent_to(carriers: Carriers) -> None:
    """Whoever closes with unread bytes resets the connection: the other end would hear of a reset alone."""
    stop = trio.CancelScope()
    linked = trio.Event()
    bound: list[str] = []

    async def cancelled(task_status: trio.TaskStatus[None]) -> None:
        with stop:
            async with open_host("E1", carriers["E1"], "127.0.0.1:0") as host:
                bound.append(host.address)
                room = host.open_room(CALLED)
                task_status.started()
                await room.link("E2", 10)
                linked.set()
                await trio.sleep_forever()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, open_host("E2", carriers["E2"]) as caller:
            await nursery.start(cancelled)
            channel = await caller.open_room(calling("E2", bound[0])).link("E1", 10)
            await linked.wait()
            with pytest.raises(PeerAbort, match="E1 stopped: cancelled"):
                for query in itertools.count():
                    await channel.endpoint(query, Clock()).send(TAG, bytes(2**18))
                    if query == 20:
                        stop.cancel()
                    await trio.lowlevel.checkpoint()


async def test_silent_callers_of_one_address_leave_room_for_parties(carriers: Carriers) -> None:
    """More of them than places: those over the limit are closed at once, the rest after the time of a handshake."""
    told: list[str] = []
    options = HostOptions(
        guests_each=8, handshake_seconds=0.3, rude_seconds=0.1, refused=lambda who, why: told.append(why)
    )
    async with two(carriers, options) as (host, room, calls):
        silent = [dial(host.address) for _ in range(40)]
        async with trio.open_nursery() as nursery:
            for raw in silent:
                nursery.start_soon(ended, raw)
            for query in range(1, 20):
                await exchange(room, calls, query)
        assert told.count("8 callers from 127.0.0.1 are greeting already") == 32
        assert [why for why in told[32:] if not why.endswith("did not greet within 0.3 s")] == []
        assert host.refused == 40
        for raw in silent:
            raw.close()
        # Their address has its places again after a moment, and E2 may come back from it.
        await calls.links["E1"].abort("E2", "again")
        await exchange(room, calls)


async def test_garbage_floods_stop_nobody(carriers: Carriers) -> None:
    """Four callers send garbage and call again as fast as they can while a party exchanges messages."""
    told: list[str] = []
    options = HostOptions(guests_each=4, rude_seconds=30, refused=lambda who, why: told.append(why))
    async with two(carriers, options) as (_, room, calls):

        async def flood() -> None:
            while True:
                raw = dial(calls.spec.outbound["E1"])
                try:
                    raw.send(b"\x00" * 65536)
                    await ended(raw)
                except OSError:
                    pass
                finally:
                    raw.close()
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(flood)
            query = 1
            while len(told) < 30:
                await exchange(room, calls, query)
                query += 1
            nursery.cancel_scope.cancel()
        assert not calls.links["E1"].ended
        # Four were heard, and their address kept its places: it costs us an accept and a close from then on.
        over = [why for why in told if why == "4 callers from 127.0.0.1 are greeting already"]
        assert len(told) - len(over) == 4


async def test_a_linked_client_that_floods_stops_at_its_buffer_and_nobody_else(carriers: Carriers) -> None:
    """HMS1 sends tiny messages that nobody takes, as fast as the link takes them, until we stop reading."""
    options = HostOptions(limits=Limits(buffered_bytes=2**20, deadline_seconds=600))
    async with two(carriers, options) as (host, room, calls), open_host("HMS1", carriers["HMS1"]) as client:
        flooding = await client.open_room(calling("HMS1", host.address)).link("E1", 10)

        async def flood() -> None:
            query = 0
            while True:
                await flooding.endpoint(query, Clock()).send(TAG, b"")
                query += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            link = await room.link("HMS1", 10)
            query = 1
            while not link.blocked:
                await exchange(room, calls, query)
                query += 1
            for more in range(query, query + 50):
                await exchange(room, calls, more)
            # A read of 64 KiB may still be parsed when the limit is reached: 2,730 frames of 24 bytes.
            assert link._mail.size <= 2**20 + 2731 * 1024
            nursery.cancel_scope.cancel()


async def test_a_send_that_is_given_up_in_the_middle_ends_no_link(carriers: Carriers) -> None:
    """Twenty megabytes to a party that does not read just now; the query is given up, the others of the link go on."""
    async with two(carriers) as (_, room, calls):
        there, back = room.links["E2"], calls.links["E1"]
        back._mail.most = -1
        await there.endpoint(1, Clock()).send(TAG, b"stops the reading")
        payload = bytearray(b"x" * 20_000_000)
        with trio.move_on_after(0.2) as scope:
            await there.endpoint(2, Clock()).send(TAG, payload)
        assert scope.cancelled_caught
        payload[:] = bytes(len(payload))
        back._mail.most = 2**30
        assert await back.endpoint(1, Clock()).receive(TAG, most=100) == b"stops the reading"
        await exchange(room, calls, 3)
        assert await back.endpoint(2, Clock()).receive(TAG, most=2**25) == b"x" * 20_000_000
        assert (room.links["E2"], calls.links["E1"]) == (there, back)


async def test_a_client_that_reads_nothing_holds_up_nobody_else(carriers: Carriers) -> None:
    """HMS1's connection is frozen; what we send it fills its buffers and then waits, by itself."""
    options = HostOptions(limits=Limits(deadline_seconds=600))
    async with two(carriers, options) as (host, room, calls), open_host("HMS1", carriers["HMS1"]) as client:
        deaf = await client.open_room(calling("HMS1", host.address)).link("E1", 10)
        deaf._mail.most = -1
        await (await room.link("HMS1", 10)).endpoint(1, Clock()).send(TAG, b"")
        stuck = trio.Event()

        async def talk() -> None:
            end = (await room.link("HMS1", 10)).endpoint(2, Clock())
            while True:
                with trio.move_on_after(0.5) as scope:
                    await end.send(TAG, bytes(2**20))
                if scope.cancelled_caught:
                    stuck.set()
                    return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            query = 1
            while not stuck.is_set():
                await exchange(room, calls, query)
                query += 1
        assert not calls.links["E1"].ended


def highest_file() -> int:
    return max(int(each.name) for each in Path("/proc/self/fd").iterdir())


async def test_when_files_run_out_links_stay_and_callers_are_let_in_later(carriers: Carriers) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told: list[str] = []
    failed = trio.Event()

    def refused(_: str, why: str) -> None:
        told.append(why)
        failed.set()

    async with two(carriers, HostOptions(refused=refused)) as (host, room, calls):
        raw = dial(host.address)  # In the system's queue: nobody has accepted it yet.
        held: list[int] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest_file() + 2, hard))
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    held.append(os.dup(0))
            await failed.wait()
            await exchange(room, calls)
        finally:
            for number in held:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "Too many open files" in told[0]
        raw.close()
        async with open_host("HC", carriers["HC"]) as centre:
            await centre.open_room(calling("HC", host.address)).link("E1", 10)


class Relay:
    """Something on the way that forwards bytes until it is frozen: then nothing passes any more, no end either."""

    def __init__(self, target: str) -> None:
        self.target, self.address = target, ""
        self._pumps = trio.CancelScope()
        self._streams: list[trio.abc.Stream] = []

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        listener = await Tcp().listen("127.0.0.1:0")
        self.address = listener.address
        task_status.started()
        near = await listener.accept()
        far = await Tcp().connect(self.target)
        self._streams = [listener, near, far]
        with self._pumps:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, near, far)
                nursery.start_soon(self._pump, far, near)

    async def _pump(self, source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        while True:
            await sink.send_all(await source.receive_some())

    def freeze(self) -> None:
        self._pumps.cancel()

    async def aclose(self) -> None:
        for stream in self._streams:
            await stream.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_a_party_that_was_cut_off_is_not_locked_out_by_its_old_link(tls: bool, authority: Authority) -> None:
    """Its link is half-open: here nobody knows. With TLS the newcomer proves who it is; without, silence decides."""
    carriers = carriers_of(authority, tls=tls)
    options = HostOptions(limits=Limits(keepalive_seconds=0.1))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, open_host("E1", carriers["E1"], "127.0.0.1:0", options) as host:
            relay = Relay(host.address)
            await nursery.start(relay.run)
            room = host.open_room(CALLED)
            async with open_host("E2", carriers["E2"]) as cut_off, open_host("E2", carriers["E2"]) as again:
                await exchange(room, cut_off.open_room(calling("E2", relay.address)))
                old = room.links["E2"]
                relay.freeze()
                calls = again.open_room(calling("E2", host.address))
                await calls.link("E1", 30)
                assert old.ended or not tls
                await exchange(room, calls)
                assert old.ended
            await relay.aclose()
