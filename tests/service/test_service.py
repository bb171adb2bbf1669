"""Deploy, infer, retire: what a user does, over real links between real parties."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from service_clinic import Clinic, make_model, samples

from parties.service.client import Client
from pehealth.config import Engine
from pehealth.errors import ConfigError, RangeError


@pytest.mark.parametrize("dealer", [True, False])
async def test_a_model_is_deployed_and_answers(clinic: Clinic, dealer: bool) -> None:
    clinic.dealer = dealer
    await clinic.start()
    room = await clinic.deploy()
    assert room.spec.title == "tiny@1"
    readings = samples(5)
    async with clinic.client() as client:
        answers = await client.infer(readings)
    clinic.check(answers, readings)
    assert {(a.model, a.version, a.digits, a.retries) for a in answers} == {("tiny", 1, 4, 0)}
    assert sorted(a.query for a in answers) == [1, 2, 3, 4, 5]


async def test_engine_rlwe_batches_and_the_class_alone(clinic: Clinic) -> None:
    await clinic.start()
    await clinic.deploy(make_model("logits"), engine=Engine.RLWE, batch=3)
    await clinic.deploy(make_model("classes"), batch=3, reveal="class")
    readings = samples(7)
    async with clinic.client(model="logits") as client:
        answers = await client.infer(readings)
    clinic.check(answers, readings)
    assert [a.samples for a in answers] == [3, 3, 1]
    async with clinic.client(model="classes") as client:
        revealed = await client.infer(readings)
    assert all(a.logits is None for a in revealed)
    assert [list(a.classes) for a in revealed] == [list(a.classes) for a in answers]


async def test_eight_clients_share_one_link_between_the_servers(clinic: Clinic) -> None:
    """Their queries run side by side, each gets its own answers, and the material for them is dealt meanwhile."""
    await clinic.start()
    await clinic.deploy()
    right: list[str] = []

    async def one(name: str, seed: int) -> None:
        readings = samples(12, seed)
        async with clinic.client(name) as client:
            clinic.check(await client.infer(readings), readings)
        right.append(name)

    async with trio.open_nursery() as nursery:
        for number in range(1, 9):
            nursery.start_soon(one, f"HMS{number}", number)
    assert len(right) == 8


async def test_versions_live_side_by_side_and_the_newest_is_taken(clinic: Clinic) -> None:
    await clinic.start()
    first = await clinic.deploy(make_model(seed=2))
    async with clinic.client() as old:
        second = await clinic.deploy(make_model(seed=3))
        other = await clinic.deploy(make_model("other", seed=4, hidden=2))
        assert (first.spec.version, second.spec.version, other.spec.version) == (1, 2, 1)
        readings = samples(3)
        clinic.check(await old.infer(readings), readings)
        async with clinic.client(model="tiny") as new, clinic.client("HMS2", model="tiny", version=1) as named:
            answers = await new.infer(readings), await named.infer(readings)
            for each in answers:
                clinic.check(each, readings)
        assert [each[0].version for each in answers] == [2, 1]
        with pytest.raises(ConfigError, match="several models are deployed: name one of other, tiny"):
            await _connect(clinic)
        with pytest.raises(ConfigError, match="tiny@7 is not deployed: there is other@1, tiny@2, tiny@1"):
            await _connect(clinic, model="tiny", version=7)
        assert sorted((c.model, c.version) for c in await old.models()) == [("other", 1), ("tiny", 1), ("tiny", 2)]


async def _connect(clinic: Clinic, **wanted: object) -> None:
    async with clinic.client("HMS9", **wanted):
        pass


async def test_a_retired_model_is_gone_everywhere_and_its_number_is_not_used_again(clinic: Clinic) -> None:
    await clinic.start()
    room = await clinic.deploy()
    async with clinic.client() as client:
        await client.infer(samples(3))
        said = await clinic.parties["HC"].centre.retire("tiny", None, clinic.said.append)
        assert said == {"E1": 3, "E2": 3, "DEALER": 0, "HC": 0}
        assert not list(clinic.folder.glob(f"*/{room.spec.id}"))
        with pytest.raises(ConfigError, match="tiny@1 was retired: connect again"):
            await client.infer(samples(1))
    with pytest.raises(ConfigError, match="tiny is not deployed: there is nothing"):
        await clinic.parties["HC"].centre.retire("tiny", None, clinic.said.append)
    assert (await clinic.deploy()).spec.version == 2


async def test_a_client_that_may_not_see_results_gets_a_receipt_and_the_centre_keeps_them(clinic: Clinic) -> None:
    clinic.results = False
    await clinic.start()
    await clinic.deploy()
    async with clinic.client() as client:
        (answer,) = await client.infer(samples(1))
    assert (answer.logits, answer.classes, answer.query) == (None, None, 1)
    spool = clinic.folder / "HC" / "results.jsonl"
    assert spool.stat().st_mode & 0o777 == 0o600
    (line,) = spool.read_text().splitlines()
    assert '"query":1' in line
    assert '"client":"HMS1"' in line
    assert '"logits":[[' in line


@pytest.mark.parametrize("engine", [Engine.PAPER, Engine.DDH])
async def test_engines_that_cannot_keep_material_are_refused(clinic: Clinic, engine: Engine) -> None:
    await clinic.start("HC")
    with pytest.raises(ConfigError, match=f"engine {engine} does not run as a service.*--engine dealt or rlwe"):
        await clinic.deploy(engine=engine)


async def test_readings_that_cannot_be_sent_are_named_and_nothing_is_used(clinic: Clinic) -> None:
    await clinic.start()
    await clinic.deploy()
    async with clinic.client() as client:
        bad = samples(3)
        bad[1, 2] = np.nan
        with pytest.raises(RangeError, match="sample 1: pressure is not a finite number"):
            await client.infer(bad)
        with pytest.raises(ConfigError, match="a sample of 4 readings; tiny takes 5"):
            await client.infer(samples(2)[:, :4])
        assert (await client.infer(samples(1)))[0].query == 1


async def test_a_client_needs_a_centre(clinic: Clinic) -> None:
    settings = clinic.settings("HMS1")
    settings.peers.pop("HC")
    with pytest.raises(ConfigError, match=r"\[peers\] HC: a client needs their addresses"):
        async with Client.connect(settings, carrier=clinic.hub):
            pass
