"""What speaks against a certificate is told apart, in one sentence at each end, over real TLS on loopback."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from transport.carrier import Carrier
from transport.certificates import Authority, Span, objection, read_revocations, serial_of
from transport.credentials import HeldCredentials, Identity, TlsFiles
from transport.tls import Tls

Greet = Callable[[Carrier, Carrier], Awaitable[tuple[str, str]]]
NOW = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
DAY = dt.timedelta(days=1)
GOOD = Span(NOW - DAY, NOW + 30 * DAY)
PAST = Span(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2020, 2, 1, tzinfo=dt.UTC))
FUTURE = Span(dt.datetime(2120, 1, 1, tzinfo=dt.UTC), dt.datetime(2120, 2, 1, tzinfo=dt.UTC))
AGES = Span(PAST.start, FUTURE.end)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(AGES)


class Folders:
    """Makes each party's files, in a folder of its own."""

    def __init__(self, path: Path, authority: Authority) -> None:
        self.path, self.authority = path, authority

    def files(self, party: str, *, revoked: bool = False) -> TlsFiles:
        folder = self.path / party
        folder.mkdir(exist_ok=True)
        names = ("own.pem", "own.key", "authority.pem")
        return TlsFiles(*(folder / name for name in names), folder / "revoked.pem" if revoked else None)

    def issue(
        self, party: str, name: str = "", span: Span = GOOD, by: Authority | None = None, *, revoked: bool = False
    ) -> TlsFiles:
        files = self.files(party, revoked=revoked)
        identity = (by or self.authority).issue(name or party, span)
        files.certificate.write_bytes(identity.certificate)
        files.key.write_bytes(identity.key)
        files.authority.write_bytes(self.authority.certificate_pem)
        return files

    def revoke(self, *parties: str, at: str, by: Authority | None = None) -> None:
        serials = [serial_of(self.files(party).certificate.read_bytes()) for party in parties]
        revoked = (by or self.authority).revocations(dict.fromkeys(serials, NOW), NOW)
        (self.path / at / "revoked.pem").write_bytes(revoked)


@pytest.fixture
def folders(tmp_path: Path, authority: Authority) -> Folders:
    return Folders(tmp_path, authority)


class NoCertificate:
    """Credentials of a party that trusts our authority and shows nothing."""

    ours = "our certificate"

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    def context(self, *, server: bool) -> ssl.SSLContext:
        assert not server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.authority.certificate_pem.decode())
        return context

    def objection(self, certificate: bytes) -> str:
        return ""

    def spans(self) -> tuple[Span, Span]:
        raise ValueError("there is none")


async def test_good_certificates_pass_an_empty_list(folders: Folders, greet: Greet) -> None:
    first, second = folders.issue("E1", revoked=True), folders.issue("E2", revoked=True)
    folders.revoke(at="E1")
    folders.revoke(at="E2")
    assert await greet(Tls(first), Tls(second)) == ("", "")


async def test_expired(folders: Folders, greet: Greet) -> None:
    first, second = folders.issue("E1"), folders.issue("E2", span=PAST)
    ours = f"our certificate {second.certificate} has expired on 2020-02-01 00:00 UTC: issue a new one"
    assert await greet(Tls(first), Tls(second)) == (
        "TLS with E2: its certificate has expired: issue a new one",
        f"TLS with E1: {ours}",
    )
    assert await greet(Tls(second), Tls(first)) == (
        f"TLS with E2: {ours}",
        "TLS with E1: its certificate has expired: issue a new one",
    )


async def test_not_yet_valid(folders: Folders, greet: Greet) -> None:
    first, second = folders.issue("E1"), folders.issue("E2", span=FUTURE)
    ours = f"our certificate {second.certificate} is not valid before 2120-01-01 00:00 UTC: is a clock wrong?"
    assert await greet(Tls(first), Tls(second)) == (
        "TLS with E2: its certificate is not valid yet: is a clock wrong?",
        f"TLS with E1: {ours}",
    )
    assert await greet(Tls(second), Tls(first)) == (
        f"TLS with E2: {ours}",
        "TLS with E1: its certificate is not valid yet: is a clock wrong?",
    )


async def test_of_an_authority_that_has_expired(tmp_path: Path, greet: Greet) -> None:
    old = Folders(tmp_path, Authority.create(PAST))
    first, second = old.issue("E1"), old.issue("E2")
    words = "our authority's certificate has expired on 2020-02-01 00:00 UTC: make a new authority"
    assert await greet(Tls(first), Tls(second)) == (f"TLS with E2: {words}", f"TLS with E1: {words}")


async def test_of_an_unknown_authority(folders: Folders, greet: Greet) -> None:
    first, second = folders.issue("E1"), folders.issue("E2", by=Authority.create(GOOD))
    foreign = "authority: use one authority for all parties"
    theirs, ours = f"its certificate was not issued by our {foreign}", f"was not issued by its {foreign}"
    assert await greet(Tls(first), Tls(second)) == (
        f"TLS with E2: {theirs}",
        f"TLS with E1: our certificate {second.certificate} {ours}",
    )
    assert await greet(Tls(second), Tls(first)) == (
        f"TLS with E2: our certificate {second.certificate} {ours}",
        f"TLS with E1: {theirs}",
    )


async def test_under_another_name(folders: Folders, greet: Greet) -> None:
    first, second = folders.issue("E1"), folders.issue("E2", "HC")
    words = "its certificate names HC: give each party its own, and check the addresses"
    assert await greet(Tls(first), Tls(second)) == (f"TLS with E2: {words}", f"E1 stopped: TLS with E2: {words}")
    first = folders.issue("E1", "HC")
    assert await greet(Tls(first), Tls(folders.issue("E2"))) == (
        f"E2 stopped: TLS with E1: {words}",
        f"TLS with E1: {words}",
    )


