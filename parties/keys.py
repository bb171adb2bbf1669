"""A folder of keys: one authority, the certificates that it has issued, and those that it has revoked.

authority.pem    the authority's certificate: for every party
authority.key    its private key: whoever reads it can be any party
revoked.pem      its signed list of revoked certificates: for every party
issued.jsonl     what was issued, one certificate a line
E1.pem, E1.key   the certificate and private key of E1: for E1 alone
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pehealth.codec.strict_json import parse_json
from pehealth.errors import ConfigError
from transport.certificates import (
    Authority,
    PublicKey,
    Span,
    make_request,
    moment,
    read_request,
    serial_of,
    span_of,
)
from transport.handshake import is_name

AUTHORITY, AUTHORITY_KEY, REVOKED, ISSUED = "authority.pem", "authority.key", "revoked.pem", "issued.jsonl"
AUTHORITY_DAYS = 3650
DAYS = 397
"""What browsers take at most from public authorities, a year and a month: renew once a year."""
MOST_DAYS = 36500
NUMBER_DIGITS = 12
WARNING = dt.timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate that was issued.

    Attributes:
        name: the party.
        serial: its number.
        span: when it is valid.
        revoked: since when it is not, before its time.
    """

    name: str
    serial: int
    span: Span
    revoked: dt.datetime | None = None

    @property
    def number(self) -> str:
        """The start of the serial number, enough to tell two certificates apart."""
        return f"{self.serial:040x}"[:NUMBER_DIGITS]

    def state(self, now: dt.datetime) -> str:
        """Return what it is worth, in a few words."""
        if self.revoked is not None:
            return f"revoked {moment(self.revoked)}"
        if self.span.end <= now:
            return "expired"
        if now < self.span.start:
            return "not yet valid"
        return f"expires in {_days(self.span.end - now)}" if self.span.end - now < WARNING else "valid"


class KeyFolder:
    """The folder of an authority.

    Args:
        directory: where it lies.
        now: in UTC.

    Raises:
        ConfigError: there is no authority, or its files cannot be used.
    """

    def __init__(self, directory: Path, now: dt.datetime) -> None:
        self.directory, self._now = directory, now
        certificate, key = _read(directory / AUTHORITY), _read(directory / AUTHORITY_KEY)
        try:
            self._authority = Authority.load(certificate, key)
        except ValueError as error:
            raise ConfigError(f"{directory / AUTHORITY}: {error}") from error
        self.span = span_of(certificate)

    @classmethod
    def init(cls, directory: Path, days: int, now: dt.datetime) -> KeyFolder:
        """Make an authority that lasts `days`. Raises ConfigError if there is one, or the folder cannot be written."""
        _check_days(days)
        if (directory / AUTHORITY).exists() or (directory / AUTHORITY_KEY).exists():
            raise ConfigError(f"{directory} has an authority already: take another --dir, or issue certificates in it")
        authority = Authority.create(Span.days(now, days))
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{directory} cannot be made: {error.strerror}") from error
        write_private(directory / AUTHORITY_KEY, authority.key_pem)
        write_public(directory / REVOKED, authority.revocations({}, now))
        write_public(directory / ISSUED, b"")
        write_public(directory / AUTHORITY, authority.certificate_pem)
        return cls(directory, now)

    def issue(self, names: Sequence[str], days: int, *, renew: bool = False) -> list[Issued]:
        """Make a key and a certificate for each party; its files are written beside the authority's.

        Raises:
            ConfigError: no such party, or it has a certificate and was not to be renewed (all of them are listed), or
                the authority does not last so long; nothing was issued.
        """
        span = self._span(days)
        known = "has a certificate in"
        remedy = "--renew makes a new key and certificate"
        problems = [problem for name in names for problem in bad_name(name)]
        problems += [f"{n} {known} {self.directory}: {remedy}" for n in names if not renew and self._key(n).exists()]
        if problems:
            raise ConfigError(*problems)
        return [self._issue(name, span) for name in names]

    def _key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def _issue(self, name: str, span: Span) -> Issued:
        identity = self._authority.issue(name, span)
        write_private(self._key(name), identity.key)
        write_public(self.directory / f"{name}.pem", identity.certificate)
        return self._note(name, identity.certificate)

    def grant(self, request: Path, days: int) -> tuple[Issued, Path]:
        """Make a certificate for a party that has made its own key; return it and the file beside the request."""
        name, key = read_request_file(request)
        span = self._span(days)
        certificate = self._authority.certify(name, key, span)
        path = request.with_suffix(".pem")
        write_public(path, certificate)
        return self._note(name, certificate), path

    def revoke(self, names: Sequence[str], numbers: Sequence[str] = ()) -> list[Issued]:
        """Revoke every certificate of the named parties, and those with the given numbers; return the newly revoked.

        Raises:
            ConfigError: nothing was issued under a name or number; all of them are listed, and nothing is revoked.
        """
        issued = self.issued()
        missing = [f"no certificate was issued to {n}" for n in names if all(i.name != n for i in issued)]
        missing += [f"no certificate has the number {n}" for n in numbers if all(i.number != n for i in issued)]
        if missing:
            raise ConfigError(*(f"{self.directory}: {problem}" for problem in missing))
        chosen = [i for i in issued if (i.name in names or i.number in numbers) and i.revoked is None]
        known = self._revoked()
        everything = {**known, **{i.serial: self._now for i in chosen}}
        write_public(self.directory / REVOKED, self._authority.revocations(everything, self._now))
        return chosen

    def issued(self) -> list[Issued]:
        """Return what was issued, oldest first."""
        revoked = self._revoked()
        try:
            lines = _read(self.directory / ISSUED).decode().splitlines()
            issued = [_parse(parse_json(line), revoked) for line in lines if line.strip()]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self.directory / ISSUED} is damaged: {error}") from error
        if revoked.keys() - {each.serial for each in issued}:
            raise ConfigError(f"{self.directory / ISSUED} is damaged: it lacks certificates that {REVOKED} names")
        return issued

    def _revoked(self) -> dict[int, dt.datetime]:
        path = self.directory / REVOKED
        try:
            return self._authority.read_revocations(_read(path))
        except ValueError as error:
            raise ConfigError(f"{path} is no list of revoked certificates: {error}: put it back") from error

    def _span(self, days: int) -> Span:
        _check_days(days)
        span = Span.days(self._now, days)
        if span.end > self.span.end:
            left = _days(self.span.end - self._now)
            raise ConfigError(f"the authority lasts until {moment(self.span.end)}: --days {left.split()[0]} at most")
        return span

    def _note(self, name: str, certificate: bytes) -> Issued:
        issued = Issued(name, serial_of(certificate), span_of(certificate))
        start, end = issued.span.start.isoformat(), issued.span.end.isoformat()
        record = {"name": name, "serial": f"{issued.serial:x}", "from": start, "until": end}
        path = self.directory / ISSUED
        line = json.dumps({**record, "check": _check(record)}) + "\n"
        write_public(path, _read(path) + line.encode())
        return issued


