"""An authority, the certificates that it issues, and its list of those it has revoked [RFC5280]. No input or output.

Keys are on P-256 and signatures ECDSA with SHA-256: every TLS library since OpenSSL 1.1.1 takes them, and a key is made
in a tenth of a millisecond.
"""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeGuard

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from transport.credentials import Identity

BACKDATED = dt.timedelta(hours=1)
"""What we issue is valid since before it was made: the clocks of two machines differ."""

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when a certificate is valid, both in UTC."""

    start: dt.datetime
    end: dt.datetime

    @classmethod
    def days(cls, now: dt.datetime, days: float) -> Self:
        """Return the span that begins a little before `now` and ends `days` after it."""
        whole = now.replace(microsecond=0)
        return cls(whole - BACKDATED, whole + dt.timedelta(days=days))


class Authority:
    """Issues certificates and revokes them; its own is valid for `span`.

    Args:
        certificate: the authority's own.
        key: the private key of it.
    """

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def create(cls, span: Span) -> Self:
        """Make a new authority, with a name of its own: two of them are never confused."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"pehealth authority {secrets.token_hex(4)}")
        builder = _builder(name, name, key.public_key(), span)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Self:
        """Return the authority behind two PEM texts.

        Raises:
            ValueError: they are not a certificate and its private key.
        """
        with _readable():
            parsed = x509.load_pem_x509_certificate(certificate)
            _ = parsed.subject, parsed.public_key(), parsed.not_valid_after_utc
        try:
            private = serialization.load_pem_private_key(key, password=None)
        except TypeError as error:
            raise ValueError("the authority's key has a password") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError("the authority's key is damaged, or is none") from error
        if not isinstance(private, PrivateKey) or private.public_key() != parsed.public_key():
            raise ValueError("the authority's key does not belong to its certificate")
        return cls(parsed, private)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, for every party."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The authority's private key: whoever has it can be any party."""
        return _key_pem(self._key)

    def issue(self, name: str, span: Span) -> Identity:
        """Make a key and a certificate for the party `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Identity(self.certify(name, key.public_key(), span), _key_pem(key), self.certificate_pem)

    def certify(self, name: str, key: PublicKey, span: Span) -> bytes:
        """Return a certificate, in PEM, for a party that has made its own key."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            _builder(_name(name), self.certificate.subject, key, span)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def read_revocations(self, revoked: bytes) -> dict[int, dt.datetime]:
        """Return what `read_revocations` does, of a list that this authority has signed.

        Raises:
            ValueError: it is none, or was changed since.
        """
        found = read_revocations(revoked)
        with _readable():
            signed = _signed(x509.load_pem_x509_crl(revoked), self.certificate)
        if not signed:
            raise ValueError("this authority did not sign it, or it was changed since")
        return found

    def revocations(self, revoked: Mapping[int, dt.datetime], now: dt.datetime) -> bytes:
        """Return the signed list, in PEM, of revoked serial numbers and since when; good as long as the authority."""
        end = max(self.certificate.not_valid_after_utc, now + dt.timedelta(days=1))
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, now - BACKDATED, end)
        for serial, since in revoked.items():
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, since).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make_request(name: str) -> tuple[bytes, bytes]:
    """Make a key that never leaves the party `name`; return (key, request for a certificate), both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, hashes.SHA256())
    return _key_pem(key), request.public_bytes(serialization.Encoding.PEM)


def read_request(request: bytes) -> tuple[str, PublicKey]:
    """Return the name and the key in a request (PEM). Raises ValueError saying why it cannot be granted."""
    with _readable():
        parsed = x509.load_pem_x509_csr(request)
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = parsed.public_key()
        valid = parsed.is_signature_valid
    if not valid:
        raise ValueError("it is not signed with its own key")
    if not _on_p256(key):
        raise ValueError("its key is not on P-256")
    if len(names) != 1:
        raise ValueError("it does not name one party")
    return str(names[0].value), key


def serial_of(certificate: bytes) -> int:
    """Return the serial number of the first certificate in a PEM text."""
    with _readable():
        return x509.load_pem_x509_certificate(certificate).serial_number


def read_revocations(revoked: bytes) -> dict[int, dt.datetime]:
    """Return the serial numbers in a list of revoked certificates (PEM), and since when. Raises ValueError."""
    with _readable():
        return {entry.serial_number: entry.revocation_date_utc for entry in x509.load_pem_x509_crl(revoked)}


def names_of(certificate: bytes) -> tuple[str, ...]:
    """Return the DNS names of the first certificate in a PEM text. Raises ValueError if there is none."""
    with _readable():
        try:
            names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            )
        except x509.ExtensionNotFound:
            return ()
        return tuple(names.value.get_values_for_type(x509.DNSName))


def der_of(certificate: bytes) -> bytes:
    """Return the first certificate in a PEM text as DER. Raises ValueError if there is none."""
    with _readable():
        return x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER)


def is_issued_by(certificate: bytes, authorities: bytes) -> bool:
    """Say whether the certificates in a PEM text lead, each issued by the next, to one of the authorities.

    Raises ValueError if there are none.
    """
    with _readable():
        chain = x509.load_pem_x509_certificates(certificate)
        trusted = x509.load_pem_x509_certificates(authorities)
    whole = all(_issued(below, above) for below, above in itertools.pairwise(chain))
    return whole and any(_issued(chain[-1], issuer) for issuer in trusted)


def span_of(certificate: bytes) -> Span:
    """Return when the first certificate in a PEM text is valid. Raises ValueError if there is none."""
    with _readable():
        parsed = x509.load_pem_x509_certificate(certificate)
        return Span(parsed.not_valid_before_utc, parsed.not_valid_after_utc)


def objection(certificate: bytes, revoked: bytes, authorities: bytes, now: dt.datetime) -> str:
    """Return why a list of revoked certificates (PEM) does not let a peer's certificate (DER) pass, or nothing.

    A list that cannot be used lets nobody pass.

    Args:
        certificate: one that TLS itself has accepted.
        revoked: the list; it must be of the certificate's issuer.
        authorities: certificates of the authorities that we trust, in PEM.
        now: in UTC.
    """
    ours = "our list of revoked certificates"
    try:
        with _readable():
            known = x509.load_pem_x509_crl(revoked)
            trusted = x509.load_pem_x509_certificates(authorities)
            signed = any(_signed(known, issuer) for issuer in trusted)
            of, next_update = known.issuer, known.next_update_utc
    except ValueError:
        return f"{ours} is none in PEM: copy the authority's"
    try:
        with _readable():
            shown = x509.load_der_x509_certificate(certificate)
            issuer, serial = shown.issuer, shown.serial_number
    except ValueError:
        return "its certificate cannot be read: issue a new one"
    if issuer != of or not signed:
        return f"{ours} is not of the authority that issued its certificate: copy the authority's"
    if next_update is not None and next_update < now:
        return f"{ours} is out of date since {moment(next_update)}: copy a new one from the authority"
    # Whoever signed the list can write one: what follows needs no guard.
    entry = known.get_revoked_certificate_by_serial_number(serial)
    if entry is None:
        return ""
    return f"its certificate was revoked on {moment(entry.revocation_date_utc)}: issue a new one"


def moment(when: dt.datetime) -> str:
    """Return a time for people, in UTC."""
    return f"{when.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


@contextmanager
def _readable() -> Iterator[None]:
    """Turn whatever the library raises for what it cannot read into ValueError; it parses only when it is asked."""
    try:
        yield
    except (
        x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        raise ValueError("it is damaged, or is not what it should be") from error


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signed(known: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        key = issuer.public_key()
        return issuer.subject == known.issuer and known.is_signature_valid(key)  # type: ignore[arg-type] # any kind
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False


def _on_p256(key: object) -> TypeGuard[PublicKey]:
    return isinstance(key, PublicKey) and isinstance(key.curve, ec.SECP256R1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: PublicKey, span: Span) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(span.start)
        .not_valid_after(span.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
