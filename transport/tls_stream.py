"""TLS over one connection, as a trio stream that can also send without a switch to another task.

trio's own TLS stream passes through the scheduler for every send; this one encrypts and sends in one go.
"""

from __future__ import annotations

import operator
import ssl
from contextlib import suppress
from typing import cast

import trio

from transport.sockets import TcpStream

_READ_BYTES = 128 * 2**10


class TlsStream(trio.abc.Stream):
    """One end of a TLS connection; also an `EagerStream` and a `ProvenStream`. The first use does the handshake.

    Args:
        stream: the connection; it belongs to this stream from now on.
        context: certificates and what is demanded of the other end's.
        server: we were called.
    """

    def __init__(self, stream: TcpStream, context: ssl.SSLContext, *, server: bool) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self._ready = self._closed = False
        self._shaking = trio.Lock()
        self._clear: bytes | memoryview = b""

    @property
    def proven_names(self) -> frozenset[str]:
        """The DNS names in the other end's certificate, in lower case; none before the handshake."""
        certificate = self._tls.getpeercert() if self._ready else None
        pairs = cast("tuple[tuple[str, str], ...]", (certificate or {}).get("subjectAltName", ()))
        return frozenset(name.lower() for kind, name in pairs if kind == "DNS")

    def send_now(self, data: bytes | memoryview) -> bool:
        """Encrypt and send; False if something is left, or the handshake is still to come."""
        if not self._ready:
            self._clear = data
            return False
        self._tls.write(data)
        return self._stream.send_now(self._outgoing.read())

    async def send_rest(self) -> None:
        """Send what `send_now` has left over."""
        if not self._ready:
            await self._shake()
            clear, self._clear = self._clear, b""
            if self.send_now(clear):
                return
        await self._stream.send_rest()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises trio.BrokenResourceError or trio.ClosedResourceError."""
        await self._shake()
        await self._stream.send_rest()
        self._tls.write(data)
        await self._stream.send_all(self._outgoing.read())

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the connection takes bytes."""
        await self._shake()
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes, none at the end. Raises trio.BrokenResourceError or trio.ClosedResourceError.

        An end without TLS's own farewell is an end all the same: frames have theirs.
        """
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        most = max_bytes or _READ_BYTES
        await self._shake()
        while True:
            data = self._decrypt(most)
            if data is not None:
                return data
            raw = await self._stream.receive_some(_READ_BYTES)
            if raw:
                self._incoming.write(raw)
            else:
                self._incoming.write_eof()

    def _decrypt(self, most: int) -> bytes | None:
        """Return what can be read now, None if more must come first. A record holds 16 KiB, so several are joined."""
        parts: list[bytes] = []
        size = 0
        try:
            while size < most:
                part = self._tls.read(most - size)
                if not part:
                    break
                parts.append(part)
                size += len(part)
        except ssl.SSLWantReadError:
            return b"".join(parts) if parts else None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b"".join(parts)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(explain(error)) from error
        return b"".join(parts)

    async def aclose(self) -> None:
        """Close the connection, with TLS's farewell if it can be sent at once."""
        if self._ready and not self._closed:
            self._closed = True
            # It writes our farewell, and then wants to wait for theirs.
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                self._stream.send_now(self._outgoing.read())
        await self._stream.aclose()

    async def _shake(self) -> None:
        """Do the handshake, unless it was done."""
        if self._ready:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("this end was closed")
            return
        async with self._shaking:
            while not self._ready:
                await self._step()

    async def _step(self) -> None:
        done, failure = False, None
        try:
            self._tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            failure = error
        if self._outgoing.pending:
            await self._stream.send_all(self._outgoing.read())
        if failure is not None:
            raise trio.BrokenResourceError(explain(failure)) from failure
        self._ready = done
        if not done:
            raw = await self._stream.receive_some(_READ_BYTES)
            if not raw:
                raise trio.BrokenResourceError("the other end closed the connection during the TLS handshake")
            self._incoming.write(raw)


_REASONS = {
    "certificate has expired": "its certificate has expired: issue a new one",
    "certificate is not yet valid": "its certificate is not valid yet: is a clock wrong?",
    "self-signed certificate": "its certificate was not issued by our authority: use one authority for all parties",
    "unable to get local issuer": "its certificate was not issued by our authority: use one authority for all parties",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate: give every party one",
    "CERTIFICATE_REQUIRED": "it demands a certificate and we showed none: give every party one",
    "ALERT_UNKNOWN_CA": "our certificate was not issued by its authority: use one authority for all parties",
    "ALERT_CERTIFICATE_EXPIRED": "our certificate has expired: issue a new one",
    "ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: start all parties with TLS or all without",
    "HTTP_REQUEST": "it does not speak TLS but HTTP",
    "UNSUPPORTED_PROTOCOL": "it speaks only versions of TLS before 1.3",
    "ALERT_PROTOCOL_VERSION": "it speaks only versions of TLS before 1.3",
}


def explain(error: ssl.SSLError) -> str:
    """Return what a TLS failure means and what to do about it."""
    text = f"{error.reason} {error}"
    for sign, meaning in _REASONS.items():
        if sign in text:
            return f"TLS: {meaning}"
    return f"TLS: {error.reason or error}"
