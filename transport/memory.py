"""Links between actors of one process: the same frames and channels as TCP, without a socket."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from transport.errors import AddressUnusable, PeerLost

_MOST_BUFFERED = 2**20


class _Pipe:
    """One direction: pieces of bytes, bounded like a socket's buffer, so that what deadlocks on TCP does so here."""

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.size = 0
        self.ended = False
        """The writer sends no more."""
        self.deaf = False
        """The reader is gone."""
        self.readable = trio.lowlevel.ParkingLot()
        self.writable = trio.lowlevel.ParkingLot()

    @property
    def full(self) -> bool:
        return self.size >= _MOST_BUFFERED

    def put(self, data: bytes | memoryview) -> int:
        """Take what fits. The bytes are copied unless they cannot change."""
        room = _MOST_BUFFERED - self.size
        if not data or self.full:
            return 0
        piece = data if type(data) is bytes and len(data) <= room else bytes(data[:room])
        self.pieces.append(piece)
        self.size += len(piece)
        self.readable.unpark_all()
        return len(piece)

    def take(self, most: int | None) -> bytes:
        piece = self.pieces.popleft()
        if most is not None and len(piece) > most:
            self.pieces.appendleft(piece[most:])
            piece = piece[:most]
        self.size -= len(piece)
        self.writable.unpark_all()
        return piece

    def end(self) -> None:
        self.ended = True
        self.readable.unpark_all()

    def abandon(self) -> None:
        self.deaf = True
        self.pieces.clear()
        self.writable.unpark_all()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a pair of pipes; also an `EagerStream`. Made by `memory_pair`."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._out, self._in = outgoing, incoming
        self._closed = self._sending = self._receiving = False
        self._rest: memoryview | None = None

    def send_now(self, data: bytes | memoryview) -> bool:
        """Take what fits at once; False if something is left. Raises as `send_all`."""
        self._check_writable()
        done = self._out.put(data)
        if done == len(data):
            return True
        self._rest = memoryview(data)[done:]
        return False

    async def send_rest(self) -> None:
        """Send what `send_now` has left over; what is left of it when cancelled is kept, apart from the caller's."""
        with self._sole_sender():
            while self._rest is not None:
                try:
                    if self._out.full and not self._out.deaf:
                        await self._out.writable.park()
                except trio.Cancelled:
                    self._rest = memoryview(bytes(self._rest))
                    raise
                rest, self._rest = self._rest, None
                self.send_now(rest)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; waits while the peer does not read."""
        with self._sole_sender():
            await trio.lowlevel.checkpoint()
        await self.send_rest()
        if not self.send_now(memoryview(data)):
            await self.send_rest()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        with self._sole_sender():
            await trio.lowlevel.checkpoint()
            while not self._closed and self._out.full and not self._out.deaf:
                await self._out.writable.park()
            if self._closed:
                raise trio.ClosedResourceError("this end was closed")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this link")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint()
            while not self._closed:
                if self._in.pieces:
                    return self._in.take(max_bytes)
                if self._in.ended:
                    return b""
                await self._in.readable.park()
        finally:
            self._receiving = False
        raise trio.ClosedResourceError("this end was closed")

    async def send_eof(self) -> None:
        """Say that we send no more."""
        with self._sole_sender():
            if self._closed:
                raise trio.ClosedResourceError("this end was closed")
            self._out.end()
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close both directions."""
        if not self._closed:
            self._closed = True
            self._out.end()
            self._out.writable.unpark_all()
            self._in.abandon()
            self._in.readable.unpark_all()
        await trio.lowlevel.checkpoint()

    @contextmanager
    def _sole_sender(self) -> Iterator[None]:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this link")
        self._sending = True
        try:
            yield
        finally:
            self._sending = False

    def _check_writable(self) -> None:
        if self._closed or self._out.ended:
            raise trio.ClosedResourceError("this end was closed")
        if self._out.deaf:
            raise trio.BrokenResourceError("the other end was closed")


def memory_pair() -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a link in memory."""
    there, back = _Pipe(), _Pipe()
    return MemoryStream(there, back), MemoryStream(back, there)


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Where one party of a hub is called."""

    def __init__(self, hub: MemoryHub, address: str) -> None:
        self.address = address
        self._hub = hub
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](2**10)

    def offer(self, stream: trio.abc.Stream) -> None:
        """Put a caller's stream in the queue. Raises trio.WouldBlock if it is full."""
        self._send.send_nowait(stream)

    async def accept(self) -> trio.abc.Stream:
        """Return the next caller's stream."""
        return await self._receive.receive()

    async def aclose(self) -> None:
        """Take no more calls."""
        self._hub.remove(self.address)
        self._send.close()
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                await self._receive.receive_nowait().aclose()
        await trio.lowlevel.checkpoint()


class MemoryHub:
    """The network of one process: a `Carrier` whose addresses are any texts, for instance the parties' names."""

    def __init__(self) -> None:
        self._listeners: dict[str, MemoryListener] = {}
        self._changed = trio.lowlevel.ParkingLot()

    async def listen(self, address: str) -> MemoryListener:
        """Be reachable under `address`. Raises AddressUnusable if someone is already."""
        if address in self._listeners:
            raise AddressUnusable(f"{address} is in use: another party of this process listens there; use another name")
        await trio.lowlevel.checkpoint()
        listener = self._listeners[address] = MemoryListener(self, address)
        self._changed.unpark_all()
        return listener

    async def connect(self, address: str) -> trio.abc.Stream:
        """Call `address`; waits until someone listens there."""
        await trio.lowlevel.checkpoint()
        while address not in self._listeners:
            await self._changed.park()
        ours, theirs = memory_pair()
        try:
            self._listeners[address].offer(theirs)
        except trio.WouldBlock as error:
            raise PeerLost("connection refused: too many callers wait") from error
        return ours

    def remove(self, address: str) -> None:
        """Forget a listener."""
        self._listeners.pop(address, None)
