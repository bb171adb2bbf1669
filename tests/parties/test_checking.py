"""`pehealth check`: three parties make their links as their settings say, measure them, and say what is wrong."""

from __future__ import annotations

import datetime as dt
import math
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import trio

from parties import checking
from parties.checking import CheckedLink, check_links, check_names
from parties.keys import KeyFolder
from parties.settings import Settings, load_settings
from pehealth.errors import ConfigError
from transport.errors import FrameError, HandshakeMismatch, PeerAbort, PeerTimeout, TlsFailed, TransportError
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.memory import MemoryHub
from transport.mesh import open_mesh
from transport.network import NETWORKS, Network

ROOT = Path(__file__).parent.parent.parent
NAMES = ("E1", "E2", "HC")
TEMPLATE = """
party = "{name}"
deployment = "test"
{listen}
[peers]
{peers}
[tls]
certificate = "{name}.pem"
key = "{name}.key"
authority = "authority.pem"
revoked = "revoked.pem"
[deadlines]
join = {join}
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    KeyFolder.init(folder, 100, dt.datetime.now(dt.UTC)).issue(NAMES, 90)
    return folder


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on at present."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


@pytest.fixture
def folder(keys: Path, tmp_path: Path) -> Path:
    """Three parties' settings and keys: E1 and E2 can be called, HC calls."""
    path = Path(shutil.copytree(keys, tmp_path / "parties"))
    first, second = (f"127.0.0.1:{port}" for port in free_ports(2))
    servers = {"E1": first, "E2": second}
    for name in NAMES:
        peers = {peer: servers.get(peer, "calls") for peer in NAMES if peer != name}
        listen = f'listen = "{servers[name]}"' if name in servers else ""
        lines = "\n".join(f'{peer} = "{address}"' for peer, address in peers.items())
        (path / f"{name}.toml").write_text(TEMPLATE.format(name=name, listen=listen, peers=lines, join=20))
    return path


def everyone(folder: Path) -> dict[str, Settings]:
    return {name: load_settings(folder / f"{name}.toml") for name in NAMES}


Outcome = list[CheckedLink] | TransportError


async def check_all(
    settings: Mapping[str, Settings], hub: MemoryHub | None = None, network: Network = NETWORKS["none"]
) -> dict[str, Outcome]:
    """Let all parties check; return what each found."""
    found: dict[str, Outcome] = {}

    async def party(own: Settings) -> None:
        try:
            found[own.party] = await check_links(own, hub or own.carrier(), network=network)
        except TransportError as error:
            found[own.party] = error

    async with trio.open_nursery() as nursery:
        for own in settings.values():
            nursery.start_soon(party, own)
    return found


async def test_a_check_measures_what_the_network_is(folder: Path, autojump_clock: trio.abc.Clock) -> None:
    """20 ms one way and 10 MB/s: a round trip is 40 ms and what its frames take, both ends agree."""
    found = await check_all(everyone(folder), MemoryHub(), Network(latency=0.020, bandwidth=10e6))
    assert {name: [link.peer for link in links] for name, links in found.items()} == {
        "E1": ["E2", "HC"],
        "E2": ["E1", "HC"],
        "HC": ["E1", "E2"],
    }
    for name, links in found.items():
        assert not isinstance(links, TransportError)
        for link in links:
            seen = link.measured
            assert math.isclose(seen.least, 0.040 + (24 + 5 + 24) / 10e6, rel_tol=1e-9)
            assert math.isclose(seen.median, seen.least, rel_tol=1e-9)
            assert 9.9e6 < seen.there <= 10e6
            assert 9.9e6 < seen.back <= 10e6
            (back,) = [other.measured for other in found[link.peer] if other.peer == name]
            assert (back.there, back.back, back.least) == (seen.back, seen.there, seen.least)


async def test_a_check_over_tls_shows_whose_certificate_ends_when(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "LONG_ENOUGH_SECONDS", 0.0)
    found = await check_all(everyone(folder))
    for links in found.values():
        assert not isinstance(links, TransportError)
        assert len(links) == 2
        for link in links:
            assert link.proof is not None
            assert link.proof.names == (link.peer,)
            assert link.proof.until > 0
            assert 0 < link.measured.least <= link.measured.median


async def test_some_peers_can_be_left_out(folder: Path, autojump_clock: trio.abc.Clock) -> None:
    hub = MemoryHub()
    settings = everyone(folder)
    found: dict[str, list[str]] = {}

    async def party(own: str, peer: str) -> None:
        links = await check_links(settings[own], hub, peers=[peer])
        found[own] = [link.peer for link in links]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(party, "E1", "E2")
        nursery.start_soon(party, "E2", "E1")
    assert found == {"E1": ["E2"], "E2": ["E1"]}


