"""What a kind of network must offer: a place to be called at, and a way to call."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import trio


class Listener(Protocol):
    """Where a party is called."""

    @property
    def address(self) -> str:
        """The address with the port that was bound."""
        ...

    async def accept(self) -> trio.abc.Stream:
        """Return the next caller's stream."""
        ...

    async def aclose(self) -> None:
        """Take no more calls."""
        ...


class Carrier(Protocol):
    """A kind of network: `Tcp`, or the `MemoryHub` of a process."""

    async def listen(self, address: str) -> Listener:
        """Be reachable. Raises TransportError naming the address and the remedy."""
        ...

    async def connect(self, address: str) -> trio.abc.Stream:
        """Call somebody. Raises TransportError saying why it failed."""
        ...


@runtime_checkable
class ProvenStream(Protocol):
    """A stream whose other end has proven who it is, once the first bytes have come."""

    @property
    def proven_names(self) -> frozenset[str] | None:
        """The names that the other end may use, in lower case; None where nothing is proven."""
        ...


def proven_names(stream: trio.abc.Stream) -> frozenset[str] | None:
    """Return the names that the other end of a stream has proven, or None for a stream that proves nothing."""
    return stream.proven_names if isinstance(stream, ProvenStream) else None
