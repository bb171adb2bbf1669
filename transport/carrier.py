"""What a kind of network must offer: a place to be called at, and a way to call."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Proof:
    """Who the other end of a stream has proven to be.

    Attributes:
        names: the names that it may use.
        until: when the proof ends, in seconds since 1970.
        objection: why we do not talk to it all the same; empty if we do.
    """

    names: tuple[str, ...]
    until: float
    objection: str = ""

    def names_party(self, name: str) -> bool:
        """Say whether the other end may call itself `name`; as with all names of the DNS, case does not count."""
        return name.lower() in {known.lower() for known in self.names}


@runtime_checkable
class ProvenStream(Protocol):
    """A stream whose other end may prove who it is."""

    async def prove(self) -> Proof | None:
        """Find out who is at the other end; None where nothing is proven. Raises as `send_all` does."""
        ...


@runtime_checkable
class LocatedStream(Protocol):
    """A stream whose other end has an address."""

    @property
    def remote(self) -> str:
        """The other end's address, without a port."""
        ...


def caller(stream: trio.abc.Stream) -> str:
    """Return what to call whoever calls, until it has said who it is."""
    return f"a caller from {stream.remote}" if isinstance(stream, LocatedStream) else "a caller"


class ProofFailed(trio.BrokenResourceError):
    """The two ends did not prove to each other who they are; the text says which end must do what."""


async def prove(stream: trio.abc.Stream) -> Proof | None:
    """Find out who is at the other end of a stream; None for a stream that proves nothing."""
    return await stream.prove() if isinstance(stream, ProvenStream) else None
