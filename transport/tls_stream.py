"""TLS over one connection, as a trio stream that can also send without a switch to another task.

trio's own TLS stream passes through the scheduler for every send; this one encrypts and sends in one go.
"""

from __future__ import annotations

import operator
import ssl
from contextlib import suppress
from typing import cast

import trio

from transport.carrier import Proof, ProofFailed
from transport.credentials import Credentials
from transport.errors import TransportError
from transport.sockets import TcpStream
from transport.tls_errors import explain

_READ_BYTES = 128 * 2**10
_LINGER_SECONDS = 1.0
_MOST_UNASKED = 4096
"""Bytes that OpenSSL may want to answer by itself before we send again: a peer can ask for new keys all the time."""
_PROTOCOL_VERSION_ALERT = bytes.fromhex("15030300020246")


class TlsStream(trio.abc.Stream):
    """One end of a TLS connection; also an `EagerStream` and a `ProvenStream`. The first use does the handshake.

    Args:
        stream: the connection; it belongs to this stream from now on.
        credentials: our certificate, and what is demanded of the other end's; read when the handshake begins.
        server: we were called.
    """

    def __init__(self, stream: TcpStream, credentials: Credentials, *, server: bool) -> None:
        self._stream, self._credentials, self._server = stream, credentials, server
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session: ssl.SSLObject | None = None
        self._ready = self._closed = self._heard = False
        self._failed = ""
        self._shaking = trio.Lock()
        self._clear: bytes | memoryview = b""

    @property
    def remote(self) -> str:
        """The other end's address, without its port."""
        return self._stream.remote

    async def prove(self) -> Proof:
        """Do the handshake; return the DNS names in the other end's certificate, until when, and any objection to it.

        Raises:
            ProofFailed: the handshake failed; says which end must do what.
        """
        await self._shake()
        certificate = self._tls.getpeercert() or {}
        pairs = cast("tuple[tuple[str, str], ...]", certificate.get("subjectAltName", ()))
        until = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        objection = self._credentials.objection(self._tls.getpeercert(binary_form=True) or b"")
        return Proof(tuple(name for kind, name in pairs if kind == "DNS"), until, objection)

    @property
    def _tls(self) -> ssl.SSLObject:
        """The session, which begins with the first use."""
        if self._session is None:
            try:
                context = self._credentials.context(server=self._server)
            except TransportError as error:
                raise ProofFailed(str(error).removeprefix("TLS: ")) from error
            self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=self._server)
        return self._session

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
        if self._outgoing.pending > _MOST_UNASKED:
            raise trio.BrokenResourceError("TLS: the other end asks for new keys all the time")
        try:
            while size < most:
                part = self._tls.read(most - size)
                if not part:
                    break
                parts.append(part)
                self._heard = True
                size += len(part)
        except ssl.SSLWantReadError:
            return b"".join(parts) if parts else None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b"".join(parts)
        except ssl.SSLError as error:
            meaning = explain(error, self._credentials)
            # Who called learns of a refusal with the first bytes that it reads.
            raise (trio.BrokenResourceError(f"TLS: {meaning}") if self._heard else ProofFailed(meaning)) from error
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
            if self._failed:
                raise ProofFailed(self._failed)
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
        said = self._outgoing.read()
        if failure is not None:
            self._failed = explain(failure, self._credentials)
            # OpenSSL leaves a caller that speaks no TLS at all without an answer.
            await self._part(said or (_PROTOCOL_VERSION_ALERT if self._server else b""))
            raise ProofFailed(self._failed) from failure
        if said:
            await self._stream.send_all(said)
        self._ready = done
        if not done:
            raw = await self._stream.receive_some(_READ_BYTES)
            if not raw:
                raise trio.BrokenResourceError("the other end closed the connection during the TLS handshake")
            self._incoming.write(raw)

    async def _part(self, said: bytes) -> None:
        """Say why, and let the other end read it: closing with unread bytes would reset the connection."""
        with trio.move_on_after(_LINGER_SECONDS), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.send_all(said)
            await self._stream.send_eof()
            while await self._stream.receive_some(_READ_BYTES):
                pass
