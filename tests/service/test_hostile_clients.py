"""Certified clients and strangers that flood, stall and vanish do not stop another client: over TCP with mutual TLS."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from service_clinic import Clinic, samples

from parties.service.client import Client
from parties.service.requests import REQUEST, REQUESTS, Line
from transport.certificates import Authority, Span
from transport.channel import Channel
from transport.credentials import HeldCredentials
from transport.errors import TransportError
from transport.interfaces import Clock, Phase, Tag
from transport.tls import Tls, TlsListener

PARTIES = ("E1", "E2", "HC")
CLIENTS = ("HMS1", "HMS2", "HMS3")


class Book:
    """TCP with TLS, on which parties are called by name wherever they are bound."""

    def __init__(self, carrier: Tls, addresses: dict[str, str]) -> None:
        self._carrier, self.addresses = carrier, addresses

    async def listen(self, address: str) -> TlsListener:
        listener = await self._carrier.listen("127.0.0.1:0")
        self.addresses[address] = listener.address
        return listener

    async def connect(self, address: str) -> trio.abc.Stream:
        if address not in self.addresses:
            raise TransportError(f"{address} does not listen yet")
        return await self._carrier.connect(self.addresses[address])


class TlsClinic(Clinic):
    """A clinic over real links."""

    def prepare(self) -> None:
        self.dealer = False
        authority = Authority.create(Span.days(dt.datetime.now(dt.UTC), 30))
        span = Span.days(dt.datetime.now(dt.UTC), 20)
        self.addresses: dict[str, str] = {}
        self.books = {
            name: Book(Tls(HeldCredentials(authority.issue(name, span))), self.addresses)
            for name in (*PARTIES, *CLIENTS)
        }

    def carrier(self, name: str) -> Book:  # type: ignore[override]
        return self.books[name]


@pytest.fixture
async def tls(folder: Path) -> AsyncIterator[TlsClinic]:
    made = TlsClinic(folder)
    made.prepare()
    async with trio.open_nursery() as made.nursery:
        yield made
        made.nursery.cancel_scope.cancel()
    made.audit()


async def answered(clinic: TlsClinic, count: int = 8) -> None:
    """A new client connects and is answered."""
    readings = samples(count)
    async with clinic.client() as client:
        clinic.check(await client.infer(readings), readings)


def channels(client: Client) -> list[Channel]:
    return list(client._lines.room.links.values())


@pytest.mark.slow
async def test_strangers_that_are_silent_or_send_garbage(tls: TlsClinic) -> None:
    """As many as one address may have, at every party, calling again and again."""
    await tls.start()
    await tls.deploy()

    async def stranger(party: str, said: bytes) -> None:
        host, _, port = tls.addresses[party].rpartition(":")
        while True:
            raw = socket.create_connection((host, int(port)), source_address=("127.0.0.2", 0))
            with raw:
                raw.setblocking(False)
                if said:
                    raw.send(said)
                await trio.lowlevel.wait_readable(raw)
            await trio.lowlevel.checkpoint()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for party in PARTIES:
                for number in range(20):
                    nursery.start_soon(stranger, party, b"\x16\x03\x01 garbage" * (number % 2))
            await answered(tls)
            await answered(tls)
            nursery.cancel_scope.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("flood", ["requests", "messages", "uploads nobody asked for"])
async def test_a_certified_client_that_floods_and_reads_nothing(tls: TlsClinic, flood: str) -> None:
    await tls.start()
    await tls.deploy()
    asked = b"\x83\xa1n\x01\xa3ask\xa6models\xa5index\x01"

    async def pour(channel: Channel) -> None:
        count = 0
        with pytest.raises(TransportError):
            while True:
                count += 1
                if flood == "requests":
                    await channel.endpoint(REQUESTS, Clock()).send(REQUEST, asked)
                elif flood == "messages":
                    await channel.endpoint(count, Clock()).send(Tag(Phase.OFFLINE, 7, count % 2**16), b"")
                else:
                    await channel.endpoint(count, Clock()).send(Tag(Phase.ONLINE, 0), bytes(1000))

    with trio.fail_after(60):
        async with tls.client("HMS2") as flooding, trio.open_nursery() as nursery:
            for channel in channels(flooding):
                channel._mail.most = -1  # The first message that arrives is the last that is read.
                nursery.start_soon(pour, channel)
            rooms = [tls.parties[name].deployments.rooms[flooding.card.deployment] for name in PARTIES]
            links = [room.room.links["HMS2"] for room in rooms]
            await answered(tls)
            while not all(link.blocked for link in links):
                await answered(tls, 1)
            await answered(tls)
            assert {link.limits.buffered_bytes < 2**22 for link in links} == {True}
            # What one read brings may still be parsed when the limit is reached: 2,730 frames of 24 bytes.
            assert [link for link in links if link._mail.size > link.limits.buffered_bytes + 2731 * 1024] == []
            nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_client_that_announces_queries_and_vanishes_without_a_word(tls: TlsClinic) -> None:
    """Its readings never come; its link stays open on our side. Indices and places of others are not touched."""
    await tls.start()
    await tls.deploy()

    async def announce(line: Line, index: int) -> None:
        with pytest.raises((Exception,)):
            await line.ask("submit", within=30, index=index)

    with trio.fail_after(60):
        async with tls.client("HMS3") as vanishing, trio.open_nursery() as nursery:
            for line in vanishing._lines._lines.values():
                for index in range(40):
                    nursery.start_soon(announce, line, index)
            await answered(tls)
            await answered(tls)
            nursery.cancel_scope.cancel()
