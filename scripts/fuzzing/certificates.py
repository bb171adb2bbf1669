"""Certificates, lists of revoked ones and requests in PEM and DER, as parties and authorities read them."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning

from fuzzing.target import Source, Target, demand, without_warnings
from transport.certificates import (
    Authority,
    Span,
    der_of,
    is_issued_by,
    make_request,
    names_of,
    objection,
    read_request,
    read_revocations,
    serial_of,
    span_of,
)

_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_LABELS = ("CERTIFICATE", "X509 CRL", "CERTIFICATE REQUEST")
_PEER, _LIST, _REQUEST, _OWN = 0, 1, 2, 3


def run(data: bytes) -> None:
    """Read a certificate, list or request; a list or certificate that was changed lets nobody pass."""
    # The library warns of what it will not read in the future, such as a negative serial number.
    with without_warnings(CryptographyDeprecationWarning):
        _read(data)


def _read(data: bytes) -> None:
    source = Source(data)
    mode, framed = source.below(4), source.below(2)
    authority, certificate, revoked, _ = _made()
    body = source.rest()
    if mode == _PEER:
        told = objection(body, revoked, authority, _NOW)
        demand(told or body == _der(certificate), "a certificate that nobody issued passed")
    elif mode == _LIST:
        content = _pem(body, 1) if framed else body
        demand(objection(_der(certificate), content, authority, _NOW), "a revoked certificate passed")
        read_revocations(content)
    elif mode == _REQUEST:
        read_request(_pem(body, 2) if framed else body)
    else:
        content = _pem(body, 0) if framed else body
        if is_issued_by(content, authority):
            demand(der_of(content) == _der(certificate), "a certificate that nobody issued was taken")
        _ = serial_of(content), span_of(content), names_of(content)


def _pem(body: bytes, label: int) -> bytes:
    from base64 import encodebytes

    name = _LABELS[label]
    return f"-----BEGIN {name}-----\n".encode() + encodebytes(body) + f"-----END {name}-----\n".encode()


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


@cache
def _made() -> tuple[bytes, bytes, bytes, bytes]:
    """Return an authority, a certificate that it has revoked, the list that says so, and a request, in PEM."""
    authority = Authority.create(Span.days(_NOW, 3650))
    certificate = authority.issue("E2", Span.days(_NOW, 300)).certificate
    revoked = authority.revocations({serial_of(certificate): _NOW}, _NOW)
    return authority.certificate_pem, certificate, revoked, make_request("E2")[1]


def _bare(pem: bytes) -> bytes:
    from base64 import b64decode

    return b64decode(re.sub(rb"-----[^-]+-----", b"", pem))


def seeds() -> list[bytes]:
    """Each kind as it is, in PEM and bare."""
    _, certificate, revoked, request = _made()
    own, listed, asked = _bare(certificate), _bare(revoked), _bare(request)
    bare = [bytes((_PEER, 0)) + own, bytes((_LIST, 1)) + listed, bytes((_REQUEST, 1)) + asked, bytes((_OWN, 1)) + own]
    texts = [bytes((_LIST, 0)) + revoked, bytes((_REQUEST, 0)) + request, bytes((_OWN, 0)) + certificate]
    return bare + texts


TARGET = Target("certificate", run, (ValueError,), seeds, most_bytes=2048)
