"""Are the TLS files that settings name those of this party, and will they do? Looked at before anybody is called."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from parties.keys import warn_of_end
from transport.certificates import der_of, is_issued_by, moment, names_of, span_of
from transport.credentials import TlsFiles, make_context
from transport.errors import TransportError

READABLE_BY_ALL = 0o004


def check_files(party: str, files: TlsFiles, now: dt.datetime) -> Iterator[str]:
    """Yield what is wrong with a party's TLS files."""
    try:
        make_context(files, server=True)
        certificate, authority = files.certificate.read_bytes(), files.authority.read_bytes()
        own, issuer = span_of(certificate), span_of(authority)
        names = names_of(certificate)
    except (TransportError, ValueError) as error:
        yield f"[tls] {str(error).removeprefix('TLS: ')}"
        return
    except OSError as error:
        yield f"[tls] {error.filename} cannot be read: {error.strerror}"
        return
    if party.lower() not in {name.lower() for name in names}:
        yield f"[tls] certificate {files.certificate} names {', '.join(names) or 'nobody'}, and this is {party}"
    if not is_issued_by(certificate, authority):
        yield f"[tls] certificate {files.certificate} was not issued by authority {files.authority}"
    if files.key.stat().st_mode & READABLE_BY_ALL:
        yield f"[tls] key {files.key} can be read by everyone on this machine: chmod 600 {files.key}"
    for what, path, span in (("certificate", files.certificate, own), ("authority", files.authority, issuer)):
        if span.end <= now:
            yield f"[tls] {what} {path} has expired on {moment(span.end)}: issue a new one"
        elif now < span.start:
            yield f"[tls] {what} {path} is not valid before {moment(span.start)}: is this machine's clock wrong?"
    if against := files.objection(der_of(certificate)):
        yield f"[tls] {against.replace('its certificate', f'our certificate {files.certificate}')}"


def warn_of_files(files: TlsFiles, now: dt.datetime) -> list[str]:
    """Return a line for each certificate that ends within 14 days. Raises OSError or ValueError."""
    own, authority = files.spans()
    lines = warn_of_end(str(files.certificate), own, now), warn_of_end(str(files.authority), authority, now)
    return [line for line in lines if line]
