"""Mutual TLS: every party shows a certificate, issued by one authority, that names it.

The name is a DNS entry of the certificate's subject alternative names: the party's name, for instance "E1". It is
compared with the name in the party's greeting, not with its address, so parties may move.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trio

from transport.errors import TransportError
from transport.tcp import Tcp, TcpListener
from transport.tls_stream import TlsStream


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where one party's TLS files are, all in PEM.

    Attributes:
        certificate: the party's own, followed by those between it and the authority, if any.
        key: its private key, without a password.
        authority: the certificate of the authority that issued all parties' certificates.
    """

    certificate: Path
    key: Path
    authority: Path


def make_context(files: TlsFiles, *, server: bool) -> ssl.SSLContext:
    """Return a context for TLS 1.3 that demands a certificate of the other end.

    Raises:
        TransportError: a file is missing or is not what it should be; names it.
    """
    for path in (files.certificate, files.key, files.authority):
        if not path.is_file():
            raise TransportError(f"TLS: there is no file {path}: make certificates first")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Names are compared after the greeting: they are those of parties, not of machines.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(files.authority)
    except ssl.SSLError as error:
        raise TransportError(f"TLS: {files.authority} is no certificate in PEM") from error
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise TransportError(
            f"TLS: {files.certificate} and {files.key} are no certificate and its private key in PEM: {error}"
        ) from error
    return context


class TlsListener(trio.abc.Listener[TlsStream]):
    """Where one party is called; callers must show a certificate."""

    def __init__(self, listener: TcpListener, context: ssl.SSLContext) -> None:
        self._listener, self._context = listener, context

    @property
    def address(self) -> str:
        """The address with the port that was bound."""
        return self._listener.address

    async def accept(self) -> TlsStream:
        """Return the next caller's stream; its handshake is still to come, so that a slow one delays nobody."""
        return TlsStream(await self._listener.accept(), self._context, server=True)

    async def aclose(self) -> None:
        """Take no more calls."""
        await self._listener.aclose()


class Tls:
    """TCP with mutual TLS, as a `Carrier`.

    Args:
        files: the party's own.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._tcp = Tcp()
        self._called = make_context(files, server=True)
        self._calling = make_context(files, server=False)

    async def listen(self, address: str) -> TlsListener:
        """Be reachable under `address`. Raises TransportError naming the address and what to do."""
        return TlsListener(await self._tcp.listen(address), self._called)

    async def connect(self, address: str) -> TlsStream:
        """Call `address`. Raises PeerLost saying why it failed; the TLS handshake comes with the first bytes."""
        return TlsStream(await self._tcp.connect(address), self._calling, server=False)


def _no_password() -> str:
    raise ValueError("the key has a password, and nobody is there to type it")
