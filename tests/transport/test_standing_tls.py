"""Standing links over mutual TLS: proven names, twins that replace each other, certificates that end meanwhile."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from transport.certificates import Authority, Span, serial_of
from transport.channel import Channel
from transport.credentials import TlsFiles
from transport.errors import PeerAbort, PeerTimeout, TransportError
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.standing import Host, HostOptions, Room, RoomSpec, open_host
from transport.tls import Tls
from transport.tls_stream import TlsStream

TAG = Tag(Phase.ONLINE, 1, 1)
Calling = Callable[..., Awaitable[Room]]
NOW = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
GOOD = Span(NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=30))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(GOOD)


class Keys:
    """Makes each party's files, in a folder of its own."""

    def __init__(self, path: Path, authority: Authority) -> None:
        self.path, self.authority = path, authority

    def issue(self, folder: str, name: str = "") -> Tls:
        where = self.path / folder
        where.mkdir(exist_ok=True)
        identity = self.authority.issue(name or folder, GOOD)
        files = TlsFiles(where / "own.pem", where / "own.key", where / "authority.pem", where / "revoked.pem")
        files.certificate.write_bytes(identity.certificate)
        files.key.write_bytes(identity.key)
        files.authority.write_bytes(identity.authority)
        self.revoke(at=folder)
        return Tls(files)

    def revoke(self, *folders: str, at: str) -> None:
        serials = [serial_of((self.path / folder / "own.pem").read_bytes()) for folder in folders]
        (self.path / at / "revoked.pem").write_bytes(self.authority.revocations(dict.fromkeys(serials, NOW), NOW))


@pytest.fixture
def keys(tmp_path: Path, authority: Authority) -> Keys:
    return Keys(tmp_path, authority)


@asynccontextmanager
async def called(keys: Keys, options: HostOptions | None = None) -> AsyncIterator[tuple[Host, Room, Calling]]:
    """Give E1's host, its room "r", and a maker of callers: who, in which folder its keys are -> its room."""
    async with trio.open_nursery() as callers, open_host("E1", keys.issue("E1"), "127.0.0.1:0", options) as host:
        room = host.open_room(RoomSpec(Hello("E1", run="r"), inbound=lambda name: name != "E1"))

        async def run(name: str, carrier: Tls, task_status: trio.TaskStatus[Room]) -> None:
            async with open_host(name, carrier) as caller:
                task_status.started(caller.open_room(RoomSpec(Hello(name, run="r"), outbound={"E1": host.address})))
                await trio.sleep_forever()

        async def call(name: str, folder: str = "") -> Room:
            calls: Room = await callers.start(run, name, keys.issue(folder or name, name))
            return calls

        yield host, room, call
        callers.cancel_scope.cancel()


async def hear(channel: Channel) -> bytes:
    return await channel.endpoint(1, Clock()).receive(TAG, most=100)


async def test_a_proven_newcomer_replaces_the_old_link_at_once(keys: Keys) -> None:
    downs: list[str] = []
    options = HostOptions(link_down=lambda room, peer, why: downs.append(why))
    with trio.fail_after(30):
        async with called(keys, options) as (_, room, call):
            first = await (await call("E2")).link("E1", 10)
            old = await room.link("E2", 10)
            second = await (await call("E2", "twin")).link("E1", 10)
            with pytest.raises(PeerAbort, match="E1 stopped: replaced by a newer link of the same party"):
                await hear(first)
            assert not second.ended
            assert (await room.link("E2", 10)) is not old
            assert downs == ["replaced by a newer link of the same party"]


async def test_a_stranger_with_a_certificate_of_its_own_takes_nobodys_place(keys: Keys) -> None:
    told = trio.Event()
    with trio.fail_after(30):
        async with called(keys) as (host, room, call):
            await call("E2")
            old = await room.link("E2", 10)
            impostor = await call("HC", "HC")
            await impostor.link("E1", 10)
            lines: list[str] = []
            options = HostOptions(report=lambda line: (lines.append(line), told.set())[0])
            async with open_host("E2", keys.issue("mallory"), "", options) as forger:
                forger.open_room(RoomSpec(Hello("E2", run="r"), outbound={"E1": host.address}))
                await told.wait()
            assert "E1 stopped: TLS with E2: its certificate names mallory" in lines[0]
            assert room.links["E2"] is old
            assert not old.ended


