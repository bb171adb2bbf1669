"""Somebody on the way changes TLS records, over real TCP: the link ends, no message changes, the server lives on."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from transport.certificates import Authority, Span
from transport.channel import Channel
from transport.credentials import HeldCredentials
from transport.errors import TransportError
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.standing import HostOptions, RoomSpec, open_host
from transport.tls import Tls

TAG = Tag(Phase.ONLINE, 1, 1)
MESSAGES = [bytes([n]) * 300 for n in range(4)]
HEADER = 5
TO_SERVER, TO_CLIENT = 0, 1
PATIENCE = 20.0

Meddle = Callable[[bytes], tuple[list[bytes], bool]]
"""Given a record, says what goes on instead, and whether the way ends after it."""


def flipped(at: int, bit: int = 0) -> Meddle:
    """Change one bit: of the header (type, version, length) below 5, else of the body; from the end if negative."""

    def meddle(record: bytes) -> tuple[list[bytes], bool]:
        changed = bytearray(record)
        changed[at if at < 0 else min(at, len(record) - 1)] ^= 1 << bit
        # A record that is now longer than what follows would be waited for.
        return [bytes(changed)], at in (3, 4)

    return meddle


def _length(size: int) -> bytes:
    return size.to_bytes(2, "big")


KINDS: dict[str, Meddle] = {
    "type": flipped(0),
    "version": flipped(1, 7),
    "length": flipped(4),
    "long length": flipped(3, 6),
    "first byte": flipped(HEADER, 3),
    "middle": flipped(40, 5),
    "tag": flipped(-1),
    "cut": lambda record: ([record[: len(record) // 2]], True),
    "empty": lambda record: ([record[:3] + bytes(2)], True),
    "extended": lambda record: (
        [record[:3] + (len(record) - HEADER + 1).to_bytes(2, "big") + record[HEADER:] + b"x"],
        True,
    ),
    "twice": lambda record: ([record, record], True),
    "lost": lambda record: ([], True),
    "noise before it": lambda record: ([b"\xff" * 64, record], True),
    "an alert before it": lambda record: ([b"\x15\x03\x03\x00\x02\x02\x28", record], True),
    "plain HTTP": lambda record: ([b"GET / HTTP/1.1\r\nHost: e1\r\n\r\n"], True),
}


class Relay:
    """Passes TLS records on in both directions; on the first connection one of them is meddled with."""

    def __init__(self, server: str, direction: int = -1, index: int = -1, meddle: Meddle | None = None) -> None:
        self.server, self.direction, self.index, self.meddle = server, direction, index, meddle
        self.connections = 0
        self.counts = [0, 0]
        """Records in each direction of the first connection."""
        self.hit = False

    async def handle(self, client: trio.SocketStream) -> None:
        self.connections += 1
        first = self.connections == 1
        host, port = self.server.rsplit(":", 1)
        async with await trio.open_tcp_stream(host, int(port)) as server, client, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass, client, server, TO_SERVER, first)
            nursery.start_soon(self._pass, server, client, TO_CLIENT, first)

    async def _pass(self, source: trio.SocketStream, target: trio.SocketStream, direction: int, first: bool) -> None:
        buffer = b""
        try:
            while data := await source.receive_some(2**16):
                buffer += data
                while len(buffer) >= HEADER and len(buffer) >= (size := HEADER + int.from_bytes(buffer[3:5], "big")):
                    record, buffer = buffer[:size], buffer[size:]
                    if await self._send(record, source, target, direction, first):
                        return
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await target.aclose()

    async def _send(
        self, record: bytes, source: trio.SocketStream, target: trio.SocketStream, direction: int, first: bool
    ) -> bool:
        """Pass a record on; True if the way ends here."""
        pieces, ends = [record], False
        if first:
            if self.meddle is not None and (direction, self.counts[direction]) == (self.direction, self.index):
                self.hit = True
                pieces, ends = self.meddle(record)
            self.counts[direction] += 1
        for piece in pieces:
            await target.send_all(piece)
        if ends:
            await target.send_eof()
            await source.aclose()
        return ends


class Server:
    """E1: answers each message with itself, and remembers what came over each link."""

    def __init__(self) -> None:
        self.address = ""
        self.heard: list[list[bytes]] = []
        self.lines: list[str] = []

    async def echo(self, channel: Channel) -> None:
        heard: list[bytes] = []
        if channel.peer == "E2":
            self.heard.append(heard)
        for query in range(10**6):
            end = channel.endpoint(query, Clock())
            heard.append(await end.receive(TAG, most=1000))
            await end.send(TAG, heard[-1])


async def exchange(channel: Channel, start: int = 0) -> None:
    for query, message in enumerate(MESSAGES, start):
        end = channel.endpoint(query, Clock())
        await end.send(TAG, message)
        assert await end.receive(TAG, most=1000) == message


async def call(server: Server, carrier: Tls, relay: Relay) -> list[str]:
    """Let E2 call through the relay until it has said all it wants; return how its links ended before."""
    errors: list[str] = []
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, relay.handle, 0)
        address = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        with trio.fail_after(PATIENCE):
            while error := await call_once(carrier, address):
                errors.append(error)
        nursery.cancel_scope.cancel()
    return errors


async def call_once(carrier: Tls, address: str) -> str:
    """Start E2 anew: one that calls again waits for seconds. Return how its link ended, or nothing."""
    failures: list[str] = []
    failed = trio.Event()

    def fail(line: str) -> None:
        failures.append(line)
        failed.set()

    async with open_host("E2", carrier, "", HostOptions(report=fail)) as host, trio.open_nursery() as nursery:
        room = host.open_room(RoomSpec(Hello("E2", run="clinic"), outbound={"E1": address}))

        async def talk() -> None:
            try:
                await exchange(await room.link("E1", PATIENCE))
                failures.clear()
                failed.set()
            except TransportError as error:
                fail(str(error))

        nursery.start_soon(talk)
        await failed.wait()
        nursery.cancel_scope.cancel()
    return failures[0] if failures else ""


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, Tls, Channel]]:
    """E1 with a standing link to HC; yields it, E2's carrier, and HC's link."""
    now = dt.datetime.now(dt.UTC)
    authority = Authority.create(Span.days(now, 10))
    carriers = {n: Tls(HeldCredentials(authority.issue(n, Span.days(now, 10)))) for n in ("E1", "E2", "HC")}
    server = Server()
    options = HostOptions(report=server.lines.append, links_each=10**4, links=10**4, guests_each=1000, guests=1000)
    async with (
        open_host("E1", carriers["E1"], "127.0.0.1:0", options) as host,
        open_host("HC", carriers["HC"]) as centre,
    ):
        host.open_room(RoomSpec(Hello("E1", run="clinic"), inbound=("E2", "HC")), server.echo)
        server.address = host.address
        room = centre.open_room(RoomSpec(Hello("HC", run="clinic"), outbound={"E1": host.address}))
        link = await room.link("E1", PATIENCE)
        await exchange(link)
        yield server, carriers["E2"], link
        # HC's link has stood all the time, whatever came from others.
        assert not link.ended
        await exchange(link, len(MESSAGES))


async def meddle_with(server: Server, carrier: Tls, direction: int, index: int, kind: str) -> None:
    server.heard.clear()
    relay = Relay(server.address, direction, index, KINDS[kind])
    errors = await call(server, carrier, relay)
    place = f"{kind} of record {index} to {('E1', 'E2')[direction]}"
    assert relay.hit, place
    assert all(heard == MESSAGES[: len(heard)] for heard in server.heard), place
    assert server.heard[-1] == MESSAGES, place
    if relay.connections > 1:
        assert errors, place
    assert not any("bug of ours" in line or "Traceback" in line for line in (*errors, *server.lines)), place


@pytest.mark.parametrize("kind", KINDS)
async def test_a_changed_record_ends_the_link_and_nothing_else(kind: str) -> None:
    async with served() as (server, carrier, _):
        for direction, index in ((TO_SERVER, 0), (TO_CLIENT, 0), (TO_SERVER, 4), (TO_CLIENT, 4)):
            await meddle_with(server, carrier, direction, index, kind)


@pytest.mark.slow
async def test_every_record_changed_in_every_way() -> None:
    async with served() as (server, carrier, _):
        quiet = Relay(server.address)
        assert await call(server, carrier, quiet) == []
        assert quiet.connections == 1
        assert min(quiet.counts) > len(MESSAGES)
        for direction in (TO_SERVER, TO_CLIENT):
            for index in range(quiet.counts[direction] - 1):
                for kind in KINDS:
                    await meddle_with(server, carrier, direction, index, kind)
