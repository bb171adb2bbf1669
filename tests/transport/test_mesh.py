"""Links stand in any start order, over memory and TCP alike; strangers harm nobody, both ends hear of disagreement."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Collection, Mapping

import pytest
import trio
import trio.testing

from transport.errors import HandshakeMismatch, PeerAbort, PeerLost, PeerTimeout, TransportError
from transport.framing import Frame, FrameReader, Kind, pack_header
from transport.handshake import Hello, decode_abort, encode_hello
from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.memory import MemoryHub
from transport.mesh import Carrier, Links, MeshOptions, open_mesh, plan_links
from transport.meter import Meter, MeterReport
from transport.tcp import Tcp

TAG = Tag(Phase.ONLINE, 1, 1)
PARTIES = ("E1", "E2", "HC")
BASE = Hello("E1", run="r", fields={"digits": "4", "layer 1": "dense 8-40"})


class Book:
    """A carrier over which parties are called by name, wherever they are bound."""

    def __init__(self, carrier: Carrier, bind: str = "") -> None:
        self._carrier, self._bind = carrier, bind
        self.addresses: dict[str, str] = {}

    async def listen(self, address: str) -> object:
        listener = await self._carrier.listen(self._bind or address)
        self.addresses[address] = listener.address
        return listener

    async def connect(self, address: str) -> trio.abc.Stream:
        if address not in self.addresses:
            raise PeerLost("connection refused")
        return await self._carrier.connect(self.addresses[address])


def tcp_book() -> Book:
    return Book(Tcp(), "127.0.0.1:0")


def mesh(
    name: str,
    carrier: object,
    peers: Collection[str],
    *,
    hello: Hello | None = None,
    options: MeshOptions | None = None,
    reachable: Collection[str] = PARTIES,
):
    inbound, outbound = plan_links(name, [p for p in peers if p != name], {p: p for p in reachable})
    listen = name if inbound else ""
    own = hello or Hello(name, run=BASE.run, fields=BASE.fields)
    return open_mesh(own, carrier, listen=listen, inbound=inbound, outbound=outbound, options=options)


async def exchange(own: str, links: Links) -> None:
    """Send to every other party, then receive from every other."""
    clock = Clock()
    ends = [links[peer].endpoint(7, clock) for peer in sorted(links)]
    for end in ends:
        await end.send(TAG, own.encode() * 1000)
    for end in ends:
        assert await end.receive(TAG, most=10**6) == end.peer.encode() * 1000
    assert clock.depth == 1


async def run_three(carrier: object, order: Collection[str] = PARTIES, pause: float = 0.0) -> MeterReport:
    meters = {name: Meter(name) for name in PARTIES}

    async def party(name: str) -> None:
        async with mesh(name, carrier, PARTIES, options=MeshOptions(meter=meters[name])) as links:
            assert sorted(links) == sorted(p for p in PARTIES if p != name)
            await exchange(name, links)

    async with trio.open_nursery() as nursery:
        for name in order:
            nursery.start_soon(party, name)
            await trio.sleep(pause)
    report = MeterReport.merge(meter.report() for meter in meters.values())
    report.check_conserved()
    return report


@pytest.mark.parametrize("order", list(itertools.permutations(PARTIES)), ids=" ".join)
@pytest.mark.parametrize("kind", ["hub", "book"])
async def test_links_stand_in_any_start_order(
    order: tuple[str, ...], kind: str, autojump_clock: trio.abc.Clock
) -> None:
    report = await run_three(MemoryHub() if kind == "hub" else Book(MemoryHub()), order, pause=17)
    assert report.links(Phase.ONLINE)["E1", "E2"].payload == 2000
    assert report.links(Phase.ONLINE)["HC", "E2"].total == 2024


async def test_tcp_counts_the_same_bytes_as_memory() -> None:
    over_tcp, over_memory = await run_three(tcp_book()), await run_three(MemoryHub())
    assert over_tcp == over_memory
    hello = len(encode_hello(BASE.to("E2")))
    assert over_tcp.links(Phase.CONTROL)["E1", "E2"].payload == hello


async def test_large_message_may_come_in_one_piece_with_the_greeting(autojump_clock: trio.abc.Clock) -> None:
    hub, size = MemoryHub(), 200_000

    async def first() -> None:
        listener = await hub.listen("E1")
        raw = await listener.accept()
        message = pack_header(Kind.DATA, 1, 1, 1, 1, TAG.pack(), size) + bytes(size)
        await raw.send_all(greeting(Hello("E1", run=BASE.run, fields=BASE.fields, wanted="E2")) + message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        async with mesh("E2", hub, ("E1", "E2")) as links:
            assert len(await links["E1"].endpoint(1, Clock()).receive(TAG, most=size)) == size


def test_every_pair_decides_alike_who_calls() -> None:
    everyone = ("HMS1", "E2", "HC", "E1")
    plans = {name: plan_links(name, [p for p in everyone if p != name], {p: p for p in PARTIES}) for name in everyone}
    assert plans["E1"] == (["HMS1", "E2", "HC"], {})
    assert plans["HMS1"] == ([], {"E2": "E2", "HC": "HC", "E1": "E1"})
    for one, other in itertools.combinations(everyone, 2):
        assert (other in plans[one][0]) == (one in plans[other][1])
        assert (one in plans[other][0]) == (other in plans[one][1])
    with pytest.raises(ValueError, match="neither HMS1 nor HMS2 has an address"):
        plan_links("HMS1", ["HMS2"], {})


@pytest.mark.parametrize(
    ("inbound", "outbound", "words"),
    [(["E2"], {}, "has no address"), ([], {"E1": "a"}, "not ourselves"), (["E1"], {"E1": "a"}, "address")],
)
async def test_impossible_plans_are_our_mistake(inbound: list[str], outbound: Mapping[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        async with open_mesh(Hello("E1"), MemoryHub(), inbound=inbound, outbound=outbound):
            pass


async def test_waiting_is_reported_once_a_second_and_ends_at_the_deadline(autojump_clock: trio.abc.Clock) -> None:
    lines: list[str] = []
    began = trio.current_time()
    with pytest.raises(PeerTimeout) as caught:
        async with mesh("E2", Book(MemoryHub()), PARTIES, options=MeshOptions(report=lines.append)):
            pass
    assert trio.current_time() - began == 60
    first = "E2: waiting for E1 (E1), {} s of 60 s, last error: connection refused"
    second = "E2: waiting for HC to call, {} s of 60 s"
    assert lines[:4] == [second.format(1), first.format(1), second.format(2), first.format(2)]
    assert str(caught.value).startswith(f"{second.format(60)}; {first.format(60)}: start the missing parties")


async def test_silent_connections_stop_nobody(autojump_clock: trio.abc.Clock) -> None:
    lines: list[str] = []
    hub = MemoryHub()
    async with trio.open_nursery() as nursery:

        async def first() -> None:
            async with mesh("E1", hub, ("E1", "E2"), options=MeshOptions(report=lines.append)) as links:
                assert links.refused >= 64
                await exchange("E1", links)

        nursery.start_soon(first)
        await trio.sleep(1)
        half_open = [await hub.connect("E1") for _ in range(70)]
        async with mesh("E2", hub, ("E1", "E2")) as links:
            await exchange("E2", links)
        assert "E1: turned a caller away: a caller did not greet within 10 s" in lines
        answer = read_frames(await half_open[0].receive_some())
        assert decode_abort(answer[0].payload).reason == "a caller did not greet within 10 s"


def read_frames(data: bytes | bytearray) -> list[Frame]:
    return FrameReader().feed(data)


def greeting(hello: Hello) -> bytes:
    payload = encode_hello(hello)
    return pack_header(Kind.HELLO, 0, 0, 0, 0, Kind.HELLO, len(payload)) + payload


STRANGERS = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n        ", "expected frame version 1, came 47"),
    "another frame version": (b"\0\0\0\0\x02" + bytes(19), "expected frame version 1, came 2"),
    "a message first": (pack_header(0, 0, 0, 0, 0, TAG.pack(), 0), "expected a greeting, came a frame of kind DATA"),
    "a greeting that is none": (pack_header(1, 0, 0, 0, 0, 1, 1) + b"\x01", "expected a list"),
    "too long a greeting": (pack_header(1, 0, 0, 0, 0, 1, 2**20), "at most 65536 bytes"),
    "a party nobody expects": (greeting(Hello("HMS1", wanted="E1")), "E1 does not expect a call from HMS1"),
    "a stranger of another version": (greeting(Hello("X", wanted="E1", version=9)), "protocol version 9, ours 1"),
    "half a greeting": (greeting(Hello("E2", wanted="E1"))[:30], "did not greet within 10 s"),
}


@pytest.mark.parametrize("case", STRANGERS)
async def test_stranger_is_told_why_and_stops_nobody(case: str, autojump_clock: trio.abc.Clock) -> None:
    sent, words = STRANGERS[case]
    hub = MemoryHub()
    lines: list[str] = []
    async with trio.open_nursery() as nursery:

        async def first() -> None:
            async with mesh("E1", hub, ("E1", "E2"), options=MeshOptions(report=lines.append)) as links:
                assert links.refused == 1
                await exchange("E1", links)

        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        stranger = await hub.connect("E1")
        await stranger.send_all(sent)
        frames = read_frames(await stranger.receive_some())
        assert [frame.kind for frame in frames] == [Kind.ABORT]
        told = decode_abort(frames[0].payload)
        assert told.origin == "E1"
        assert words in told.reason
        assert any(words in line for line in lines)
        async with mesh("E2", hub, ("E1", "E2")) as links:
            await exchange("E2", links)


async def test_second_copy_of_a_party_is_turned_away(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    async with trio.open_nursery() as nursery:

        async def first() -> None:
            async with mesh("E1", hub, PARTIES) as links:
                assert links.refused >= 1
                await exchange("E1", links)

        nursery.start_soon(first)
        async with mesh("E2", hub, PARTIES[:2]) as links:
            with pytest.raises(PeerTimeout, match="E1 is linked to a E2 already: is it running twice"):
                async with mesh("E2", hub, PARTIES[:2], options=MeshOptions(join_seconds=5)):
                    pass
            async with mesh("HC", hub, ("E1", "HC")) as others:
                nursery.start_soon(exchange, "HC", others)
                await exchange("E2", links)
                await trio.sleep(1)


DISAGREEMENTS = {
    "another setting": ({"fields": {**BASE.fields, "digits": "3"}}, "digits differs"),
    "another layer": ({"fields": {**BASE.fields, "layer 1": "dense 8-41"}}, "layer 1 differs"),
    "another run": ({"run": "yesterday"}, "run differs"),
    "another version": ({"version": 2}, "protocol version differs"),
}


@pytest.mark.parametrize("kind", ["memory", "tcp"])
@pytest.mark.parametrize("case", DISAGREEMENTS)
async def test_expected_peer_that_disagrees_stops_both(case: str, kind: str) -> None:
    changed, words = DISAGREEMENTS[case]
    carrier = MemoryHub() if kind == "memory" else tcp_book()
    found: list[str] = []

    async def party(hello: Hello) -> None:
        with pytest.raises(HandshakeMismatch, match=words):
            async with mesh(hello.local, carrier, ("E1", "E2"), hello=hello):
                pass
        found.append(hello.local)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(party, BASE)
        nursery.start_soon(party, Hello(**{"local": "E2", "run": "r", "fields": BASE.fields, **changed}))
    assert sorted(found) == ["E1", "E2"]


async def test_two_parties_that_say_they_are_e1_are_told_so() -> None:
    hub = MemoryHub()

    async def party(listen: str, inbound: list[str], outbound: dict[str, str]) -> None:
        with pytest.raises(
            HandshakeMismatch, match="both ends say that they are E1: start one of them as another party"
        ):
            async with open_mesh(BASE, hub, listen=listen, inbound=inbound, outbound=outbound):
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(party, "E1", ["E2"], {})
        nursery.start_soon(party, "", [], {"E2": "E1"})


async def test_call_that_reached_another_party_says_whom(autojump_clock: trio.abc.Clock) -> None:
    """E2's address book has HC's address under E1."""
    hub = MemoryHub()

    async def centre() -> None:
        with pytest.raises(HandshakeMismatch, match="wanted name differs: ours 'HC', theirs 'E1'; E2 wanted E1"):
            async with open_mesh(Hello("HC"), hub, listen="HC", inbound=["E2"]):
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(centre)
        with pytest.raises(HandshakeMismatch, match="peer's name differs: ours 'E1', theirs 'HC'"):
            async with open_mesh(Hello("E2"), hub, outbound={"E1": "HC"}):
                pass


@pytest.mark.parametrize("centre_peers", [PARTIES, (*PARTIES, "DEALER")], ids=["linked", "still waiting"])
async def test_disagreement_of_two_stops_the_third_at_once(
    centre_peers: tuple[str, ...], autojump_clock: trio.abc.Clock
) -> None:
    hub = MemoryHub()

    async def centre() -> None:
        with pytest.raises(PeerAbort, match=r"stopped: handshake with E[12]: role differs"):
            async with mesh("HC", hub, centre_peers, hello=Hello("HC", role="centre")) as links:
                await links["E1"].endpoint(1, Clock()).receive(TAG, most=1)

    async def server(name: str, start: float) -> None:
        await trio.sleep(start)
        with pytest.raises(HandshakeMismatch, match="both ends say that they are server"):
            async with mesh(name, hub, PARTIES, hello=Hello(name, role="server")):
                pass

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(centre)
        nursery.start_soon(server, "E1", 1)
        nursery.start_soon(server, "E2", 20)
    assert trio.current_time() - began < 30


async def test_port_in_use_names_the_address_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            TransportError, match=f"cannot listen on {address}: address already in use; another process"
        ):
            async with open_mesh(Hello("E1"), Tcp(), listen=address, inbound=["E2"]):
                pass


async def test_name_in_use_in_a_hub_is_told_too() -> None:
    hub = MemoryHub()
    await hub.listen("E1")
    with pytest.raises(TransportError, match="E1 is in use"):
        await hub.listen("E1")


async def test_callers_in_the_queue_of_a_hub_hear_that_nobody_comes() -> None:
    hub = MemoryHub()
    listener = await hub.listen("E1")
    stream = await hub.connect("E1")
    await listener.aclose()
    assert await stream.receive_some() == b""
    crowded = await hub.listen("E2")
    with pytest.raises(PeerLost, match="too many callers wait"):
        for _ in range(2000):
            await hub.connect("E2")
    await crowded.aclose()


async def test_foreign_address_and_dead_port_are_told() -> None:
    with pytest.raises(TransportError, match=r"cannot listen on 192\.0\.2\.1:0: cannot assign requested address"):
        await Tcp().listen("192.0.2.1:0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(PeerLost, match="connection refused"):
        await Tcp().connect(f"127.0.0.1:{port}")


async def test_bound_port_is_reported() -> None:
    bound: list[str] = []
    options = MeshOptions(bound=bound.append, join_seconds=0.01)
    with pytest.raises(PeerTimeout):
        async with open_mesh(Hello("E1"), Tcp(), listen="127.0.0.1:0", inbound=["E2"], options=options):
            pass
    assert bound[0].startswith("127.0.0.1:")
    assert not bound[0].endswith(":0")


class OutOfMasks(Exception):
    exit_code = 2


@pytest.mark.parametrize("kind", ["memory", "tcp"])
@pytest.mark.parametrize(
    ("failure", "origin", "reason"),
    [
        (OutOfMasks("batch 7 is used up"), "E1", "batch 7 is used up"),
        (PeerAbort("HC", "no model"), "HC", "no model"),
        (ZeroDivisionError("the reading is 37.2"), "E1", "internal error (ZeroDivisionError)"),
        (ExceptionGroup("", [OutOfMasks("batch 7 is used up"), ZeroDivisionError()]), "E1", "batch 7 is used up"),
    ],
    ids=["ours", "of a third", "a bug", "in a group"],
)
async def test_failure_of_the_block_is_told_and_goes_on_as_it_is(
    failure: Exception, origin: str, reason: str, kind: str
) -> None:
    carrier = MemoryHub() if kind == "memory" else tcp_book()

    async def second() -> None:
        with pytest.raises(PeerAbort) as told:
            async with mesh("E2", carrier, ("E1", "E2")) as links:
                await links["E1"].endpoint(1, Clock()).receive(TAG, most=1)
        assert (told.value.origin, told.value.reason) == (origin, reason)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(second)
        with pytest.raises(type(failure)) as caught:
            async with mesh("E1", carrier, ("E1", "E2")):
                raise failure
        assert caught.value is failure


async def test_cancelled_party_says_so(autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()

    async def second() -> None:
        with pytest.raises(PeerAbort, match="E1 stopped: cancelled"):
            async with mesh("E2", hub, ("E1", "E2")) as links:
                await links["E1"].endpoint(1, Clock()).receive(TAG, most=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(second)
        with trio.move_on_after(5) as scope:
            async with mesh("E1", hub, ("E1", "E2")):
                await trio.sleep_forever()
        assert scope.cancelled_caught


async def test_party_that_vanishes_is_lost_to_the_others(autojump_clock: trio.abc.Clock) -> None:
    """E1's process is killed: its streams end without a word."""
    hub = MemoryHub()
    limits = Limits()

    async def first() -> None:
        async with mesh("E1", hub, ("E1", "E2")) as links:
            await links["E2"]._wire._stream.aclose()
            with pytest.raises(TransportError):
                await links["E2"].endpoint(1, Clock()).receive(TAG, most=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        async with mesh("E2", hub, ("E1", "E2"), options=MeshOptions(limits=limits)) as links:
            with pytest.raises(PeerLost, match="E2: E1 closed the link without a goodbye; we were waiting for online"):
                await links["E1"].endpoint(1, Clock()).receive(TAG, most=1)
