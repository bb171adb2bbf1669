"""What a peer may cost us: bytes, and time."""

from __future__ import annotations

from dataclasses import dataclass

from transport.framing import DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one channel.

    Attributes:
        frame_bytes: greatest payload of one message.
        buffered_bytes: above this many bytes of messages that nobody has taken we stop reading.
        silence_seconds: a peer that sends nothing at all for so long is lost; keepalives and parts of a message count.
        deadline_seconds: how long a receive waits for its message, and a send for the link to take anything.
        keepalive_seconds: we send a keepalive when we have sent nothing for so long.
    """

    frame_bytes: int = DEFAULT_LIMIT
    buffered_bytes: int = 512 * 2**20
    silence_seconds: float = 60.0
    deadline_seconds: float = 600.0
    keepalive_seconds: float = 10.0

    def __post_init__(self) -> None:
        if min(self.frame_bytes, self.buffered_bytes) < 0:
            raise ValueError(f"limits cannot be negative: {self}")
        if not 0 < self.keepalive_seconds < self.silence_seconds or self.deadline_seconds <= 0:
            raise ValueError(f"expected 0 < keepalive_seconds < silence_seconds and 0 < deadline_seconds: {self}")
