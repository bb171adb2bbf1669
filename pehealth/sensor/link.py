"""One link of a sensor over a blocking socket, with mutual TLS; every wait has a deadline."""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pehealth.sensor.conversation import Conversation, Reply
from transport.addresses import parse_address
from transport.credentials import TlsFiles
from transport.errors import PeerLost, PeerTimeout, TlsFailed, TransportError
from transport.handshake import Hello
from transport.tls_errors import explain

_READ_BYTES = 16 << 10
_FAREWELL_SECONDS = 1.0


class Link:
    """A link that stands: greeted, and proven where there is TLS. `open_link` makes one.

    Attributes:
        peer: whom it leads to.
        sent, received: bytes of frames, greeting included; TLS and TCP add their own.
        spoke: when we last sent something, by time.monotonic.
        replies: those that came and were not taken yet, by request number.
    """

    def __init__(self, connection: socket.socket, talk: Conversation, tls: TlsFiles | None) -> None:
        self.peer = talk.peer
        self.sent = self.received = 0
        self.spoke = time.monotonic()
        self.replies: dict[int, Reply] = {}
        self._socket, self._talk, self._tls = connection, talk, tls

    def fileno(self) -> int:
        """Return the socket's number, for select."""
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """True if bytes were decrypted that nobody has read: select does not see them."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def greet(self, until: float) -> None:
        """Greet the peer and hear its greeting. Raises TransportError."""
        self._send(self._talk.greeting(), until)
        while not self._talk.greeted:
            self.read(until)

    def ask(self, ask: str, until: float, **fields: str | int) -> int:
        """Send a request and return its number; its reply will be among `replies`. Raises TransportError."""
        number, data = self._talk.request(ask, **fields)
        self._send(data, until)
        return number

    def upload(self, query: int, payload: bytes, until: float) -> None:
        """Send a query's message. Raises TransportError."""
        self._send(self._talk.upload(query, payload), until)

    def keep_alive(self, until: float) -> None:
        """Show that we are there. Raises TransportError."""
        self._send(self._talk.keepalive(), until)

    def read(self, until: float) -> None:
        """Wait for bytes and put the replies in them where they belong. Raises TransportError."""
        try:
            self._socket.settimeout(left(until))
            data = self._socket.recv(_READ_BYTES)
        except (OSError, ValueError) as error:
            raise self._mapped(error, "waiting for an answer") from error
        self.received += len(data)
        for reply in self._talk.feed(data):
            self.replies[reply.n] = reply

    def close(self) -> None:
        """Say goodbye and close; never raises for a link that is gone."""
        with suppress(TransportError):
            self._send(self._talk.goodbye(), time.monotonic() + _FAREWELL_SECONDS)
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        with suppress(OSError):
            self._socket.close()

    def _send(self, data: bytes, until: float) -> None:
        try:
            self._socket.settimeout(left(until))
            self._socket.sendall(data)
        except (OSError, ValueError) as error:
            raise self._mapped(error, "sending") from error
        self.sent += len(data)
        self.spoke = time.monotonic()

    def _mapped(self, error: Exception, what: str) -> TransportError:
        if isinstance(error, TimeoutError):
            return PeerTimeout(f"{self.peer} has not answered within the deadline; we were {what}")
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return PeerLost(f"{self.peer} closed the link; we were {what}")
        if isinstance(error, ssl.SSLError) and self._tls is not None:
            return TlsFailed(f"TLS with {self.peer}: {explain(error, self._tls)}")
        return PeerLost(f"the link to {self.peer} broke: {_why(error)}; we were {what}")


def open_link(address: str, hello: Hello, tls: TlsFiles | None, until: float) -> Link:
    """Call a party, prove to each other who we are, and greet.

    Args:
        address: where it listens.
        hello: our greeting, addressed to it.
        tls: our certificate and whom we believe; None: plain TCP, INSECURE.
        until: the deadline, by time.monotonic.

    Raises:
        PeerLost: nobody is there.
        PeerTimeout: the deadline passed.
        TlsFailed, HandshakeMismatch, PeerAbort, FrameError: as the handshake between parties.
    """
    peer = hello.wanted
    context = tls.context(server=False) if tls is not None else None
    try:
        connection = socket.create_connection(parse_address(address), timeout=left(until))
    except TimeoutError as error:
        raise PeerTimeout(f"{peer} at {address} did not answer within the deadline") from error
    except OSError as error:
        raise PeerLost(f"{peer} at {address} cannot be reached: {_why(error)}") from error
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None and context is not None:
            connection = _secured(connection, context, tls, peer, until)
        link = Link(connection, Conversation(hello), tls)
        link.greet(until)
    except BaseException:
        connection.close()
        raise
    return link


def _secured(
    connection: socket.socket, context: ssl.SSLContext, tls: TlsFiles, peer: str, until: float
) -> ssl.SSLSocket:
    """Return the TLS connection, after a look at whom the other end's certificate names."""
    try:
        connection.settimeout(left(until))
        secured = context.wrap_socket(connection)
    except TimeoutError as error:
        raise PeerTimeout(f"TLS with {peer}: no answer within the deadline") from error
    except ssl.SSLError as error:
        raise TlsFailed(f"TLS with {peer}: {explain(error, tls)}") from error
    except OSError as error:
        raise PeerLost(f"the link to {peer} broke during the TLS handshake: {_why(error)}") from error
    pairs: Any = (secured.getpeercert() or {}).get("subjectAltName", ())
    names = [name for kind, name in pairs if kind == "DNS"]
    objection = tls.objection(secured.getpeercert(binary_form=True) or b"")
    if peer.lower() not in {name.lower() for name in names}:
        objection = (
            f"its certificate names {', '.join(names) or 'nobody'}: give each party its own, check the addresses"
        )
    if objection:
        secured.close()
        raise TlsFailed(f"TLS with {peer}: {objection}")
    return secured


def wait_any(links: Sequence[Link], until: float) -> None:
    """Wait until one of the links has bytes, and read those that have. Raises TransportError."""
    ready = [link for link in links if link.waiting]
    if not ready:
        with selectors.DefaultSelector() as selector:
            for link in links:
                selector.register(link, selectors.EVENT_READ, link)
            ready = [key.data for key, _ in selector.select(left(until))]
    if not ready:
        names = ", ".join(link.peer for link in links)
        raise PeerTimeout(f"no answer from {names} within the deadline")
    for link in ready:
        link.read(until)


def left(until: float) -> float:
    """Return the seconds that are left; a little more than none, which a socket would take as "do not wait"."""
    return max(until - time.monotonic(), 1e-3)


def _why(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number and number > 0 else str(error) or type(error).__name__).lower()
