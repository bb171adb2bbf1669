"""Are the TLS files that settings name those of this party, and will they do? Looked at before anybody is called."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from parties.keys import warn_of_end
from pehealth.errors import ConfigError
from transport.certificates import der_of, is_issued_by, moment, names_of, span_of
from transport.credentials import TlsFiles, make_context
from transport.errors import TransportError

READABLE_BY_ALL = 0o004


def check_files(party: str, files: TlsFiles, now: dt.datetime) -> Iterator[str]:
    """Yield what is wrong with a party's TLS files."""
    try:
        make_context(files, server=True)
    except TransportError as error:
        yield f"[tls] {str(error).removeprefix('TLS: ')}"
        return
    try:
        certificate, own, names = _read(files.certificate, span_of, names_of)
        authority, issuer = _read(files.authority, span_of)
    except ConfigError as error:
        yield f"[tls] {error}"
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
        where = f"revoked {files.revoked}: " if against.startswith("our list") else ""
        yield f"[tls] {where}{against.replace('its certificate', f'our certificate {files.certificate}')}"


def _read(path: Path, *readers: Callable[[bytes], Any]) -> tuple[Any, ...]:
    """Return what is in a file of certificates, and what each reader makes of it. Raises ConfigError."""
    try:
        content = path.read_bytes()
        return (content, *(reader(content) for reader in readers))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no certificate: {error}") from error


def warn_of_files(files: TlsFiles, now: dt.datetime) -> list[str]:
    """Return a line for each certificate that ends within 14 days. Raises OSError or ValueError."""
    own, authority = files.spans()
    lines = warn_of_end(str(files.certificate), own, now), warn_of_end(str(files.authority), authority, now)
    return [line for line in lines if line]