def request_certificate(directory: Path, name: str) -> Path:
    """Make a party's key, which stays here, and a request that the authority can grant; return the request.

    Raises:
        ConfigError: the party has a key here already.
    """
    check_name(name)
    key_path, path = directory / f"{name}.key", directory / f"{name}.csr"
    if key_path.exists():
        raise ConfigError(f"{key_path} exists: move it away, or take another --dir")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key, request = make_request(name)
    write_private(key_path, key)
    write_public(path, request)
    return path


def read_request_file(path: Path) -> tuple[str, PublicKey]:
    """Return the party and the key in a request. Raises ConfigError saying what is wrong with it."""
    try:
        name, key = read_request(_read(path))
    except ValueError as error:
        raise ConfigError(f"{path} is no request that can be granted: {error}") from error
    check_name(name)
    return name, key


def bad_name(name: str) -> list[str]:
    """Return what is wrong with the name of a party, if anything is."""
    known = is_name(name) and re.fullmatch("E1|E2|HC|DEALER|HMS[1-9][0-9]*", name, re.ASCII)
    return [] if known else [f"{name!r} is no party: expected E1, E2, HC, DEALER, or HMS1, HMS2, ... for sensors"]


def check_name(name: str) -> None:
    """Raise ConfigError unless `name` is that of a party."""
    if problems := bad_name(name):
        raise ConfigError(*problems)


def warn_of_end(what: str, span: Span, now: dt.datetime) -> str:
    """Return a line if a certificate ends within 14 days, else nothing."""
    if span.end - now >= WARNING:
        return ""
    return f"{what} ends on {moment(span.end)}, in {_days(span.end - now)}: renew it with `pehealth keys issue --renew`"


def write_private(path: Path, content: bytes) -> None:
    """Write a file that we alone can read, whole or not at all."""
    _write(path, content, 0o600)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that everyone may read, whole or not at all."""
    _write(path, content, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        remedy = f"`pehealth keys init --dir {path.parent}` makes an authority" if path.name == AUTHORITY else ""
        raise ConfigError(f"there is no file {path}" + (f": {remedy}" if remedy else "")) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _check(record: Mapping[str, object]) -> str:
    """Return what shows that a line is as it was written: by a changed serial another certificate would be revoked."""
    rest = {name: value for name, value in record.items() if name != "check"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def _parse(record: object, revoked: dict[int, dt.datetime]) -> Issued:
    if not isinstance(record, dict) or record["check"] != _check(record):
        raise ValueError("a line was changed")
    serial = int(record["serial"], 16)
    span = Span(dt.datetime.fromisoformat(record["from"]), dt.datetime.fromisoformat(record["until"]))
    return Issued(record["name"], serial, span, revoked.get(serial))


def _check_days(days: int) -> None:
    if not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"--days {days} is outside 1..{MOST_DAYS}")


def _days(left: dt.timedelta) -> str:
    return f"{left.days} day{'' if left.days == 1 else 's'}"
