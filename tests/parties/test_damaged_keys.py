"""Damage all over keys, certificates and lists: one sentence with the file's name, and nobody is let in by it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing.tamper import cuts, flips

from parties import cli
from parties.keys import AUTHORITY, AUTHORITY_KEY, ISSUED, REVOKED, KeyFolder, request_certificate
from parties.settings import load_settings
from pehealth.errors import ConfigError
from transport.certificates import der_of, read_revocations, serial_of
from transport.credentials import TlsFiles

NOW = dt.datetime.now(dt.UTC)
OURS, AUTHORITYS = 29, 29
"""Strides: flips of a party's own files, and of the authority's."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an authority that has issued to E1, E2 and HC and revoked E2's, and the settings of E1."""
    path = tmp_path_factory.mktemp("keys")
    folder = KeyFolder.init(path, 1000, NOW)
    folder.issue(["E1", "E2", "HC"], 100)
    folder.revoke(["E2"])
    (path / "E1.toml").write_text(
        'party = "E1"\ndeployment = "north"\nlisten = "127.0.0.1:7001"\n[peers]\nE2 = "calls"\nHC = "calls"\n'
        '[tls]\ncertificate = "E1.pem"\nkey = "E1.key"\nauthority = "authority.pem"\nrevoked = "revoked.pem"\n'
    )
    request_certificate(path, "HMS1")
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.fixture
def keys(made: dict[str, bytes], tmp_path: Path) -> Path:
    restore(made, tmp_path)
    return tmp_path


def restore(made: dict[str, bytes], path: Path) -> None:
    for name, content in made.items():
        (path / name).write_bytes(content)
        (path / name).chmod(0o600)


def sweep(made: dict[str, bytes], keys: Path, name: str, stride: int, use: Callable[[Path], None]) -> Counter[str]:
    """Damage a file in every way in turn and use the folder; return how often it was refused."""
    ends: Counter[str] = Counter()
    for what, damaged in (*flips(made[name], stride), *cuts(made[name])):
        (keys / name).write_bytes(damaged)
        try:
            use(keys)
            ends["used"] += 1
        except ConfigError as error:
            # What an authority or its certificate was changed to does not go with the other files.
            named = any(str(keys / part) in str(error) for part in (name, AUTHORITY, "E1.pem", REVOKED))
            ends["refused" if named else f"{what}: {error}"] += 1
        restore(made, keys)
    return ends


@pytest.mark.parametrize("name", ["E1.pem", "E1.key", AUTHORITY, REVOKED])
def test_a_party_says_at_its_start_which_file_is_damaged(name: str, made: dict[str, bytes], keys: Path) -> None:
    revoked = der_of(made["E2.pem"])

    def use(path: Path) -> None:
        settings = load_settings(path / "E1.toml", NOW)
        assert isinstance(settings.tls, TlsFiles)
        settings.tls.context(server=True)
        assert settings.tls.objection(revoked)

    assert sweep(made, keys, name, OURS, use).keys() <= {"refused", "used"}


def test_a_damaged_list_of_revoked_certificates_lets_nobody_in(made: dict[str, bytes], keys: Path) -> None:
    files = TlsFiles(keys / "E1.pem", keys / "E1.key", keys / AUTHORITY, keys / REVOKED)
    revoked, good = der_of(made["E2.pem"]), der_of(made["HC.pem"])
    assert "was revoked" in files.objection(revoked)
    assert not files.objection(good)
    passed = 0
    for _, damaged in (*flips(made[REVOKED], 1), *cuts(made[REVOKED])):
        (keys / REVOKED).write_bytes(damaged)
        assert files.objection(revoked)
        passed += not files.objection(good)
    # Only what base64 does not read, such as the line ends, may change unnoticed.
    assert passed <= 40


@pytest.mark.parametrize("name", [AUTHORITY, AUTHORITY_KEY, REVOKED, ISSUED])
def test_an_authority_says_which_file_is_damaged(name: str, made: dict[str, bytes], keys: Path) -> None:
    serial = serial_of(made["E1.pem"])

    def use(path: Path) -> None:
        folder = KeyFolder(path, NOW)
        issued = folder.issued()
        assert [each.name for each in issued if each.revoked is not None] == ["E2"]
        folder.revoke(["E1"])
        assert serial in read_revocations((path / REVOKED).read_bytes())
        folder.issue(["HMS2"], 30)
        for left in path.glob("HMS2.*"):
            left.unlink()

    assert sweep(made, keys, name, AUTHORITYS, use).keys() <= {"refused", "used"}


def test_a_damaged_request_is_not_granted(made: dict[str, bytes], keys: Path) -> None:
    def use(path: Path) -> None:
        issued, _ = KeyFolder(path, NOW).grant(path / "HMS1.csr", 30)
        assert issued.name == "HMS1"

    ends = sweep(made, keys, "HMS1.csr", 29, use)
    assert all(end in ("used", "refused") or "is no party" in end for end in ends)


def test_the_command_line_says_it_without_a_traceback(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (AUTHORITY, AUTHORITY_KEY, REVOKED, ISSUED):
        kept = (keys / name).read_bytes()
        (keys / name).write_bytes(kept[:-40] + b"\xff\xfe" + kept[-38:])
        assert cli.main(["keys", "list", "--dir", str(keys)]) == 2
        told = capsys.readouterr().err
        assert str(keys / name) in told or str(keys / AUTHORITY) in told
        assert "Traceback" not in told
        (keys / name).write_bytes(kept)
