"""A stream whose other end says what was written beforehand, and takes everything."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import trio

from transport.carrier import Proof

HANGS, ENDS, BREAKS = 0, 1, 2
"""What the other end does after its last word."""


class ScriptedStream(trio.abc.HalfCloseableStream):
    """Pieces come in order; then the other end is silent, ends the stream, or breaks it.

    Args:
        pieces: what comes.
        ending: HANGS, ENDS or BREAKS.
        proof: who the other end proves to be, if anybody.
        pause: seconds before each piece.
    """

    def __init__(
        self, pieces: Iterable[bytes], ending: int = ENDS, proof: Proof | None = None, pause: float = 0.0
    ) -> None:
        self._pieces = deque(piece for piece in pieces if piece)
        self._ending, self._proof, self._pause = ending, proof, pause
        self._closed = trio.Event()
        self.taken = 0
        """Bytes that were sent to the other end."""

    async def prove(self) -> Proof | None:
        """Return the proof."""
        return self._proof

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next piece, or the front of it."""
        if self._pause:
            await trio.sleep(self._pause)
        if self._closed.is_set():
            raise trio.ClosedResourceError
        if not self._pieces:
            return await self._end()
        piece = self._pieces.popleft()
        if max_bytes is not None and len(piece) > max_bytes:
            self._pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        return piece

    async def _end(self) -> bytes:
        if self._ending == HANGS:
            await self._closed.wait()
            raise trio.ClosedResourceError
        if self._ending == BREAKS:
            raise trio.BrokenResourceError("reset")
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Take everything."""
        self.taken += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Never wait."""

    async def send_eof(self) -> None:
        """Never mind."""

    async def aclose(self) -> None:
        """Wake who waits."""
        self._closed.set()
        await trio.lowlevel.checkpoint()
