"""One TCP connection as a trio stream that can also send without a switch to another task.

trio's own stream passes through the scheduler for every send, which costs a small exchange a third of its time.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import trio

_READ_BYTES = 64 * 2**10


class TcpStream(trio.abc.HalfCloseableStream):
    """A connection; also an `EagerStream`. Small frames leave at once: TCP_NODELAY is on.

    Args:
        stream: trio's stream of a connection, whose socket is taken over.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.remote = _remote(stream.socket)
        """The other end's address, without its port."""
        self._socket = socket.socket(fileno=stream.socket.detach())
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._drained = True
        self._ended = False
        self._sending = False
        self._rest: memoryview | None = None

    def send_now(self, data: bytes | memoryview) -> bool:
        """Give the system what it takes at once; False if something is left. Raises as `send_all`."""
        self._check_open()
        if self._ended:
            raise trio.ClosedResourceError("nothing can be sent after the end was sent")
        try:
            done = self._socket.send(data)
        except BlockingIOError:
            done = 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error
        if done == len(data):
            return True
        self._rest = memoryview(data)[done:]
        return False

    async def send_rest(self) -> None:
        """Send what `send_now` has left over; what is left of it when cancelled is kept, apart from the caller's."""
        with self._sole_sender():
            while self._rest is not None:
                try:
                    await trio.lowlevel.wait_writable(self._socket)
                except trio.Cancelled:
                    self._rest = memoryview(bytes(self._rest))
                    raise
                rest, self._rest = self._rest, None
                self.send_now(rest)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises trio.BrokenResourceError or trio.ClosedResourceError."""
        with self._sole_sender():
            await trio.lowlevel.checkpoint()
        await self.send_rest()
        if not self.send_now(memoryview(data)):
            await self.send_rest()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the system takes bytes."""
        with self._sole_sender():
            await trio.lowlevel.checkpoint_if_cancelled()
            self._check_open()
            await trio.lowlevel.wait_writable(self._socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes, none at the end. Raises trio.BrokenResourceError or trio.ClosedResourceError."""
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        most = max_bytes or _READ_BYTES
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._check_open()
            if self._drained:
                # The last read took all there was: another would most likely be in vain.
                await trio.lowlevel.wait_readable(self._socket)
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
            self._check_open()
            try:
                data = self._socket.recv(most)
            except BlockingIOError:
                self._drained = True
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error
            else:
                self._drained = len(data) < most
                return data

    async def send_eof(self) -> None:
        """Say that we send no more."""
        with self._sole_sender():
            self._check_open()
            await trio.lowlevel.checkpoint()
            self._ended = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        """Close the connection."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()

    @contextmanager
    def _sole_sender(self) -> Iterator[None]:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this connection")
        self._sending = True
        try:
            yield
        finally:
            self._sending = False

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError("this end was closed")


def _remote(end: trio.socket.SocketType) -> str:
    try:
        return str(end.getpeername()[0])
    except OSError:
        return "an address that is gone"
