"""A party whose messages are changed, dropped, doubled, cut or replaced by garbage on their way out. For tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import trio

from transport.carrier import Carrier, Listener
from transport.errors import FrameError
from transport.faults import FaultyStream
from transport.framing import SEQUENCE_MASK, Frame, FrameReader, Kind, encode
from transport.handshake import decode_hello


class Cut(NamedTuple):
    """A frame of which the first `kept` bytes go out; then this direction of the link ends."""

    frame: Frame
    kept: int


Piece = Frame | Cut | bytes
Meddle = Callable[[str, Frame], Iterable[Piece]]
"""Given the peer's name and a frame for it, says what goes out instead: frames, a part of one, or raw bytes."""

_ANY_LENGTH = 2**32 - 1


class MeddlingStream(FaultyStream):
    """Frames are numbered anew, so that nothing but what `meddle` did is wrong with them."""

    def __init__(self, stream: trio.abc.Stream, meddle: Meddle) -> None:
        if not isinstance(stream, trio.abc.HalfCloseableStream):
            raise TypeError(f"a stream that can be half closed is needed, not a {type(stream).__name__}")
        super().__init__(stream)
        self._meddle = meddle
        self._reader = FrameReader(_ANY_LENGTH)
        self._sequence = 0
        self._peer = ""
        self._ended = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send what `meddle` makes of each frame that is complete now."""
        for frame in self._reader.feed(bytes(data)):
            if frame.kind is Kind.HELLO:
                self._peer = _wanted(frame) or self._peer
            for piece in self._meddle(self._peer, frame):
                await self._send(piece)

    async def _send(self, piece: Piece) -> None:
        if self._ended:
            return
        if isinstance(piece, bytes):
            await super().send_all(piece)
        elif isinstance(piece, Cut):
            await super().send_all(self._bytes_of(piece.frame)[: piece.kept])
            self._ended = True
            await super().send_eof()
        else:
            await super().send_all(self._bytes_of(piece))

    async def send_eof(self) -> None:
        """Say that no more comes, unless that was done."""
        if not self._ended:
            await super().send_eof()

    def _bytes_of(self, frame: Frame) -> bytes:
        numbered = frame._replace(sequence=self._sequence)
        self._sequence = self._sequence + 1 & SEQUENCE_MASK
        return encode(numbered) + numbered.payload


def _wanted(frame: Frame) -> str:
    try:
        return decode_hello(frame.payload).wanted
    except FrameError:
        return ""


class MeddlingCarrier:
    """The network as one party has it whose messages are meddled with; the handshake's too."""

    def __init__(self, carrier: Carrier, meddle: Meddle) -> None:
        self._carrier, self._meddle = carrier, meddle

    async def listen(self, address: str) -> Listener:
        """Be reachable."""
        return _MeddlingListener(await self._carrier.listen(address), self._meddle)

    async def connect(self, address: str) -> trio.abc.Stream:
        """Call somebody."""
        return MeddlingStream(await self._carrier.connect(address), self._meddle)


class _MeddlingListener:
    """A listener whose callers get meddled answers."""

    def __init__(self, listener: Listener, meddle: Meddle) -> None:
        self._listener, self._meddle = listener, meddle

    @property
    def address(self) -> str:
        """The address that was bound."""
        return self._listener.address

    async def accept(self) -> trio.abc.Stream:
        """Return the next caller's stream."""
        return MeddlingStream(await self._listener.accept(), self._meddle)

    async def aclose(self) -> None:
        """Take no more calls."""
        await self._listener.aclose()
