"""Programs outside, over TCP with mutual TLS and settings files: `pehealth.api`, `infer`, the small sensor."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
import trio
import trustme
from service_clinic import Clinic, samples

from parties import cli
from parties.settings import Settings, load_settings
from pehealth.api import connect, connect_sync
from pehealth.nets.oracle import ideal
from pehealth.sensor import __main__ as sensor_command
from pehealth.sensor.client import Sensor

NAMES = ("E1", "E2", "HC", "DEALER")


class FileClinic(Clinic):
    """A clinic whose parties and clients have settings files, certificates and ports."""

    def prepare(self) -> None:
        """Write everybody's files."""
        authority = trustme.CA()
        addresses = dict(zip(NAMES, (f"127.0.0.1:{port}" for port in free_ports(len(NAMES))), strict=True))
        authority.cert_pem.write_to_path(self.folder / "authority.pem")
        for name in (*NAMES, "HMS1", "HMS2"):
            issued = authority.issue_cert(name)
            issued.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")
            issued.private_key_pem.write_to_path(self.folder / f"{name}.key")
            (self.folder / f"{name}.key").chmod(0o600)
            client = name.startswith("HMS")
            peers = {p: a for p, a in addresses.items() if p != name and not (client and p == "DEALER")}
            self.path(name).write_text(
                f'party = "{name}"\ndeployment = "north"\n'
                + ("" if client else f'listen = "{addresses[name]}"\nstore = "{name}"\n')
                + "[peers]\n"
                + "".join(f'{peer} = "{address}"\n' for peer, address in peers.items())
                + f'[tls]\ncertificate = "{name}.pem"\nkey = "{name}.key"\nauthority = "authority.pem"\n'
                + "[deadlines]\nquery = 20\n[material]\nlow = 8\nhigh = 24\n"
                + ('[clients]\nHMS1 = "result"\n' if name == "HC" else "")
            )
        self.hub = None  # type: ignore[assignment] - each party's settings say what carries its links

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def settings(self, name: str) -> Settings:
        return load_settings(self.path(name))


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
async def files(folder: Path) -> AsyncIterator[FileClinic]:
    made = FileClinic(folder)
    made.prepare()
    async with trio.open_nursery() as made.nursery:
        yield made
        made.nursery.cancel_scope.cancel()
    made.audit()


def expected(clinic: Clinic, readings) -> np.ndarray:
    """Return the ideal logits, in real numbers, and the bound."""
    ((room_id, _), model) = next(iter(clinic.models.items()))
    room = clinic.parties["HC"].deployments.rooms[room_id]
    quantised = room.role._model
    logits = ideal(quantised, quantised.encode_input(model.ranges.normalise(readings))).logits
    return logits / quantised.logit_scale


async def test_the_python_face(files: FileClinic) -> None:
    await files.start()
    await files.deploy(batch=2)
    readings = samples(5)
    logits = expected(files, readings)

    async def one_by_one():
        for sample in readings:
            yield sample

    async with connect(files.path("HMS1"), model="tiny@1") as centre:
        result = await centre.infer(readings)
        assert np.abs(result.logits - logits).max() <= result.error_bound
        assert len(set(result.queries)) == 3
        streamed = [each async for each in centre.stream(one_by_one())]
    assert np.abs(np.concatenate([each.logits for each in streamed]) - logits).max() <= result.error_bound
    assert [each.label for each in streamed] == list(result.labels)

    def without_an_event_loop():
        with connect_sync(files.path("HMS1")) as centre:
            return centre.infer(readings[0].tolist()), centre.models()

    one, models = await trio.to_thread.run_sync(without_an_event_loop)
    assert one.label == result.labels[0]
    assert [(card.model, card.version) for card in models] == [("tiny", 1)]


async def test_the_command(files: FileClinic, tmp_path: Path, capsys) -> None:
    await files.start()
    await files.deploy()
    readings = samples(4)
    series = tmp_path / "series.csv"
    series.write_text("".join(f"{value!r}\n" for value in readings.reshape(-1).tolist()))
    arguments = ["infer", str(series), "--service", str(files.path("HMS1")), "--window", "5", "--json", "lines"]
    assert await trio.to_thread.run_sync(cli.main, arguments) == 0
    lines = sorted((json.loads(line) for line in capsys.readouterr().out.splitlines()), key=lambda x: x["sample"])
    assert [line["line"] for line in lines] == [1, 6, 11, 16]
    bound = lines[0]["error_bound"]
    assert np.abs(np.array([line["logits"] for line in lines]) - expected(files, readings)).max() <= bound
    # HMS2 is not told results.
    arguments[3] = str(files.path("HMS2"))
    assert await trio.to_thread.run_sync(cli.main, arguments) == 0
    assert {json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()} == {None}


async def test_the_small_sensors_command(files: FileClinic, monkeypatch, capsys) -> None:
    await files.start()
    await files.deploy()
    readings = samples(2)
    text = "".join(",".join(map(repr, row)) + "\n" for row in readings.tolist())
    for name in ("HMS1", "HMS2"):
        monkeypatch.setattr(sensor_command.sys, "stdin", io.StringIO(text))
        assert await trio.to_thread.run_sync(sensor_command.main, [str(files.path(name))]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logits = np.array([line["logits"] for line in lines[:2]])
    assert np.abs(logits - expected(files, readings)).max() <= lines[0]["error_bound"]
    # HMS2 is not told results.
    assert [line["label"] is None for line in lines] == [False, False, True, True]
    assert len({line["query"] for line in lines}) == 4


@pytest.mark.slow
async def test_a_small_sensor_goes_on_where_parties_start_again(files: FileClinic) -> None:
    await files.start()
    await files.deploy()
    readings = samples(4)
    logits = expected(files, readings)

    def right(receipt, place: int) -> bool:
        return bool(np.abs(np.array(receipt.logits) - logits[place]).max() <= receipt.error_bound)

    sensor = Sensor.load(files.path("HMS1"))
    run = trio.to_thread.run_sync
    receipts = [await run(sensor.submit, readings[place].tolist()) for place in range(2)]
    # A server that stops and starts again costs a retry at most.
    await files.stop("E2")
    await files.start("E2")
    receipts.append(await run(sensor.submit, readings[2].tolist()))
    await files.stop("HC")
    await files.start("HC")
    receipts.append(await run(sensor.submit, readings[3].tolist()))
    await run(sensor.close)
    assert all(right(receipt, place) for place, receipt in enumerate(receipts))
    assert len({receipt.query for receipt in receipts}) == 4
    assert {(receipt.model, receipt.version) for receipt in receipts} == {("tiny", 1)}


@pytest.mark.slow
async def test_a_stream_goes_on_where_parties_start_again(files: FileClinic) -> None:
    await files.start()
    await files.deploy()
    readings = samples(40)
    logits = expected(files, readings)
    taken = trio.Event()

    async def source():
        for place, sample in enumerate(readings):
            if place == 10:
                taken.set()
            await trio.sleep(0.05)
            yield sample

    async with connect(files.path("HMS1"), retries=8) as centre, trio.open_nursery() as nursery:

        async def restart() -> None:
            await taken.wait()
            for name in ("E2", "HC", "E1"):
                await files.stop(name)
                await files.start(name)

        nursery.start_soon(restart)
        results = [each async for each in centre.stream(source(), in_flight=4)]
    assert len({each.query for each in results}) == len(readings)
    assert np.abs(np.concatenate([each.logits for each in results]) - logits).max() <= results[0].error_bound
