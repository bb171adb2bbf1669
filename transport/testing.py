"""For tests: channels without a handshake over any kind of link. Bad links are in `transport.faults`."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager

import trio
import trio.testing

from transport.channel import Channel
from transport.limits import Limits
from transport.memory import memory_pair
from transport.meter import Meter
from transport.observe import Observer
from transport.tcp import Tcp
from transport.wire import Wire

Pair = tuple[trio.abc.Stream, trio.abc.Stream]
MakePair = Callable[[], Pair | Awaitable[Pair]]


def lockstep_pair() -> Pair:
    """Return the ends of a link that buffers nothing: a send lasts until the other end has read all of it."""
    left, right = trio.testing.lockstep_stream_pair()
    return left, right


async def tcp_pair() -> Pair:
    """Return the ends of a connection on loopback."""
    carrier = Tcp()
    listener = await carrier.listen("127.0.0.1:0")
    left = await carrier.connect(listener.address)
    right = await listener.accept()
    await listener.aclose()
    return left, right


@asynccontextmanager
async def open_local(
    parties: Collection[str],
    *,
    meters: Mapping[str, Meter] | None = None,
    limits: Limits | None = None,
    servers: Collection[str] = ("E1", "E2"),
    make_pair: MakePair = memory_pair,
    observer: Observer | None = None,
) -> AsyncIterator[dict[str, dict[str, Channel]]]:
    """Link every two of `parties`, without a handshake: `links[own][peer]` is a running channel.

    Args:
        parties: their names.
        meters: own name -> meter, for those who count.
        limits: of every channel.
        servers: whose links count as rounds.
        make_pair: makes the two ends of a link.
        observer: is told of each message at each end.
    """
    links: dict[str, dict[str, Channel]] = {name: {} for name in parties}
    async with trio.open_nursery() as nursery:
        for first, second in itertools.combinations(parties, 2):
            server = first in servers and second in servers
            made = make_pair()
            pair = await made if isinstance(made, Awaitable) else made
            for (own, peer), stream in zip(((first, second), (second, first)), pair, strict=True):
                counter = meters[own].link(peer, server=server) if meters and own in meters else None
                channel = Channel(
                    Wire(stream, peer),
                    own,
                    peer,
                    limits=limits,
                    meter=counter,
                    server_link=server,
                    observer=observer,
                )
                links[own][peer] = channel
                nursery.start_soon(channel.run)
        try:
            yield links
        finally:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as closing:
                    for channels in links.values():
                        for channel in channels.values():
                            closing.start_soon(channel.aclose)
            nursery.cancel_scope.cancel()
