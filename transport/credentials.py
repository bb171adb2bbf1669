"""What a party proves itself with, and whom it believes: in files that are read for every handshake, or in memory.

Files may be replaced at any time: a renewed certificate and a new list of revoked ones count from the next handshake.
"""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Protocol

from transport.errors import TransportError

if TYPE_CHECKING:
    from transport.certificates import Span


class Credentials(Protocol):
    """What one party needs for TLS."""

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Return the context for one handshake. Raises TransportError naming a file that cannot be used."""
        ...

    def objection(self, certificate: bytes) -> str:
        """Return why a certificate (DER) that TLS itself accepts is not taken, or nothing."""
        ...

    @property
    def ours(self) -> str:
        """What to call our certificate in a sentence."""
        ...

    def spans(self) -> tuple[Span, Span]:
        """Return when our certificate and our authority's are valid. Raises OSError or ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where one party's TLS files are, all in PEM; read for every handshake.

    Attributes:
        certificate: the party's own, followed by those between it and the authority, if any.
        key: its private key, without a password.
        authority: the certificate of the authority that issued all parties' certificates.
        revoked: the authority's list of revoked certificates; None: nothing is revoked.
    """

    certificate: Path
    key: Path
    authority: Path
    revoked: Path | None = None

    @property
    def ours(self) -> str:
        """What to call our certificate in a sentence."""
        return f"our certificate {self.certificate}"

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Return a context with what the files hold now. Raises TransportError naming the file that cannot be used."""
        return make_context(self, server=server)

    def objection(self, certificate: bytes) -> str:
        """Return why the list of revoked certificates, as it is now, does not let a certificate (DER) pass."""
        if self.revoked is None:
            return ""
        from transport.certificates import objection

        try:
            revoked, authorities = self.revoked.read_bytes(), self.authority.read_bytes()
        except OSError as error:
            return f"our list of revoked certificates cannot be read: {error.filename}: {error.strerror}"
        return objection(certificate, revoked, authorities, dt.datetime.now(dt.UTC))

    def spans(self) -> tuple[Span, Span]:
        """Return when our certificate and our authority's are valid. Raises OSError or ValueError."""
        from transport.certificates import span_of

        return span_of(self.certificate.read_bytes()), span_of(self.authority.read_bytes())


@dataclass(frozen=True, slots=True)
class Identity:
    """What one party proves itself with, in PEM.

    Attributes:
        certificate: the party's own; its DNS entry is the party's name.
        key: the private key of it, without a password.
        authority: certificate of the authority that issued all parties' certificates.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes


class HeldCredentials:
    """An identity in memory, for the length of a run."""

    ours = "our certificate"

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._called, self._calling = (_held_context(identity, server=server) for server in (True, False))

    def context(self, *, server: bool) -> ssl.SSLContext:
        """Return the context for one handshake."""
        return self._called if server else self._calling

    def objection(self, certificate: bytes) -> str:  # noqa: ARG002 - the protocol's
        """Nothing is revoked during a run."""
        return ""

    def spans(self) -> tuple[Span, Span]:
        """Return when our certificate and our authority's are valid."""
        from transport.certificates import span_of

        return span_of(self._identity.certificate), span_of(self._identity.authority)


def make_context(files: TlsFiles, *, server: bool) -> ssl.SSLContext:
    """Return a context for TLS 1.3 that demands a certificate of the other end.

    Raises:
        TransportError: a file is missing or is not what it should be; names it.
    """
    for path in (files.certificate, files.key, files.authority):
        if not path.is_file():
            raise TransportError(f"TLS: there is no file {path}: make certificates first, with `pehealth keys`")
    context = _bare_context(server=server)
    try:
        context.load_verify_locations(files.authority)
    except ssl.SSLError as error:
        raise TransportError(f"TLS: {files.authority} is no certificate in PEM") from error
    except OSError as error:
        raise TransportError(f"TLS: {files.authority} cannot be read: {error.strerror}") from error
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise TransportError(
            f"TLS: {files.certificate} and {files.key} are no certificate and its private key in PEM: {error}"
        ) from error
    except OSError as error:
        raise TransportError(f"TLS: {files.certificate} or {files.key} cannot be read: {error.strerror}") from error
    return context


def _held_context(identity: Identity, *, server: bool) -> ssl.SSLContext:
    context = _bare_context(server=server)
    context.load_verify_locations(cadata=identity.authority.decode("ascii"))
    # The ssl module takes keys from files alone. This one can be read by us alone, and is gone with the block.
    with NamedTemporaryFile(prefix="pehealth-") as file:
        file.write(identity.certificate + identity.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _bare_context(*, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Names are compared after the greeting: they are those of parties, not of machines.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if server:
        # A session that is taken up again would pass without a look at the certificate's dates.
        context.num_tickets = 0
    return context


def _no_password() -> str:
    raise ValueError("the key has a password, and nobody is there to type it")