async def test_a_peer_that_does_not_come_is_named(folder: Path, autojump_clock: trio.abc.Clock) -> None:
    settings = everyone(folder)
    found = await check_all({name: settings[name] for name in ("E1", "E2")}, MemoryHub())
    words = "waiting for HC to call, 20 s of 20 s: start the missing parties, or check the addresses"
    assert all(isinstance(error, PeerTimeout | PeerAbort) and words in str(error) for error in found.values())


async def test_another_deployment_is_named(folder: Path, autojump_clock: trio.abc.Clock) -> None:
    path = folder / "HC.toml"
    path.write_text(path.read_text().replace('"test"', '"other"'))
    found = await check_all(everyone(folder), MemoryHub())
    assert isinstance(found["HC"], HandshakeMismatch)
    assert "ours 'check of other', theirs 'check of test'" in str(found["HC"])
    assert all(isinstance(error, TransportError) for error in found.values())


async def test_certificates_of_another_authority_are_named_at_once_at_both_ends(folder: Path, tmp_path: Path) -> None:
    """Who calls fails at once; who is called tells where the call came from, and waits for a better one."""
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    for file in ("authority.pem", "authority.key"):
        (other / file).unlink()
    KeyFolder.init(other, 10, dt.datetime.now(dt.UTC)).issue(["HC"], 5, renew=True)
    first, centre = load_settings(folder / "E1.toml"), load_settings(other / "HC.toml")
    lines: list[str] = []
    told = trio.Event()

    def report(line: str) -> None:
        lines.append(line)
        told.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(check_links, first, first.carrier(), report=report))
        with pytest.raises(TlsFailed) as caught:
            await check_links(centre, centre.carrier(), peers=["E1"])
        await told.wait()
        nursery.cancel_scope.cancel()
    remedy = "authority: use one authority for all parties"
    assert str(caught.value) == f"HC: TLS with E1: its certificate was not issued by our {remedy}"
    refused = f"TLS with a caller from 127.0.0.1: our certificate {folder / 'E1.pem'} was not issued by its {remedy}"
    assert lines[0] == f"E1: turned a caller away: {refused}"


async def test_orders_of_a_peer_are_bounded(autojump_clock: trio.abc.Clock, folder: Path) -> None:
    """E1 leads, and asks E2 for more than there may be."""
    settings = everyone(folder)["E2"]
    hub = MemoryHub()
    first = settings.peers["E1"]

    async def leader() -> None:
        hello = Hello("E1", role="E1", run="check of test")
        async with open_mesh(hello, hub, listen=first, inbound=["E2"]) as links:
            end = links["E2"].endpoint(1, Clock())
            await end.send(Tag(Phase.SETUP, 0, 1), b"\x03\xff\xff\xff\xff")
            with pytest.raises(PeerAbort, match="E1 sent an order that is none"):
                await end.receive(Tag(Phase.SETUP, 0, 3), most=2**20)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leader)
        with pytest.raises(FrameError, match="E1 sent an order that is none during the check: 3, 4294967295"):
            await check_links(settings, hub, peers=["E1"])


async def test_names_that_do_not_resolve_are_all_listed(folder: Path) -> None:
    path = folder / "HC.toml"
    path.write_text(re.sub(r"127\.0\.0\.1:(\d+)", r"nobody\1.invalid:\1", path.read_text()))
    with pytest.raises(ConfigError) as refused:
        await check_names(load_settings(path), ["E1", "E2"])
    assert len(refused.value.problems) == 2
    await check_names(load_settings(folder / "E1.toml"), ["E2", "HC"])


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "parties", "check", str(folder / f"{name}.toml")]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_three_processes_check_their_links(folder: Path) -> None:
    processes = {name: start(folder, name) for name in ("HC", "E2", "E1")}
    for name, process in processes.items():
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert f"{name} of test, settings and files are good" in out
        assert "All 2 links stand." in out
        rows = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith(("| E", "| H"))]
        assert rows == [peer for peer in NAMES if peer != name]


@pytest.mark.slow
def test_three_processes_tell_that_one_was_revoked(folder: Path) -> None:
    """HC holds the old list, so that it does not notice itself."""
    shutil.copytree(folder, folder / "old")
    KeyFolder(folder, dt.datetime.now(dt.UTC)).revoke(["HC"])
    for name in NAMES:
        path = folder / f"{name}.toml"
        path.write_text(path.read_text().replace("join = 20", "join = 3"))
    shutil.copy(folder / "HC.toml", folder / "old")
    processes = {name: start(folder / "old" if name == "HC" else folder, name) for name in NAMES}
    told = {}
    for name, process in processes.items():
        told[name] = process.communicate(timeout=60)[1].splitlines()[-1]
        assert process.returncode == 3
    for words in told.values():
        assert re.search(r"TLS with HC: its certificate was revoked on .* UTC: issue a new one", words), words
