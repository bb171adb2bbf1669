"""The few names that code above the transport needs: tags, causal clocks, endpoints.

A message belongs to a phase, a layer and a step of a query. All three are in its tag, so both ends of a link
count it in the same place without any ambient state, and many queries can share a link.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_LAYER = 2**14 - 1
MAX_STEP = 2**16 - 1


class Phase(enum.IntEnum):
    """When a message is sent: two bits of the tag."""

    CONTROL = 0
    """Handshake, keepalive, abort: counted apart, never part of a protocol's cost."""
    SETUP = 1
    """A model is deployed."""
    OFFLINE = 2
    """Before the query is known."""
    ONLINE = 3
    """From the sensor's message to the centre's result."""


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """What a message is: phase (2 bits), layer (14 bits, 0 is the input), step within the layer (16 bits)."""

    phase: Phase
    layer: int
    step: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.layer <= MAX_LAYER and 0 <= self.step <= MAX_STEP):
            raise ValueError(f"tag does not fit: layer {self.layer}, step {self.step}")

    def pack(self) -> int:
        """Return the 32-bit number that the frame header carries."""
        return self.phase << 30 | self.layer << 16 | self.step

    @classmethod
    def unpack(cls, number: int) -> Tag:
        """Return the tag behind a header's number; every 32-bit number is a tag."""
        return cls(Phase(number >> 30 & 3), number >> 16 & MAX_LAYER, number & MAX_STEP)

    def __str__(self) -> str:
        return f"{self.phase.name.lower()} layer {self.layer} step {self.step}"


Describe = Callable[[Tag, int], str]
"""Says in words what a tag of a query is, for messages to people."""


def describe_plainly(tag: Tag, query: int) -> str:
    """Describe a tag without knowing the names of layers."""
    return f"{tag} of query {query}"


@dataclass(slots=True)
class Clock:
    """The causal clock of one party in one phase of one query [Lam78].

    `depth` is the length of the longest chain of messages that ends in what this party has received so far,
    `rounds` the same over server-to-server links only. A message that is sent carries the clock plus one
    (`rounds` plus one only on a server link); a message that is *received by the protocol* (not merely
    arrived) raises the clock. So messages that cross count as one round.
    """

    depth: int = 0
    rounds: int = 0

    def seen(self, depth: int, rounds: int) -> None:
        """Raise the clock to that of a message which the protocol has just taken."""
        self.depth = max(self.depth, depth)
        self.rounds = max(self.rounds, rounds)


class Endpoint(Protocol):
    """One query's view of one link: what a protocol coroutine is given. Both waits have deadlines."""

    @property
    def local(self) -> str:
        """Our party's name, for instance "E1"."""
        ...

    @property
    def peer(self) -> str:
        """The other party's name."""
        ...

    def describe(self, tag: Tag) -> str:
        """Return in words what a tag of this query is, for messages to people."""
        ...

    async def send(self, tag: Tag, payload: bytes | bytearray | memoryview) -> None:
        """Send one message; returns when the link has taken it. Raises TransportError."""
        ...

    async def receive(self, tag: Tag, *, most: int) -> bytes:
        """Take the next message of this query from this peer; it must carry `tag` and at most `most` bytes.

        Raises UnexpectedMessage (another tag), FrameError (too long), PeerTimeout, PeerLost, PeerAbort.
        """
        ...
