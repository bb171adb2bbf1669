"""What a server's protocol coroutine is given: who it is, the other server, where it counts."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pehealth.config import Parameters, Party
from pehealth.crypto.prg import Prg
from pehealth.errors import PeerAborted, PeerProtocolError
from pehealth.protocols.cost import Ops
from transport.errors import FrameError, PeerAbort
from transport.interfaces import Endpoint, Phase, Tag

Compute = Callable[..., Awaitable[Any]]
"""Runs a plain function with arguments off the event loop and returns what it returns."""


async def send(link: Endpoint, tag: Tag, payload: bytes | memoryview) -> None:
    """Send one message, with the transport's abort mapped to ours."""
    try:
        await link.send(tag, payload)
    except PeerAbort as error:
        raise PeerAborted(error.origin, error.reason) from error


async def receive(link: Endpoint, tag: Tag, size: int) -> bytes:
    """Take one message of exactly `size` bytes.

    Raises:
        PeerProtocolError: another size or another tag came; names both.
        PeerAborted: the peer stopped.
        TransportError: the link is lost or late.
    """
    try:
        payload = await link.receive(tag, most=size)
    except PeerAbort as error:
        raise PeerAborted(error.origin, error.reason) from error
    except FrameError as error:
        raise PeerProtocolError(str(error)) from error
    if len(payload) != size:
        raise PeerProtocolError(
            f"{link.local}: {link.peer} sent {len(payload)} bytes as {link.describe(tag)}, {size} were expected: "
            f"do both run the same network with the same settings?"
        )
    return payload


class SentBy:
    """Says who sent what a block cannot decode, and as what: `with SentBy(link, tag): unpack(payload)`.

    A class and not a generator, since it stands on the online path.
    """

    __slots__ = ("_link", "_tag")

    def __init__(self, link: Endpoint, tag: Tag) -> None:
        self._link, self._tag = link, tag

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Put sender and step before a PeerProtocolError."""
        if isinstance(error, PeerProtocolError):
            link = self._link
            raise PeerProtocolError(
                f"{link.local}: {link.peer} sent {link.describe(self._tag)} with wrong content: {error}. "
                f"If both run the same release of pehealth, {link.peer} does not follow the protocol"
            ) from error


@dataclass(frozen=True)
class Context:
    """One server in the online phase of one query, at one layer.

    Attributes:
        party: E1 or E2.
        peer: this query's view of the link to the other server.
        parameters: the public settings.
        common: generator keyed by a key that both servers hold and nobody else; children only.
        compute: runs a plain function off the event loop and times it.
        query: number of the query; labels what is derived from `common`.
        layer: index of the layer, in every tag.
        ops: counters of this server, by layer.
    """

    party: Party
    peer: Endpoint
    parameters: Parameters
    common: Prg
    compute: Compute
    query: int
    layer: int = 0
    ops: dict[int, Ops] = field(default_factory=dict, repr=False)

    def at(self, layer: int) -> Context:
        """Return the same context at another layer."""
        return dataclasses.replace(self, layer=layer)

    def count(self, **operations: int) -> None:
        """Add to this layer's counters."""
        self.ops.setdefault(self.layer, Counter()).update(operations)

    def tag(self, step: int) -> Tag:
        """Return the tag of a step of this layer."""
        return Tag(Phase.ONLINE, self.layer, step)

    async def exchange(self, step: int, payload: bytes) -> bytes:
        """Send `payload` to the other server and take as many bytes from it: one round."""
        await send(self.peer, self.tag(step), payload)
        return await receive(self.peer, self.tag(step), len(payload))

    def sent_by_peer(self, step: int) -> SentBy:
        """Return the block in which the other server's message of a step is decoded."""
        return SentBy(self.peer, self.tag(step))
