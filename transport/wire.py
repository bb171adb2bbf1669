"""One stream with frames on it: sequence numbers, and the one edge where foreign exceptions become ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

import trio

from transport.carrier import Proof, ProofFailed, prove
from transport.errors import FrameError, LinkClosed, PeerLost, PeerTimeout, TlsFailed, TransportError
from transport.framing import DEFAULT_LIMIT, HEADER_BYTES, SEQUENCE_MASK, Frame, FrameReader, Kind, pack_header

_TOGETHER = 64 * 2**10
_SLICE = 256 * 2**10
_LEAST_READ = 64 * 2**10
_MOST_READ = 2**20


def _nobody() -> None:
    """Do nothing: nobody wants to know."""


@runtime_checkable
class EagerStream(Protocol):
    """A stream that can take bytes at once, without waiting and without a switch to another task."""

    def send_now(self, data: bytes | memoryview) -> bool:
        """Take bytes; False if not all of them are on their way yet. Raises what `send_all` raises."""
        ...

    async def send_rest(self) -> None:
        """Send what `send_now` has left over. Raises what `send_all` raises.

        If it is cancelled, what is still left is kept, in a copy of the stream's own, and a later call goes on.
        """
        ...


class Wire:
    """Frames over a trio stream. Not for two writers or two readers at once; `Channel` sees to that.

    Args:
        stream: any trio stream; it belongs to the wire from now on.
        peer: the other end's name, for messages.
        frame_bytes: greatest payload that is accepted.
        stall_seconds: how long the link may take nothing before a send gives up.
    """

    def __init__(
        self, stream: trio.abc.Stream, peer: str, *, frame_bytes: int = DEFAULT_LIMIT, stall_seconds: float = 60.0
    ) -> None:
        self.peer = peer
        self.stall_seconds = stall_seconds
        self.control: list[tuple[bool, Kind, int]] = []
        """Control frames seen before a channel took over: sent or not, kind, payload bytes."""
        self.heard: Callable[[], None] = _nobody
        """Called when anything has come from the peer, be it a part of a frame."""
        self.torn = False
        """True when a frame was cut in the middle: nothing more can be sent."""
        self.proof: Proof | None = None
        self._stream = stream
        self._eager = stream if isinstance(stream, EagerStream) else None
        self._reader = FrameReader(frame_bytes, peer)
        self._sequence = 0
        self._rest: deque[bytes] | None = None

    async def prove(self) -> Proof | None:
        """Find out who is at the other end, and keep it as `proof`; None where nothing is proven.

        Raises:
            TlsFailed: the two ends do not prove to each other who they are.
            PeerLost, LinkClosed: the link is gone.
        """
        try:
            self.proof = await prove(self._stream)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._mapped(error) from error
        return self.proof

    def expect(self, peer: str, frame_bytes: int) -> None:
        """Say who is at the other end, now that it is known, and how much it may send."""
        self.peer = self._reader.source = peer
        self._reader.limit = frame_bytes

    async def send(
        self, kind: Kind, payload: bytes | bytearray | memoryview, depth: int, rounds: int, query: int, tag: int
    ) -> None:
        """Send one frame: a small one in one piece, a large one without copying the payload.

        Returns without a task switch when the link takes everything at once, so the caller looks for a cancellation
        before: after it the frame counts as sent.

        Raises:
            LinkClosed: we closed the link, or an earlier frame was cut in the middle.
            PeerLost: the peer or the network closed it.
            PeerTimeout: the link took nothing for `stall_seconds`.
        """
        if self.torn:
            raise LinkClosed(f"the link to {self.peer} was left in the middle of a frame: nothing more can be sent")
        if self._rest is not None and self._eager is not None:
            await self._send_rest(self._eager, self._rest)
        size = payload.nbytes if type(payload) is memoryview else len(payload)
        header = pack_header(kind, depth, rounds, self._sequence, query, tag, size)
        self._sequence = self._sequence + 1 & SEQUENCE_MASK
        self.torn = True
        pieces: deque[bytes | memoryview] = deque()
        try:
            if size <= _TOGETHER:
                await self._send_piece(b"".join((header, payload)))
            else:
                view = memoryview(payload).cast("B")
                pieces.extend(view[start : start + _SLICE] for start in range(0, size, _SLICE))
                await self._send_piece(header)
                while pieces:
                    await self._send_piece(pieces.popleft())
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._mapped(error) from error
        except trio.Cancelled:
            if self._eager is not None:
                # The stream still has what it did not take of one piece. Who sends next goes on from there: a task
                # that is cancelled costs the others of this link nothing. Its payload may change from now on.
                self._rest = deque(map(bytes, pieces))
                self.torn = False
            raise
        self.torn = False

    async def _send_rest(self, eager: EagerStream, rest: deque[bytes]) -> None:
        """Send what is left of the frame whose sender was cancelled."""
        self.torn = True
        try:
            await self._in_time(eager.send_rest)
            while rest:
                await self._send_piece(rest.popleft())
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._mapped(error) from error
        except trio.Cancelled:
            self.torn = False
            raise
        self.torn, self._rest = False, None

    async def send_control(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a control frame before a channel takes over."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.control.append((True, kind, len(payload)))
        await self.send(kind, payload, 0, 0, 0, kind)

    async def receive(self) -> list[Frame]:
        """Return the next frames, at least one; none at the end of the stream.

        Raises:
            FrameError: the peer sent something that is no frame.
            PeerLost: it stopped in the middle of a frame, or the link broke.
            LinkClosed: we closed the link.
        """
        reader = self._reader
        while not reader.broken:
            data = await self._receive_some(min(max(reader.missing + HEADER_BYTES, _LEAST_READ), _MOST_READ))
            if not data:
                self._check_whole()
                return []
            frames = reader.feed(data)
            if frames:
                return frames
        reader.finish()
        raise AssertionError("a broken reader raises")

    async def receive_first(self) -> Frame:
        """Return the first frame and read not a byte more: what follows is for a channel, under other limits.

        Raises as `receive`.
        """
        frames: list[Frame] = []
        while not frames:
            data = await self._receive_some(self._reader.missing)
            if not data:
                if self._reader.refused_by_tls:
                    remedy = "start all parties with TLS or all without"
                    raise TlsFailed(f"TLS with {self.peer}: it speaks TLS and we do not: {remedy}")
                raise PeerLost(f"{self.peer} closed the link during the handshake")
            frames = self._reader.feed(data)
        self.control.append((False, frames[0].kind, len(frames[0].payload)))
        return frames[0]

    async def send_eof(self) -> None:
        """Say that we send no more, where the stream can say so."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream) and not self.torn:
            try:
                await self._stream.send_eof()
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def drain(self, seconds: float) -> None:
        """Read and drop what still comes, for a while: closing with unread bytes could cost the peer our last words."""
        with trio.move_on_after(seconds):
            for _ in range(_MOST_READ // _LEAST_READ):
                try:
                    if not await self._stream.receive_some(_LEAST_READ):
                        return
                except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    return

    async def aclose(self) -> None:
        """Close the stream; never raises for a link that is already gone."""
        try:
            await self._stream.aclose()
        except (OSError, trio.BrokenResourceError):
            return

    async def _send_piece(self, data: bytes | memoryview) -> None:
        """Hand one piece to the stream; a piece is small enough for one deadline."""
        if self._eager is None:
            await self._in_time(lambda: self._stream.send_all(data))
        elif not self._eager.send_now(data):
            await self._in_time(self._eager.send_rest)

    async def _in_time(self, send: Callable[[], Awaitable[None]]) -> None:
        with trio.CancelScope(deadline=trio.current_time() + self.stall_seconds) as scope:
            await send()
        if scope.cancelled_caught:
            raise PeerTimeout(
                f"{self.peer} took nothing for {self.stall_seconds:g} s while we were sending: "
                "it reads too slowly, waits for someone else, or the network is down"
            )

    def _check_whole(self) -> None:
        """A link that ends inside a frame was cut: the peer crashed, or the network broke."""
        try:
            self._reader.finish()
        except FrameError as error:
            raise PeerLost(f"{self.peer} was cut off in the middle of a message") from error

    async def _receive_some(self, most: int) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(most)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._mapped(error) from error
        self.heard()
        return data

    def _mapped(self, error: Exception) -> TransportError:
        if isinstance(error, trio.ClosedResourceError):
            return LinkClosed(f"we closed the link to {self.peer} and then used it")
        if isinstance(error, ProofFailed):
            return TlsFailed(f"TLS with {self.peer}: {error}")
        cause = error.__cause__ if not str(error) and error.__cause__ else error
        return PeerLost(f"the link to {self.peer} broke: {str(cause) or type(cause).__name__}")
