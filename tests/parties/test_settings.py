"""Settings are checked as a whole, before anybody is called; every problem is listed at once."""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
from pathlib import Path

import pytest

from parties.keys import KeyFolder
from parties.settings import PLAIN, Settings, load_settings
from parties.settings_service import ServiceSettings
from pehealth.errors import ConfigError
from transport.limits import Limits
from transport.tcp import Tcp
from transport.tls import Tls

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
NAMES = ("E1", "E2", "HC", "DEALER", "HMS1")
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example files, with keys for all of them."""
    folder = tmp_path_factory.mktemp("made")
    KeyFolder.init(folder, 1000, NOW).issue(NAMES, 100)
    for name in NAMES:
        shutil.copy(EXAMPLES / f"{name}.toml", folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "parties"))


def changed(folder: Path, *changes: tuple[str, str], name: str = "E1") -> Path:
    """Change a file of settings; an old text must be there."""
    path = folder / f"{name}.toml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def refused(path: Path, now: dt.datetime = NOW) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, now)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


@pytest.mark.parametrize("name", NAMES)
def test_each_example_is_good(name: str, made: Path) -> None:
    settings = load_settings(made / f"{name}.toml")
    assert (settings.party, settings.deployment) == (name, "north-clinic")
    assert type(settings.carrier()) is Tls
    assert settings.warnings(NOW) == []
    assert settings.store == (None if name == "HMS1" else made / "store")


def test_the_example_of_e1_shows_every_default() -> None:
    """Somebody who deletes a line of it changes nothing."""
    text = (EXAMPLES / "E1.toml").read_text()
    limits = Limits()
    for value in (limits.frame_bytes, limits.buffered_bytes):
        assert f"= {value:_}" in text
    service = ServiceSettings()
    assert f"= {service.parameters_bytes:_}" in text
    for key in (
        "models",
        "in_flight",
        "in_flight_each",
        "prepared",
        "requests",
        "links",
        "links_each",
        "guests",
        "guests_each",
    ):
        assert f"{key} = {getattr(service, key)} " in text
    seconds = {"message": limits.deadline_seconds, "silence": 60, "keepalive": 10, "join": 60}
    seconds |= {"query": service.query_seconds, "drain": service.drain_seconds}
    for key, value in seconds.items():
        assert f"{key} = {value:g} " in text


def test_every_pair_of_the_examples_agrees_who_calls(made: Path) -> None:
    everyone = {name: load_settings(made / f"{name}.toml") for name in NAMES}
    for one, other in itertools.combinations(NAMES, 2):
        assert (other in everyone[one].peers) == (one in everyone[other].peers)
        if other in everyone[one].peers:
            assert dials(everyone[one], other) != dials(everyone[other], one)
    assert everyone["HC"].links(["E1", "E2"]) == ([], {"E1": "e1.example.org:7001", "E2": "e2.example.org:7002"})
    assert everyone["E1"].links(["HC"]) == (["HC"], {})


def dials(settings: Settings, peer: str) -> bool:
    return peer in settings.links([peer])[1]


def test_of_two_that_listen_the_earlier_is_called(folder: Path) -> None:
    path = changed(folder, ('E2 = "calls"', 'E2 = "e2.example.org:7002"'))
    assert not dials(load_settings(path), "E2")
    assert dials(load_settings(folder / "E2.toml"), "E1")


def test_without_a_listen_we_call_all_that_have_an_address(folder: Path) -> None:
    path = changed(folder, ('listen = "0.0.0.0:7003"\n', ""), ('HC = "calls"', 'HC = "hc.org:9"'), name="DEALER")
    assert dials(load_settings(path), "HC")


BAD = {
    "not TOML": (("party =", "party"), "is not TOML: "),
    "unknown key": (("listen =", "lisen ="), "lisen is not known: did you mean listen?"),
    "unknown key in a table": (("join = ", "joint = "), "[deadlines] joint is not known: did you mean join?"),
    "key of another table": (("store =", "frame_bytes ="), "frame_bytes is not known: expected "),
    "no party": (('party = "E1"', ""), 'party is missing: for instance party = "E1"'),
    "no deployment": (('deployment = "north-clinic"', ""), "deployment is missing"),
    "no peers": (("[peers]", "[pears]"), "[peers] is missing"),
    "no TLS": (("[tls]", "[tsl]"), "[tls] is missing"),
    "no key": (('key = "E1.key"', ""), "[tls] key is missing"),
    "a number for a text": (('party = "E1"', "party = 1"), "party = 1: expected a text in quotes"),
    "a text for a number": (("join = 60", 'join = "60"'), "[deadlines] join = '60': expected a number from 1 to 86400"),
    "true for a number": (("join = 60", "join = true"), "[deadlines] join = True: expected a number"),
    "not a number": (("join = 60", "join = nan"), "[deadlines] join = nan: expected a number"),
    "too little": (("268_435_456", "10"), "[limits] frame_bytes = 10: expected a number from 65536 to"),
    "a value for a table": (("[limits]", "[x]\n[deadlines.y]"), "[deadlines] y is not known"),
    "another party's name": (('party = "E1"', 'party = "E9"'), "'E9' is no party"),
    "a peer that is none": (("HMS1 =", "HMS =") , "'HMS' is no party"),
    "ourselves": (("E2 = ", "E1 = "), "[peers] E1: that is this party itself"),
    "nobody to compute with": (('E2 = "calls"', ""), "[peers]: E1 also needs E2"),
    "an address that is none": (('"0.0.0.0:7001"', '"0.0.0.0"'), "listen: expected an address such as"),
    "an address without a fixed port": (('"0.0.0.0:7001"', '"0.0.0.0:0"'), "so it cannot be 0"),
    "a deployment that is no name": (('"north-clinic"', '"north clinic"'), "deployment = 'north clinic': expected"),
    "too rare a keepalive": (("keepalive = 10", "keepalive = 60"), "must be below silence, 60, or peers lose us"),
    "nowhere to be called": (('listen = "0.0.0.0:7001" ', ""), "[peers] HC: it is to call us, and there is no listen"),
    "a flag that is none": (("[tls]", '[tls]\ninsecure_plain = "yes"'), "[tls] insecure_plain = 'yes': expected true"),
    "plain with keys": (("[tls]", "[tls]\ninsecure_plain = true"), "[tls] key has no meaning with insecure_plain"),
    "no such file": (('"E1.key"', '"E7.key"'), "E7.key: make certificates first"),
    "another's key": (('"E1.key"', '"E2.key"'), "are no certificate and its private key"),
    "another's certificate": (('"E1.pem"\nkey = "E1.key"', '"E2.pem"\nkey = "E2.key"'), "names E2, and this is E1"),
    "low above high": (("[tls]", "[material]\nlow = 9\nhigh = 8\n[tls]"), "[material] high = 8: must not be below low"),
    "no number of queries": (("in_flight = 32", "in_flight = 0"), "[limits] in_flight = 0: expected"),
    "told what": (("[tls]", "[clients]\nHMS1 = 'all'\n[tls]"), "[clients] HMS1 = 'all': expected"),
    "a client that is none": (("[tls]", "[clients]\nE2 = 'result'\n[tls]"), "[clients] E2: a client is"),
    "no list": (('"revoked.pem"', '"E1.pem"'), "our list of revoked certificates is none in PEM"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_setting_is_named(case: str, folder: Path) -> None:
    change, words = BAD[case]
    path = changed(folder, change)
    if case == "not TOML":
        with pytest.raises(ConfigError, match=words):
            load_settings(path)
    else:
        assert any(words in problem for problem in refused(path)), refused(path)


def test_all_problems_are_listed_at_once(folder: Path) -> None:
    path = changed(
        folder, ("7001", "x"), ("join = 60", "join = 0"), ("HMS1 =", "Bob ="), ('"E1.key"', "1"), ("greet", "g")
    )
    assert len(refused(path)) == 5


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"E1\.toml cannot be read: No such file"):
        load_settings(tmp_path / "E1.toml")


def test_parties_that_are_never_linked(folder: Path) -> None:
    path = changed(folder, ("E1 = ", 'HMS2 = "x.org:1"\nE1 = '), name="HMS1")
    assert refused(path) == ["[peers] HMS2: HMS1 and HMS2 are never linked"]


def test_two_parties_at_one_address(folder: Path) -> None:
    path = changed(folder, ("e2.example.org:7002", "e1.example.org:7001"), name="HC")
    assert refused(path) == ["[peers] E2 = 'e1.example.org:7001': that address is that of E1"]


def test_dates_are_looked_at_before_anybody_is_called(folder: Path) -> None:
    (problem,) = refused(folder / "E1.toml", NOW + 100 * DAY)
    assert "E1.pem has expired on" in problem
    problems = refused(folder / "E1.toml", NOW - DAY)
    assert ["is not valid before" in p for p in problems] == [True, True]
    assert any("E1.pem ends on" in line for line in load_settings(folder / "E1.toml").warnings(NOW + 90 * DAY))


def test_a_key_that_everyone_can_read_is_refused(folder: Path) -> None:
    (folder / "E1.key").chmod(0o644)
    (problem,) = refused(folder / "E1.toml")
    assert (
        problem
        == f"[tls] key {folder / 'E1.key'} can be read by everyone on this machine: chmod 600 {folder / 'E1.key'}"
    )
    (folder / "E1.key").chmod(0o440)
    load_settings(folder / "E1.toml")


def test_our_own_revoked_certificate_is_found(folder: Path) -> None:
    KeyFolder(folder, NOW).revoke(["E1"])
    (problem,) = refused(folder / "E1.toml")
    assert f"our certificate {folder / 'E1.pem'} was revoked on" in problem


def test_a_certificate_of_another_authority_is_found(folder: Path, tmp_path: Path) -> None:
    KeyFolder.init(tmp_path / "other", 10, NOW).issue(["E1"], 5)
    for name in ("E1.pem", "E1.key"):
        shutil.copy(tmp_path / "other" / name, folder)
    problems = refused(changed(folder, ('revoked = "revoked.pem"', "")))
    assert problems == [f"[tls] certificate {folder / 'E1.pem'} was not issued by authority {folder / 'authority.pem'}"]


def test_plain_tcp_must_be_asked_for_and_says_so(folder: Path) -> None:
    path = changed(folder, ("[tls]", "[tls]\ninsecure_plain = true\n[x]"))
    text = path.read_text()
    path.write_text(text[: text.index("[x]")])
    settings = load_settings(path)
    assert type(settings.carrier()) is Tcp
    assert settings.warnings(NOW) == [PLAIN]
