"""Mutual TLS: every party shows a certificate, issued by one authority, that names it.

The name is a DNS entry of the certificate's subject alternative names: the party's name, for instance "E1". It is
compared with the name in the party's greeting, not with its address, so parties may move.
"""

from __future__ import annotations

import trio

from transport.credentials import Credentials
from transport.tcp import Tcp, TcpListener
from transport.tls_stream import TlsStream


class TlsListener(trio.abc.Listener[TlsStream]):
    """Where one party is called; callers must show a certificate."""

    def __init__(self, listener: TcpListener, credentials: Credentials) -> None:
        self._listener, self._credentials = listener, credentials

    @property
    def address(self) -> str:
        """The address with the port that was bound."""
        return self._listener.address

    async def accept(self) -> TlsStream:
        """Return the next caller's stream; its handshake is still to come, so that a slow one delays nobody."""
        return TlsStream(await self._listener.accept(), self._credentials, server=True)

    async def aclose(self) -> None:
        """Take no more calls."""
        await self._listener.aclose()


class Tls:
    """TCP with mutual TLS, as a `Carrier`.

    Args:
        credentials: the party's own.

    Raises:
        TransportError: they cannot be used; names the file.
    """

    def __init__(self, credentials: Credentials) -> None:
        credentials.context(server=False)
        self._tcp, self._credentials = Tcp(), credentials

    async def listen(self, address: str) -> TlsListener:
        """Be reachable under `address`. Raises TransportError naming the address and what to do."""
        return TlsListener(await self._tcp.listen(address), self._credentials)

    async def connect(self, address: str) -> TlsStream:
        """Call `address`. Raises PeerLost saying why it failed; the TLS handshake comes with the first bytes."""
        return TlsStream(await self._tcp.connect(address), self._credentials, server=False)
