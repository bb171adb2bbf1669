"""`pehealth keys`: what it makes, who may read it, and what it refuses."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest

from parties import cli
from parties.keys import KeyFolder, warn_of_end
from pehealth.errors import ConfigError
from transport.certificates import Authority, Span, read_revocations, serial_of
from transport.credentials import TlsFiles, make_context

NOW = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder.init(tmp_path / "keys", 1000, NOW)


def later(folder: KeyFolder, days: float) -> KeyFolder:
    return KeyFolder(folder.directory, NOW + days * DAY)


def test_keys_are_for_their_owner_alone(folder: KeyFolder) -> None:
    folder.issue(["E1", "HMS12"], 397)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.directory.iterdir()}
    assert modes == {
        "authority.key": 0o600, "E1.key": 0o600, "HMS12.key": 0o600,
        "authority.pem": 0o644, "E1.pem": 0o644, "HMS12.pem": 0o644, "revoked.pem": 0o644, "issued.jsonl": 0o644,
    }  # fmt: skip
    assert stat.S_IMODE(folder.directory.stat().st_mode) == 0o700


def test_what_is_issued_can_be_used_and_lasts_as_long_as_was_said(folder: KeyFolder) -> None:
    (issued,) = folder.issue(["E1"], 397)
    path = folder.directory
    make_context(TlsFiles(path / "E1.pem", path / "E1.key", path / "authority.pem"), server=True)
    assert issued.span == Span(NOW - dt.timedelta(hours=1), NOW + 397 * DAY)
    assert later(folder, 3).issued() == [issued]


def test_a_certificate_is_replaced_only_when_asked(folder: KeyFolder) -> None:
    (first,) = folder.issue(["E1"], 30)
    before = (folder.directory / "E1.key").read_bytes()
    with pytest.raises(ConfigError, match=r"E1 has a certificate in .*: --renew"):
        folder.issue(["E1"], 30)
    (second,) = folder.issue(["E1"], 30, renew=True)
    assert (folder.directory / "E1.key").read_bytes() != before
    assert [i.serial for i in folder.issued()] == [first.serial, second.serial]


def test_all_that_is_wrong_with_an_order_is_listed_and_nothing_is_issued(folder: KeyFolder) -> None:
    folder.issue(["E1"], 30)
    with pytest.raises(ConfigError) as refused:
        folder.issue(["E1", "Bob", "HMS", "HMS0", "../E2", "E2"], 30)
    assert len(refused.value.problems) == 5
    assert not (folder.directory / "E2.key").exists()


def test_no_certificate_outlives_its_authority(folder: KeyFolder) -> None:
    later(folder, 603).issue(["E1"], 397)
    with pytest.raises(ConfigError, match="the authority lasts until 2029-01-28 12:00 UTC: --days 396 at most"):
        later(folder, 604).issue(["E2"], 397)


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_lifetimes_are_bounded(days: int, folder: KeyFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"--days {days} is outside 1..36500"):
        folder.issue(["E1"], days)
    with pytest.raises(ConfigError, match="outside"):
        KeyFolder.init(tmp_path / "other", days, NOW)


def test_an_authority_is_never_overwritten(folder: KeyFolder) -> None:
    with pytest.raises(ConfigError, match="has an authority already"):
        KeyFolder.init(folder.directory, 10, NOW)


def test_revoking_a_party_takes_all_that_it_was_issued(folder: KeyFolder) -> None:
    (old,) = folder.issue(["E1"], 30)
    (new,) = folder.issue(["E1"], 30, renew=True)
    (other,) = folder.issue(["E2"], 30)
    assert folder.revoke(["E1"]) == [old, new]
    assert read_revocations((folder.directory / "revoked.pem").read_bytes()) == {old.serial: NOW, new.serial: NOW}
    assert later(folder, 1).revoke(["E1"], [other.number]) == [other]
    found = read_revocations((folder.directory / "revoked.pem").read_bytes())
    assert found == {old.serial: NOW, new.serial: NOW, other.serial: NOW + DAY}


def test_one_certificate_can_be_revoked_by_its_number(folder: KeyFolder) -> None:
    (old,) = folder.issue(["E1"], 30)
    folder.issue(["E1"], 30, renew=True)
    assert folder.revoke([], [old.number]) == [old]
    assert [i.revoked for i in folder.issued()] == [NOW, None]


def test_what_was_never_issued_cannot_be_revoked(folder: KeyFolder) -> None:
    folder.issue(["E1"], 30)
    with pytest.raises(ConfigError) as refused:
        folder.revoke(["E1", "E2"], ["0123"])
    assert len(refused.value.problems) == 2
    assert folder.issued()[0].revoked is None


def test_states_are_told_apart(folder: KeyFolder) -> None:
    (issued,) = folder.issue(["E1"], 30)
    assert issued.state(NOW) == "valid"
    assert issued.state(NOW + 16 * DAY) == "valid"
    assert issued.state(NOW + 17 * DAY) == "expires in 13 days"
    assert issued.state(NOW + 29 * DAY) == "expires in 1 day"
    assert issued.state(NOW + 30 * DAY) == "expired"
    assert issued.state(NOW - DAY) == "not yet valid"
    folder.revoke(["E1"])
    assert folder.issued()[0].state(NOW) == "revoked 2026-05-04 12:00 UTC"


def test_the_warning_begins_fourteen_days_before_the_end() -> None:
    span = Span(NOW - DAY, NOW + 14 * DAY)
    assert warn_of_end("E1.pem", span, NOW) == ""
    assert warn_of_end("E1.pem", span, NOW + DAY) == (
        "E1.pem ends on 2026-05-18 12:00 UTC, in 13 days: renew it with `pehealth keys issue --renew`"
    )


def test_a_foreign_key_beside_the_authority_is_found(folder: KeyFolder) -> None:
    (folder.directory / "authority.key").write_bytes(Authority.create(Span.days(NOW, 9)).key_pem)
    with pytest.raises(ConfigError, match="does not belong to its certificate"):
        KeyFolder(folder.directory, NOW)


def test_damaged_records_are_found(folder: KeyFolder) -> None:
    (folder.directory / "issued.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"issued\.jsonl is damaged"):
        folder.issued()


def pehealth(*words: str) -> int:
    return cli.main(["keys", *words])


def test_the_commands_from_nothing_to_a_renewed_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "keys")
    assert pehealth("init", "--dir", path) == 0
    assert pehealth("issue", "E1", "E2", "--dir", path, "--days", "10") == 0
    assert "E2.pem and E2.key, until" in capsys.readouterr().out
    assert pehealth("revoke", "E2", "--dir", path) == 0
    assert "nobody needs a restart" in capsys.readouterr().out
    assert pehealth("issue", "E2", "--renew", "--dir", path) == 0
    capsys.readouterr()
    assert pehealth("list", "--dir", path) == 0
    rows = [line.split("|")[1:5] for line in capsys.readouterr().out.splitlines() if line.startswith("| E")]
    states = [(row[0].strip(), row[3].strip().split()[0]) for row in rows]
    assert states == [("E1", "expires"), ("E2", "revoked"), ("E2", "valid")]


def test_a_party_may_make_its_own_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority, own = tmp_path / "keys", tmp_path / "E2"
    assert pehealth("init", "--dir", str(authority)) == 0
    assert pehealth("request", "E2", "--dir", str(own)) == 0
    assert pehealth("issue", "--request", str(own / "E2.csr"), "--dir", str(authority)) == 0
    make_context(TlsFiles(own / "E2.pem", own / "E2.key", authority / "authority.pem"), server=True)
    assert stat.S_IMODE((own / "E2.key").stat().st_mode) == 0o600
    assert not (authority / "E2.key").exists()
    (issued,) = KeyFolder(authority, dt.datetime.now(dt.UTC)).issued()
    assert (issued.name, issued.serial) == ("E2", serial_of((own / "E2.pem").read_bytes()))
    assert pehealth("request", "E2", "--dir", str(own)) == 2
    assert "E2.key exists: move it away" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["issue", "E1"], "there is no file {}/authority.pem: `pehealth keys init --dir {}` makes an authority"),
        (["issue"], "for whom?"),
        (["revoke"], "whose?"),
        (["request", "Bob"], "'Bob' is no party"),
    ],
)
def test_what_is_missing_is_said(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pehealth(*words, "--dir", str(tmp_path)) == 2
    assert told.format(tmp_path, tmp_path) in capsys.readouterr().err
