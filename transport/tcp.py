"""Links over TCP. Addresses are "host:port" or "[ipv6]:port"; port 0 lets the system choose."""

from __future__ import annotations

import errno
import os

import trio

from transport.addresses import format_address, parse_address
from transport.errors import AddressUnusable, PeerLost
from transport.sockets import TcpStream

__all__ = ["Tcp", "TcpListener", "format_address", "parse_address"]


class TcpListener(trio.abc.Listener[TcpStream]):
    """Where one party is called; `address` has the port that was bound."""

    def __init__(self, listener: trio.SocketListener, address: str) -> None:
        self.address = address
        self._listener = listener

    async def accept(self) -> TcpStream:
        """Return the next caller's stream."""
        return TcpStream(await self._listener.accept())

    async def aclose(self) -> None:
        """Take no more calls."""
        await self._listener.aclose()


class Tcp:
    """The network as a `Carrier`. Small frames leave at once: TCP_NODELAY is on for every stream."""

    async def listen(self, address: str) -> TcpListener:
        """Be reachable under `address`. Raises AddressUnusable naming the address and what to do."""
        host, port = parse_address(address)
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            raise AddressUnusable(f"cannot listen on {address}: {_why(error)}; {_remedy(error)}") from error
        for spare in listeners[1:]:
            await spare.aclose()
        bound = listeners[0].socket.getsockname()
        return TcpListener(listeners[0], format_address(bound[0], bound[1]))

    async def connect(self, address: str) -> TcpStream:
        """Call `address`. Raises PeerLost saying why it failed; waits as long as the system does."""
        host, port = parse_address(address)
        try:
            return TcpStream(await trio.open_tcp_stream(host, port))
        except OSError as error:
            raise PeerLost(_why(error)) from error


def _why(error: BaseException) -> str:
    """Return the system's own word for a failure, without trio's wrapping."""
    cause = error.__cause__ if isinstance(error, OSError) and error.errno is None and error.__cause__ else error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    text = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(cause)
    return (text or type(cause).__name__).lower()


def _remedy(error: OSError) -> str:
    return {
        errno.EADDRINUSE: "another process listens there, perhaps of an earlier run: stop it or choose another port",
        errno.EACCES: "ports below 1024 need privileges: choose a higher one",
        errno.EADDRNOTAVAIL: "the address is not one of this machine: use 0.0.0.0 or one that `ip address` shows",
    }.get(error.errno or 0, "check the address")
