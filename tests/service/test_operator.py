"""An operator's commands to a running party, and several parties in one process."""

from __future__ import annotations

import io
import signal
import stat
from pathlib import Path

import pytest
import trio
from service_clinic import Clinic, free_ports, make_model, samples, until

from parties.commands.deploy import to_wire
from parties.request import RunRequest
from parties.service.client import Client
from parties.service.operator import MOST_BYTES, command, open_socket, socket_of
from parties.service.serve import check_apart, serve
from parties.settings import load_settings
from pehealth.config import Engine
from pehealth.errors import ConfigError, PehealthError
from pehealth.nets.weights import save


def npz() -> bytes:
    file = io.BytesIO()
    save(make_model(), file)
    return file.getvalue()


async def do(clinic: Clinic, party: str, op: str, **fields: object) -> dict[str, object]:
    said: list[str] = []
    got = await command(clinic.settings(party), op, said.append, lambda at, of: said.append(f"{at} of {of}"), **fields)
    return {**got, "said": said}


async def test_an_operator_deploys_deals_looks_and_retires(clinic: Clinic) -> None:
    await clinic.start()
    wire = to_wire(RunRequest(engine=Engine.DEALT))
    async with open_socket(clinic.parties["HC"]), open_socket(clinic.parties["E1"]):
        path = socket_of(clinic.settings("HC"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        got = await do(clinic, "HC", "deploy", model=npz(), request=wire, version=0)
        assert (got["model"], got["version"], got["digits"], got["bits"]) == ("tiny", 1, 4, 128)
        assert got["said"][-1] == "every party has its part"
        got = await do(clinic, "HC", "deal", name="", count=40)
        assert got["said"] == ["16 of 40", "32 of 40", "40 of 40"]
        assert got["left"] >= 40
        assert (await do(clinic, "HC", "keep", count=100)) == {"low": 100, "high": 150, "said": []}
        status = await do(clinic, "HC", "status")
        assert (status["party"], status["links"], status["lacking"]) == ("HC", ["DEALER", "E1", "E2"], [])
        assert [(d["low"], d["high"]) for d in status["deployments"]] == [(100, 150)]
        status = await do(clinic, "E1", "status")
        assert [(d["model"], d["committed"]) for d in status["deployments"]] == [("tiny", True)]
        got = await do(clinic, "HC", "retire", name="tiny", version=1)
        assert got["queries"] == {"E1": 0, "E2": 0, "DEALER": 0, "HC": 0}
    assert not path.exists()


async def test_what_was_set_is_kept_across_a_restart(clinic: Clinic) -> None:
    await clinic.start("HC")
    async with open_socket(clinic.parties["HC"]):
        await do(clinic, "HC", "keep", count=7)
    await clinic.kill("HC")
    await clinic.start("HC")
    assert clinic.parties["HC"].centre.marks == (7, 23)


@pytest.mark.parametrize(
    ("party", "op", "fields", "words"),
    [
        ("HC", "fly", {}, "HC does not 'fly': it does status, deploy, retire, deal, keep"),
        ("E1", "deploy", {}, "E1 does not 'deploy': it does status"),
        ("HC", "deploy", {"model": b"PK", "request": {}, "version": 0}, "is not a model file of pehealth"),
        ("HC", "deploy", {"model": "x", "request": {}, "version": 0}, "model must be at most"),
        ("HC", "keep", {"count": 0}, "count must be a number from 1"),
        ("HC", "retire", {"name": "tiny", "version": 0}, "tiny is not deployed: there is nothing"),
        ("HC", "deal", {"name": "", "count": 1}, "a model must be named: there is nothing"),
        ("HC", "status", {"more": 1}, "fields that it does not take: 'more'"),
    ],
)
async def test_commands_that_are_wrong(
    clinic: Clinic, party: str, op: str, fields: dict[str, object], words: str
) -> None:
    await clinic.start("HC", "E1")
    async with open_socket(clinic.parties["HC"]), open_socket(clinic.parties["E1"]):
        with pytest.raises(PehealthError, match=words):
            await do(clinic, party, op, **fields)
        assert (await do(clinic, party, "status"))["party"] == party


async def test_garbage_on_the_socket_ends_that_connection_alone(clinic: Clinic) -> None:
    await clinic.start("E1")
    async with open_socket(clinic.parties["E1"]):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(8), (MOST_BYTES + 1).to_bytes(4, "big")):
            async with await trio.open_unix_socket(socket_of(clinic.settings("E1"))) as stream:
                await stream.send_all(garbage)
                with trio.fail_after(5):
                    assert b"pehealth" not in await stream.receive_some()
        assert (await do(clinic, "E1", "status"))["party"] == "E1"


async def test_a_party_that_does_not_run_is_named(clinic: Clinic) -> None:
    with pytest.raises(ConfigError, match=r"E1 does not run here: .*control.sock: .*; pehealth serve .*E1.toml first"):
        await do(clinic, "E1", "status")


# ---- several parties in one process, over TCP


def write(folder: Path, town: str, ports: dict[str, int]) -> list[Path]:
    """Four parties and a client of one town, over plain TCP on loopback."""
    files = []
    for name in ("E1", "E2", "HC", "HMS1"):
        peers = "\n".join(f'{peer} = "127.0.0.1:{port}"' for peer, port in ports.items() if peer != name)
        listen = f'listen = "127.0.0.1:{ports[name]}"' if name in ports else ""
        text = (
            f'party = "{name}"\ndeployment = "{town}"\n{listen}\nstore = "{town}-{name}"\n[peers]\n{peers}\n'
            f"[tls]\ninsecure_plain = true\n[material]\nlow = 2\nhigh = 16\n"
            f'[operation]\nlog = "{town}-{name}.log"\n[clients]\nHMS1 = "result"\n'
        )
        files.append(folder / f"{town}-{name}.toml")
        files[-1].write_text(text)
    return files


async def test_two_towns_in_one_process_are_apart_and_a_signal_stops_all(folder: Path) -> None:
    ports = free_ports(6)
    north = write(folder, "north", dict(zip(("E1", "E2", "HC"), ports[:3], strict=True)))
    south = write(folder, "south", dict(zip(("E1", "E2", "HC"), ports[3:], strict=True)))
    settings = {path.stem: load_settings(path) for path in (*north, *south)}
    parties = [each for each in settings.values() if each.party != "HMS1"]
    said: list[str] = []
    wire = to_wire(RunRequest(engine=Engine.DEALT))

    def nothing(*_: object) -> None:
        pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, parties, said.append)
        await until(lambda: sum("serves on" in line for line in said) == 6)
        await command(settings["north-HC"], "deploy", nothing, nothing, model=npz(), request=wire, version=0)
        async with Client.connect(settings["north-HMS1"]) as client:
            assert len(await client.infer(samples(3))) == 3
        with pytest.raises(ConfigError, match="there is nothing"):
            async with Client.connect(settings["south-HMS1"]):
                pass
        assert (await command(settings["south-E1"], "status", nothing, nothing))["deployments"] == []
        signal.raise_signal(signal.SIGTERM)
    assert sum("stops: 0 queries are under way" in line for line in said) == 6


def test_parties_of_one_process_share_no_address_and_no_store(folder: Path) -> None:
    ports = {"E1": 7001, "E2": 7002, "HC": 7003}
    north = [load_settings(path) for path in write(folder, "north", ports)]
    with pytest.raises(ConfigError) as caught:
        check_apart([north[0], north[1], north[0]])
    assert len(caught.value.problems) == 2
