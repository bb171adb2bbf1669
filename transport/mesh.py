"""One party's links to all its peers, gathered in whatever order the parties start.

    async with open_mesh(hello, Tcp(), listen="0.0.0.0:7001", inbound=["E2", "HC"], options=options) as links:
        await links["E2"].endpoint(query, clock).send(tag, payload)

The same call with a `MemoryHub` in place of `Tcp` links actors of one process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

import trio

from transport.carrier import Carrier, Listener
from transport.errors import PeerAbort
from transport.gathering import Gathering, Links, MeshOptions
from transport.handshake import Hello

__all__ = ["Carrier", "Links", "Listener", "MeshOptions", "open_mesh", "plan_links"]


@asynccontextmanager
async def open_mesh(
    hello: Hello,
    carrier: Carrier,
    *,
    listen: str = "",
    inbound: Collection[str] = (),
    outbound: Mapping[str, str] | None = None,
    options: MeshOptions | None = None,
) -> AsyncIterator[Links]:
    """Link one party to all its peers; the links live as long as the block.

    At the end of the block every peer is told goodbye. If the block fails, every peer is told who failed first and why
    (an exception without `exit_code` is told by its type alone), and the exception goes on as it is.

    Args:
        hello: what we say about ourselves; `wanted` is filled in for each peer.
        carrier: the kind of network.
        listen: the address we are called at; needed if anyone is `inbound`.
        inbound: peers that call us.
        outbound: peer -> address, of those that we call, again and again until they are there.
        options: limits, deadlines, meter and reports.

    Raises:
        PeerTimeout: some links do not stand after `join_seconds`; names each, with the last error.
        HandshakeMismatch: an expected peer does not agree; both ends raise it.
        PeerAbort, PeerLost: a peer that was there has left again before all were.
        TransportError: the address to listen on cannot be used.
    """
    gathering = Gathering(hello, carrier, listen, inbound, outbound or {}, options or MeshOptions())
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        try:
            await gathering.gather(nursery)
            yield gathering.links
        except trio.Cancelled:
            await gathering.part(PeerAbort(hello.local, "cancelled"))
            raise
        except BaseException as error:  # noqa: BLE001  (raised again below, outside the nursery and so ungrouped)
            failure = error
        await gathering.part(failure)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def plan_links(own: str, peers: Collection[str], addresses: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return who calls us and whom we call: every pair decides alike.

    Of two parties that both have an address, the one whose name sorts first is called; a party without an address
    calls. Raises ValueError if neither of a pair has one.
    """
    inbound, outbound = [], {}
    for peer in peers:
        if peer in addresses and (own not in addresses or peer < own):
            outbound[peer] = addresses[peer]
        elif own in addresses:
            inbound.append(peer)
        else:
            raise ValueError(f"neither {own} nor {peer} has an address: one of them must be reachable")
    return inbound, outbound