async def test_a_revoked_certificate_ends_the_link_at_the_next_recheck_and_no_other(keys: Keys) -> None:
    lines: list[str] = []
    with trio.fail_after(30):
        async with called(keys, HostOptions(report=lines.append)) as (host, _, call):
            good = await (await call("HC")).link("E1", 10)
            calls = await call("E2")
            bad = await calls.link("E1", 10)
            assert await host.recheck(0.02) == []
            keys.revoke("E2", at="E1")
            (why,) = await host.recheck(0.02)
            assert why.startswith("TLS with E2: its certificate was revoked on ")
            assert f"E1: ended the link to E2: {why}" in lines
            with pytest.raises(PeerAbort, match="E1 stopped: TLS with E2: its certificate was revoked on"):
                await hear(bad)
            with pytest.raises(PeerTimeout, match="its certificate was revoked on"):
                await calls.link("E1", 0.2)
            assert not good.ended
            keys.revoke(at="E1")
            await calls.link("E1", 10)


async def test_a_certificate_that_expires_ends_its_link(keys: Keys) -> None:
    now = [NOW.timestamp()]
    with trio.fail_after(30):
        async with called(keys, HostOptions(now=lambda: now[0])) as (host, room, call):
            await (await call("E2")).link("E1", 10)
            link = await room.link("E2", 10)
            now[0] = GOOD.end.timestamp()
            assert await host.recheck(0.02) == []
            now[0] += 1
            assert await host.recheck(0.02) == ["TLS with E2: its certificate has expired: issue a new one"]
            assert link.ended


async def test_a_list_that_is_just_being_copied_ends_nothing_and_a_broken_one_everything(keys: Keys) -> None:
    path = keys.path / "E1" / "revoked.pem"
    with trio.fail_after(30):
        async with called(keys) as (host, _, call):
            await (await call("E2")).link("E1", 10)
            whole = path.read_bytes()
            path.write_bytes(whole[:100])

            async def copy() -> None:
                await trio.sleep(0.1)
                path.write_bytes(whole)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(copy)
                assert await host.recheck(0.2) == []
            path.write_bytes(whole[:100])
            assert ["our list of revoked certificates is none in PEM" in why for why in await host.recheck(0.02)] == [
                True
            ]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="only the openssl program can ask for new keys")
async def test_a_peer_that_asks_for_new_keys_all_the_time_fills_no_memory(keys: Keys) -> None:
    """OpenSSL answers each of 27 bytes with as many, which wait until we send."""
    listener = await keys.issue("E1").listen("127.0.0.1:0")
    keys.issue("E2")
    own = [f"{keys.path}/E2/own.{end}" for end in ("pem", "key")]
    command = ["openssl", "s_client", "-connect", listener.address, "-cert", own[0], "-key", own[1]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, **quiet)
            assert process.stdin is not None
            stream = await listener.accept()

            async def ask() -> None:
                while True:
                    await process.stdin.send_all(b"K\n")
                    await trio.sleep(0.001)

            nursery.start_soon(ask)
            assert isinstance(stream, TlsStream)
            with pytest.raises(trio.BrokenResourceError, match="the other end asks for new keys all the time"):
                await stream.receive_some()
            assert stream._outgoing.pending < 10_000
            nursery.cancel_scope.cancel()
    process.kill()
    await process.wait()
    await stream.aclose()
    await listener.aclose()


async def test_a_link_that_is_gone_is_not_asked_again(keys: Keys) -> None:
    with trio.fail_after(30):
        async with called(keys) as (host, room, call):
            await call("E2")
            link = await room.link("E2", 10)
            await link._wire._stream.aclose()
            assert await host.recheck(0.02) == []
            with pytest.raises(TransportError):
                await link.prove()
