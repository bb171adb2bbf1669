"""Deploying and retiring while parties die: everybody ends up with the same, and nothing half done is left."""

from __future__ import annotations

import json

import pytest
import trio
import trio.lowlevel
from service_clinic import Clinic, make_model, samples, until

from parties.service.party import open_party
from parties.service.requests import Line
from pehealth.errors import ConfigError, PehealthError
from transport.errors import TransportError

MOMENTS = ("deploy", "install", "commit")


def folders(clinic: Clinic) -> dict[str, set[str]]:
    return {name: {path.parent.name for path in clinic.folder.glob(f"{name}/*/deployment.db")} for name in clinic.names}


def held(clinic: Clinic) -> dict[str, set[tuple[str, bool]]]:
    return {
        name: {(one, room.committed.is_set()) for one, room in party.deployments.rooms.items()}
        for name, party in clinic.parties.items()
    }


@pytest.mark.parametrize("victim", ["E1", "E2", "DEALER", "HC"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_party_dies_while_a_model_is_deployed(
    clinic: Clinic, victim: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies when it is asked for something (HC: when it asks): before, it has nothing; after, all have the same."""
    await clinic.start()
    await clinic.deploy(make_model("other", hidden=2))
    asked = trio.Event()
    plain = Line.ask

    async def ask(self: Line, op: str, **rest: object) -> object:
        if op == moment and victim in ("HC", self.peer) and not asked.is_set():
            asked.set()
            await trio.sleep_forever() if victim == "HC" else await trio.lowlevel.checkpoint()
        return await plain(self, op, **rest)

    monkeypatch.setattr(Line, "ask", ask)
    failed: list[Exception] = []

    async def deploy() -> None:
        try:
            await clinic.deploy()
        except* (PehealthError, TransportError) as group:
            failed.append(group)

    clinic.nursery.start_soon(deploy)
    await asked.wait()
    await clinic.kill(victim)
    await clinic.start(victim)
    if victim != "HC":
        await until(lambda: failed or any(r.spec.model == "tiny" for r in clinic.parties["HC"].centre.rooms))
    monkeypatch.undo()
    await until(lambda: all(clinic.parties["HC"].control.line_now(p) for p in ("E1", "E2", "DEALER")))
    await until(lambda: len({frozenset(each) for each in held(clinic).values()}) == 1)
    await until(lambda: len({frozenset(each) for each in folders(clinic).values()}) == 1)
    assert all(committed for _, committed in held(clinic)["E1"])
    if not any(room.spec.model == "tiny" for room in clinic.parties["HC"].centre.rooms):
        assert moment != "commit", "HC had decided"
        await clinic.deploy()
    else:
        assert moment == "commit"
        (room,) = (room for room in clinic.parties["HC"].centre.rooms if room.spec.model == "tiny")
        clinic.models[room.spec.id, 0] = make_model()
    for model in ("tiny", "other"):
        async with clinic.client(model=model) as client:
            clinic.check(await client.infer(samples(2)), samples(2))


async def test_a_party_that_was_away_when_a_model_was_retired_deletes_it_when_it_is_back(clinic: Clinic) -> None:
    clinic.service = clinic.patient(1.0)
    await clinic.start()
    room = await clinic.deploy()
    async with clinic.client() as client:
        await client.infer(samples(1))
    await clinic.kill("E2")
    with pytest.raises(TransportError, match=r"E2 .* is not linked now"):
        await clinic.parties["HC"].centre.retire("tiny", None, clinic.said.append)
    assert {name for name, found in folders(clinic).items() if room.spec.id in found} == {"E2"}
    await clinic.kill("HC")
    await clinic.start("HC", "E2")
    await until(lambda: not any(folders(clinic).values()))
    catalog = clinic.folder / "HC" / "catalog.json"
    await until(lambda: json.loads(catalog.read_text())["retiring"] == {})
    assert json.loads(catalog.read_text())["versions"] == {"tiny": 1}


async def test_what_a_party_does_not_take_is_refused_before_anything_is_sent(clinic: Clinic) -> None:
    await clinic.start()
    clinic.parties["E2"].deployments.check_room = _refuse
    with pytest.raises(ExceptionGroup) as caught:
        await clinic.deploy()
    assert "E2: no room" in str(caught.value.exceptions)
    await until(lambda: not any(each for each in held(clinic).values()))
    assert not any(folders(clinic).values())
    del clinic.parties["E2"].deployments.check_room
    assert (await clinic.deploy()).spec.version == 1


def _refuse(_spec: object) -> None:
    raise ConfigError("E2: no room")


async def test_limits_of_a_party(clinic: Clinic) -> None:
    clinic.service = clinic.patient(5.0, models=1, parameters_bytes=100)
    await clinic.start()
    with pytest.raises(ExceptionGroup) as caught:
        await clinic.deploy()
    assert "parameters_bytes = 100" in str(caught.value.exceptions)
    clinic.parties["E1"].deployments._around.settings.service.__dict__["parameters_bytes"] = 10**6
    clinic.parties["E2"].deployments._around.settings.service.__dict__["parameters_bytes"] = 10**6
    await clinic.deploy()
    with pytest.raises(ConfigError, match="HC has 1 deployments and takes no more: retire one"):
        await clinic.deploy()


async def test_a_store_that_is_served_already_is_refused(clinic: Clinic) -> None:
    await clinic.start("E1")
    settings = clinic.settings("E1")
    with pytest.raises(ConfigError, match="is served by another process"):
        async with open_party(settings, carrier=clinic.hub):
            pass


async def test_a_deployment_that_cannot_be_read_leaves_the_others_served(clinic: Clinic) -> None:
    await clinic.start()
    bad, good = await clinic.deploy(make_model("bad")), await clinic.deploy(make_model("good"))
    await clinic.stop("E1")
    file = clinic.folder / "E1" / bad.spec.id / "deployment.db"
    data = bytearray(file.read_bytes())
    data[:16] = bytes(16)
    file.write_bytes(data)
    await clinic.start("E1")
    assert any(bad.spec.id in line and "is not served" in line for line in clinic.said)
    assert list(clinic.parties["E1"].deployments.rooms) == [good.spec.id]
    async with clinic.client(model="good") as client:
        clinic.check(await client.infer(samples(2)), samples(2))
