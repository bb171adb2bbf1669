"""`pehealth check`: the links of a deployment, made as its settings say and measured, without a model or a reading.

Every party runs it at about the same time. Once a party's links stand it measures them one after the other, in an order
that is the same everywhere, so that no two measurements of a party disturb each other.
"""

from __future__ import annotations

import math
import socket
import statistics
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import trio

from parties.settings import Settings, place
from pehealth.errors import ConfigError
from transport.carrier import Carrier, Proof
from transport.channel import Channel
from transport.errors import FrameError
from transport.handshake import Hello
from transport.interfaces import Clock, Endpoint, Phase, Tag
from transport.mesh import MeshOptions, open_mesh
from transport.network import NETWORKS, Network
from transport.tcp import parse_address

PINGS = 20
CHUNK_BYTES = 64 * 2**10
MOST_CHUNKS = 512
LONG_ENOUGH_SECONDS = 0.2
"""More and more is sent until it takes so long, or `MOST_CHUNKS` were sent."""

_READY, _PING, _TAKE, _GIVE, _RESULT = range(5)
_ORDER = struct.Struct(">BI")
_FIGURES = struct.Struct(">dddd")
_TO_FOLLOWER, _TO_LEADER, _BULK = (Tag(Phase.SETUP, 0, step) for step in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one link does, seen from one end.

    Attributes:
        least, median: seconds of a round trip of a few bytes.
        there, back: bytes a second to the peer, and from it.
    """

    least: float
    median: float
    there: float
    back: float


@dataclass(frozen=True, slots=True)
class CheckedLink:
    """One link that stands.

    Attributes:
        peer: the other party.
        address: where we called it; empty if it called us.
        proof: who it has proven to be; None over plain TCP.
        measured: what the link does.
    """

    peer: str
    address: str
    proof: Proof | None
    measured: Measurement


async def check_names(settings: Settings, peers: Collection[str]) -> None:
    """Look up the addresses that we will call.

    Raises:
        ConfigError: names that do not resolve; all of them are listed.
    """
    problems = []
    for peer, address in settings.links(peers)[1].items():
        host, port = parse_address(address)
        try:
            await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            problems.append(
                f"{peer}: the name {host} is not known: {error.strerror}: check [peers] and this machine's DNS"
            )
    if problems:
        raise ConfigError(*(f"{settings.source}: {problem}" for problem in problems))


async def check_links(
    settings: Settings,
    carrier: Carrier,
    *,
    peers: Collection[str] | None = None,
    report: Callable[[str], None] | None = None,
    network: Network = NETWORKS["none"],
) -> list[CheckedLink]:
    """Make the links of one party and measure them, together with every peer, which does the same.

    Args:
        settings: of this party.
        carrier: the kind of network.
        peers: which of the settings' peers take part; all of them unless said.
        report: is told whom we wait for.
        network: what to put on every link, in tests.

    Raises:
        TransportError: a link does not come about or breaks; says which and why.
    """
    wanted = settings.peers.keys() if peers is None else peers
    inbound, outbound = settings.links(wanted)
    hello = Hello(settings.party, role=settings.party, run=f"check of {settings.deployment}")
    # A peer whose own links do not stand yet may keep us waiting for as long as it waits for them.
    patience = max(settings.limits.deadline_seconds, settings.join_seconds)
    options = MeshOptions(
        limits=replace(settings.limits, deadline_seconds=patience),
        join_seconds=settings.join_seconds,
        handshake_seconds=settings.greet_seconds,
        network=network,
        report=report,
    )
    listen = settings.listen if inbound else ""
    async with open_mesh(hello, carrier, listen=listen, inbound=inbound, outbound=outbound, options=options) as links:
        checked = []
        for leader, follower in sorted((_pair(settings.party, peer) for peer in wanted), key=_order):
            peer = follower if leader == settings.party else leader
            measured = await _measure(links[peer], leads=leader == settings.party)
            checked.append(CheckedLink(peer, outbound.get(peer, ""), links[peer].proof, measured))
    return checked


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if place(one) < place(other) else (other, one)


def _order(pair: tuple[str, str]) -> tuple[tuple[int, str], ...]:
    return tuple(place(name) for name in pair)


async def _measure(channel: Channel, *, leads: bool) -> Measurement:
    end = channel.endpoint(1, Clock())
    if leads:
        return await _lead(end)
    seen = await _follow(end)
    return Measurement(seen.least, seen.median, seen.back, seen.there)


async def _lead(end: Endpoint) -> Measurement:
    """Time what the other end does when it is told to."""
    await _ask(end, _READY)
    times = [await _ask(end, _PING) for _ in range(PINGS)]
    least = min(times)
    there = await _rate(end, _TAKE, least)
    back = await _rate(end, _GIVE, least)
    measured = Measurement(least, statistics.median(times), there, back)
    await end.send(_TO_FOLLOWER, _ORDER.pack(_RESULT, 0))
    await end.send(_BULK, _FIGURES.pack(measured.least, measured.median, measured.there, measured.back))
    await end.receive(_TO_LEADER, most=0)
    return measured


async def _ask(end: Endpoint, what: int, chunks: int = 0) -> float:
    """Give an order and return the seconds until it is done."""
    began = trio.current_time()
    await end.send(_TO_FOLLOWER, _ORDER.pack(what, chunks))
    if what == _TAKE:
        await _send_chunks(end, chunks)
    elif what == _GIVE:
        await _take_chunks(end, chunks)
    await end.receive(_TO_LEADER, most=0)
    return trio.current_time() - began


async def _rate(end: Endpoint, what: int, round_trip: float) -> float:
    """Return bytes a second: what is sent takes its time, and one round trip beside."""
    chunks, seconds = 1, 0.0
    while seconds < LONG_ENOUGH_SECONDS + round_trip and chunks < MOST_CHUNKS:
        chunks *= 2
        seconds = await _ask(end, what, chunks)
    # On a fast link a slow round trip may have been the measured one's own doing.
    busy = max(seconds - round_trip, seconds / 10)
    return chunks * CHUNK_BYTES / busy if busy > 0 else math.inf


async def _follow(end: Endpoint) -> Measurement:
    """Do what the other end says, until it tells what it has measured."""
    while True:
        what, chunks = _ORDER.unpack(_exactly(_ORDER, await end.receive(_TO_FOLLOWER, most=_ORDER.size), end))
        if what > _RESULT or chunks > MOST_CHUNKS:
            raise FrameError(f"{end.peer} sent an order that is none during the check: {what}, {chunks}")
        if what == _TAKE:
            await _take_chunks(end, chunks)
        elif what == _GIVE:
            await _send_chunks(end, chunks)
        elif what == _RESULT:
            figures = _FIGURES.unpack(_exactly(_FIGURES, await end.receive(_BULK, most=_FIGURES.size), end))
            await end.send(_TO_LEADER, b"")
            return Measurement(*figures)
        await end.send(_TO_LEADER, b"")


async def _send_chunks(end: Endpoint, chunks: int) -> None:
    chunk = bytes(CHUNK_BYTES)
    for _ in range(chunks):
        await end.send(_BULK, chunk)


async def _take_chunks(end: Endpoint, chunks: int) -> None:
    for _ in range(chunks):
        await end.receive(_BULK, most=CHUNK_BYTES)


def _exactly(form: struct.Struct, payload: bytes, end: Endpoint) -> bytes:
    if len(payload) != form.size:
        raise FrameError(f"{end.peer} sent {len(payload)} bytes during the check, {form.size} were expected")
    return payload
