"""What a channel tells an observer about each message: the raw material of traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple


class Observation(NamedTuple):
    """One message seen at one end. Times are those of the running clock, in seconds.

    Attributes:
        what: "sent", "arrived" (at our end) or "taken" (by the protocol).
        local: whose end this is.
        peer: the other end.
        query: of the message.
        tag: packed.
        size: bytes of payload.
        depth: of the message.
        began: when the call began; of "arrived": when it arrived.
        ended: when the call ended; of "arrived": the same.
    """

    what: Literal["sent", "arrived", "taken"]
    local: str
    peer: str
    query: int
    tag: int
    size: int
    depth: int
    began: float
    ended: float


Observer = Callable[[Observation], None]
"""Is called for each message; must be quick and must not raise."""