async def test_none_at_all(folders: Folders, authority: Authority, greet: Greet) -> None:
    assert await greet(Tls(folders.issue("E1")), Tls(NoCertificate(authority))) == (
        "TLS with E2: it showed no certificate: give every party one",
        "TLS with E1: it demands a certificate and we showed none: give every party one",
    )


async def test_revoked(folders: Folders, greet: Greet) -> None:
    first, second = folders.issue("E1", revoked=True), folders.issue("E2")
    folders.revoke("E2", at="E1")
    words = f"its certificate was revoked on {NOW:%Y-%m-%d %H:%M} UTC: issue a new one"
    assert await greet(Tls(first), Tls(second)) == (f"TLS with E2: {words}", f"E1 stopped: TLS with E2: {words}")
    first, second = folders.issue("E1"), folders.issue("E2", revoked=True)
    folders.revoke("E1", at="E2")
    assert await greet(Tls(first), Tls(second)) == (f"E2 stopped: TLS with E1: {words}", f"TLS with E1: {words}")


async def test_revoked_and_issued_anew_while_nobody_restarts(folders: Folders, greet: Greet) -> None:
    first, second = Tls(folders.issue("E1", revoked=True)), Tls(folders.issue("E2"))
    folders.revoke(at="E1")
    assert await greet(first, second) == ("", "")
    folders.revoke("E2", at="E1")
    assert "its certificate was revoked" in (await greet(first, second))[0]
    folders.issue("E2")
    assert await greet(first, second) == ("", "")


async def test_expired_and_renewed_while_nobody_restarts(folders: Folders, greet: Greet) -> None:
    first, second = Tls(folders.issue("E1")), Tls(folders.issue("E2", span=PAST))
    assert "its certificate has expired" in (await greet(first, second))[0]
    folders.issue("E2")
    assert await greet(first, second) == ("", "")


OURS = "our list of revoked certificates"
LISTS = {
    "garbage": (b"-----BEGIN X509 CRL-----\nnone\n-----END X509 CRL-----\n", f"{OURS} is none in PEM"),
    "empty": (b"", f"{OURS} is none in PEM"),
    "another authority's": (
        Authority.create(GOOD).revocations({}, NOW),
        f"{OURS} is not of the authority that issued its certificate",
    ),
    "missing": (None, f"{OURS} cannot be read"),
}


@pytest.mark.parametrize("case", LISTS)
async def test_a_list_that_cannot_be_used_lets_nobody_pass(case: str, folders: Folders, greet: Greet) -> None:
    content, words = LISTS[case]
    first = folders.issue("E1", revoked=True)
    if content is not None and first.revoked is not None:
        first.revoked.write_bytes(content)
    told = await greet(Tls(first), Tls(folders.issue("E2")))
    assert words in told[0]
    assert told[1] == f"E1 stopped: {told[0]}"


def test_a_list_is_believed_only_if_its_signature_holds(authority: Authority) -> None:
    """A list of the right name that somebody else has signed, and one that has been changed."""
    identity = authority.issue("E2", GOOD)
    shown = ssl.PEM_cert_to_DER_cert(identity.certificate.decode())
    forger = Authority.load(*_same_name(authority))
    forged = forger.revocations({}, NOW)
    words = f"{OURS} is not of the authority that issued its certificate: copy the authority's"
    assert objection(shown, forged, authority.certificate_pem, NOW) == words
    good = authority.revocations({serial_of(identity.certificate): NOW}, NOW)
    assert objection(shown, good, authority.certificate_pem, NOW).startswith("its certificate was revoked on")


def test_a_list_out_of_date_lets_nobody_pass(authority: Authority) -> None:
    shown = ssl.PEM_cert_to_DER_cert(authority.issue("E2", GOOD).certificate.decode())
    revoked = authority.revocations({}, NOW)
    assert objection(shown, revoked, authority.certificate_pem, NOW) == ""
    later = AGES.end + DAY
    assert f"{OURS} is out of date since" in objection(shown, revoked, authority.certificate_pem, later)


def _same_name(authority: Authority) -> tuple[bytes, bytes]:
    """Return another authority's certificate and key, under the name of this one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = authority.certificate.subject
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(GOOD.start)
        .not_valid_after(GOOD.end)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return certificate.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


async def test_of_another_authority_of_the_same_name(folders: Folders, authority: Authority, greet: Greet) -> None:
    first, second = folders.issue("E1"), folders.issue("E2", by=Authority.load(*_same_name(authority)))
    told = await greet(Tls(first), Tls(second))
    assert "its certificate was not issued by our authority" in told[0]
    assert "was not issued by its authority" in told[1]


async def test_an_identity_in_memory_is_as_good_as_files(folders: Folders, authority: Authority, greet: Greet) -> None:
    held = {name: Tls(HeldCredentials(authority.issue(name, GOOD))) for name in ("E1", "HC")}
    assert await greet(held["E1"], Tls(folders.issue("E2"))) == ("", "")
    assert "its certificate names HC" in (await greet(held["HC"], Tls(folders.issue("E2"))))[1]


def test_read_revocations_gives_what_was_put_in(authority: Authority) -> None:
    revoked = {5: NOW, 2**150: NOW - DAY}
    assert read_revocations(authority.revocations(revoked, NOW)) == revoked


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Identity(b"certificate", b"secret", b"authority"))
