"""Parties that keep their state: deployed once, dealt ahead, right, counted as planned, and no index used twice."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from parties.ahead import deal, deal_to_files, deploy, import_file
from parties.failure import exit_code, first_cause
from parties.kept import KeptServer
from parties.launch import run
from parties.progress import silent
from parties.request import RunRequest, Transport
from pehealth.config import Engine
from pehealth.errors import ConfigError, MaterialError, PehealthError
from pehealth.nets.record import RunResult
from pehealth.nets.weights import Model, save
from pehealth.nets.zoo import load_model
from pehealth.store.audit import Marks, problems, read_marks
from pehealth.store.database import Database
from pehealth.store.deployment import Deployment
from pehealth.store.leases import Lease, LeaseBook
from pehealth.store.ranges import Ranges
from pehealth.store.shelf import Happened

STORES = ("E1", "E2")


def request_in(state: Path, **settings: object) -> RunRequest:
    return RunRequest(**{"net": "clinic", "engine": Engine.DEALT, "state": state, **settings})


def check(result: RunResult) -> None:
    """Right to the oracle's bound, and measured as planned to the byte and the round."""
    for s in result.samples:
        assert max(abs(a - b) for a, b in zip(s.logits_int, s.ideal_int, strict=True)) <= result.error_bound
    for name, planned in result.planned.phases.items():
        measured = result.phases[name]
        assert measured.links == planned.links, name
        assert (measured.server_rounds, measured.depth) == (planned.server_rounds, planned.depth), name
    for measured, planned in zip(result.layers, result.planned.layers, strict=True):
        assert (measured.links, dict(measured.ops)) == (planned.links, dict(planned.ops))


def audited(state: Path) -> tuple[Marks, Marks]:
    one, two = (read_marks(state / server / "material.db") for server in STORES)
    assert problems(one, two) == ()
    return one, two


def refusal(call: object, *args: object) -> BaseException:
    """Return the first cause of what a call raises."""
    with pytest.raises((PehealthError, ExceptionGroup)) as caught:
        call(*args)
    return first_cause(caught.value)


@pytest.mark.parametrize(
    ("engine", "dealer", "transport"),
    [
        (Engine.DEALT, False, Transport.MEMORY),
        (Engine.DEALT, True, Transport.TCP),
        (Engine.RLWE, True, Transport.MEMORY),
        pytest.param(Engine.RLWE, True, Transport.PROCESSES, marks=pytest.mark.slow),
    ],
)
def test_the_first_run_deploys_and_the_second_sends_nothing_of_the_model(state_path, engine, dealer, transport):
    request = request_in(state_path, engine=engine, dealer=dealer, transport=transport, samples=3, sensors=2)
    first, second = run(request, silent), run(request, silent)
    for result in (first, second):
        check(result)
    assert second.phases["setup"].links.keys() >= {"E1->E2", "E2->E1", "E1->HC", "HC->HMS2"}
    assert {count.payload for count in second.phases["setup"].links.values()} == {4096, 8192}
    one, two = audited(state_path)
    assert one.of(Happened.USED) == two.of(Happened.USED) == Ranges.of([(1, 7)])


def test_material_dealt_ahead_is_used_before_more_is_dealt(state_path):
    job, outcome = deploy(request_in(state_path), silent)
    assert outcome.deployed
    assert not deploy(request_in(state_path), silent)[1].deployed
    _, outcome = deal(request_in(state_path), 20, silent)
    assert outcome.dealt == range(1, 21)
    result = run(request_in(state_path, samples=12), silent)
    check(result)
    assert result.phases["offline"].links == {}
    result = run(request_in(state_path, samples=12, in_flight=5), silent)
    check(result)
    assert result.phases["offline"].links["HC->E1"].payload == job.plan.material_bytes["E1"] + 32
    one, _ = audited(state_path)
    assert one.of(Happened.STORED) == one.of(Happened.USED) == Ranges.of([(1, 25)])


def test_where_nothing_may_be_dealt_the_run_says_how_many_are_missing(state_path):
    deploy(request_in(state_path), silent)
    deal(request_in(state_path), 3, silent)
    error = refusal(run, request_in(state_path, samples=5, deal=False), silent)
    assert isinstance(error, MaterialError)
    assert "5 queries are to run, and material for 2 is missing: pehealth deal" in str(error)
    check(run(request_in(state_path, samples=3, deal=False), silent))


def test_material_may_come_as_a_file_a_server_whoever_carries_it(state_path):
    request = request_in(state_path / "state", dealer=True)
    deploy(request, silent)
    paths = deal_to_files(request, 4, state_path / "out", silent)
    assert [p.name for p in paths] == ["E1-1-4.material", "E2-1-4.material"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths} == {0o600}
    assert import_file(state_path / "state", paths[0]) == ("E1", 4)
    error = refusal(run, dataclasses.replace(request, samples=2, deal=False), silent)
    assert "material for 2 is missing" in str(error), "E2 has not taken its file in yet"
    assert import_file(state_path / "state", paths[1]) == ("E2", 4)
    check(run(dataclasses.replace(request, samples=4, deal=False), silent))
    with pytest.raises(MaterialError, match="a record 1 was here before"):
        import_file(state_path / "state", paths[1])
    audited(state_path / "state")


def test_files_that_were_cut_changed_or_dealt_elsewhere_are_refused(state_path):
    for place in ("one", "two"):
        deploy(request_in(state_path / place), silent)
    paths = deal_to_files(request_in(state_path / "one"), 2, state_path / "out", silent)
    good = paths[1].read_bytes()
    for words, data in (
        ("ends within record 2", good[:-1]),
        ("record 1 is damaged", good[:200] + bytes([good[200] ^ 1]) + good[201:]),
        ("not a file of material", b"x" + good),
    ):
        (state_path / "bad").write_bytes(data)
        with pytest.raises(MaterialError, match=words):
            import_file(state_path / "one", state_path / "bad")
    with pytest.raises(MaterialError, match="this material is for plan"):
        import_file(state_path / "two", paths[1])
    with pytest.raises(ConfigError, match="cannot be read"):
        import_file(state_path / "one", state_path / "nowhere")
    with pytest.raises(ConfigError, match="deploy first"):
        import_file(state_path / "three", paths[1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"digits": 3}, "digits: deployed 4, asked for 3"),
        ({"ring": 48}, "ring: deployed 40, asked for 48"),
        ({"batch": 2, "samples": 2}, "batch: deployed 1, asked for 2"),
        ({"engine": Engine.RLWE}, "engine: deployed dealt, asked for rlwe"),
        ({"reveal": "class"}, "reveal: deployed logits, asked for class"),
        ({"net": "five"}, "network: deployed clinic, asked for five"),
    ],
)
def test_other_settings_than_were_deployed_are_named(state_path, five_classes, settings, words):
    deploy(request_in(state_path), silent)
    if "net" in settings:
        settings = {"net": five_classes}
    error = refusal(run, request_in(state_path, **settings), silent)
    assert isinstance(error, ConfigError)
    assert words in str(error)
    assert "leave these flags out, or take another --state directory" in str(error)
    check(run(request_in(state_path), silent))


def test_how_many_sensors_there_are_may_change(state_path):
    for sensors in (1, 4):
        check(run(request_in(state_path, sensors=sensors, samples=2), silent))


def test_another_model_of_the_same_shape_is_refused(state_path):
    clinic = load_model("clinic")
    trained_again = Model(
        clinic.network, tuple(w * 0.5 for w in clinic.weights), clinic.biases, clinic.ranges, clinic.dataset
    )
    save(trained_again, state_path / "again.npz")
    run(request_in(state_path / "state"), silent)
    error = refusal(run, request_in(state_path / "state", net=str(state_path / "again.npz"), ring=40), silent)
    assert "HC: another model is deployed in" in str(error)


def test_folders_of_different_deployments_are_told_apart(state_path):
    for place in ("one", "two"):
        run(request_in(state_path / place), silent)
    shutil.rmtree(state_path / "one" / "E1")
    error = refusal(run, request_in(state_path / "one"), silent)
    assert "the parties' folders hold different deployments (E1 none, E2" in str(error)
    shutil.copytree(state_path / "two" / "E1", state_path / "one" / "E1", dirs_exist_ok=True)
    error = refusal(run, request_in(state_path / "one"), silent)
    assert "put back the folder that is missing or old" in str(error)


def test_nothing_is_dealt_where_nothing_is_deployed(state_path):
    assert "pehealth deploy first" in str(refusal(deal, request_in(state_path), 2, silent))
    with pytest.raises(ConfigError, match="deploy first"):
        deal_to_files(request_in(state_path), 2, state_path / "out", silent)


def test_a_folder_in_use_is_refused(state_path):
    run(request_in(state_path), silent)
    held = import_held(state_path)
    error = refusal(run, request_in(state_path), silent)
    assert "open in another process" in str(error)
    held.close()
    check(run(request_in(state_path), silent))


def import_held(state: Path):
    held = Deployment.find(state / "E2", "E2")
    assert held is not None
    return held


# ---- stores that were put back


def snapshot(state: Path, server: str, *names: str) -> Path:
    copy = state / f"copy of {server}"
    shutil.copytree(state / server, copy)
    return copy


def put_back(state: Path, server: str, *names: str) -> None:
    for name in names:
        shutil.copy(state / f"copy of {server}" / name, state / server / name)


def test_a_database_put_back_from_an_older_copy_is_refused_by_name(state_path):
    run(request_in(state_path), silent)
    snapshot(state_path, "E1")
    run(request_in(state_path), silent)
    put_back(state_path, "E1", "material.db")
    error = refusal(run, request_in(state_path), silent)
    assert isinstance(error, MaterialError)
    assert "E1/material.db was put back from an older copy: generation" in str(error)


def test_a_whole_folder_put_back_is_refused_by_the_other_server(state_path):
    run(request_in(state_path), silent)
    snapshot(state_path, "E1")
    run(request_in(state_path), silent)
    put_back(state_path, "E1", "material.db", "material.db.epoch")
    error = refusal(run, request_in(state_path), silent)
    assert isinstance(error, MaterialError)
    assert "E1's store was put back from an older copy: it has answered queries under 2 and does not know" in str(error)
    assert exit_code(error) == 2


def test_a_store_that_was_retired_begins_anew_with_fresh_material(state_path):
    run(request_in(state_path), silent)
    deal(request_in(state_path), 5, silent)
    for name in ("material.db", "material.db.epoch"):
        (state_path / "E1" / name).unlink()
    result = run(request_in(state_path), silent)
    check(result)
    assert result.phases["offline"].links, "E2 alone has what was dealt before"
    audited(state_path)


def test_a_record_changed_on_disk_stops_the_run_and_names_it(state_path):
    deploy(request_in(state_path), silent)
    deal(request_in(state_path), 3, silent)
    with sqlite3.connect(state_path / "E2" / "material.db") as connection:
        connection.execute("UPDATE bodies SET body = zeroblob(length(body)) WHERE idx = 1")
    connection.close()
    error = refusal(run, request_in(state_path), silent)
    assert "E2: record 1 was changed on disk" in str(error)
    check(run(request_in(state_path, samples=2), silent))


def test_an_index_that_the_centre_did_not_lease_is_refused(state_path, monkeypatch):
    monkeypatch.setattr(LeaseBook, "covering", lambda _book, _indices: ())
    error = refusal(run, request_in(state_path), silent)
    assert "HMS names index 1, which is not leased: ask the centre for a lease" in str(error)


def test_an_index_of_another_submitter_is_refused(state_path, monkeypatch):
    monkeypatch.setattr(LeaseBook, "covering", lambda _book, _indices: (Lease("ward 2", 1, 5),))
    error = refusal(run, request_in(state_path), silent)
    assert "HMS names index 1, which is leased to ward 2" in str(error)


def test_no_store_is_touched_while_a_query_is_online(state_path, monkeypatch):
    online, touched = set(), []
    answer, real = KeptServer.answer, Database.run

    async def noted(server, query):
        online.add((server._actor.party, query))
        await answer(server, query)
        online.remove((server._actor.party, query))

    def watched(database, *words):
        touched.append((sorted(online), words[0]))
        return real(database, *words)

    monkeypatch.setattr(KeptServer, "answer", noted)
    monkeypatch.setattr(Database, "run", watched)
    run(request_in(state_path, samples=5), silent)
    assert len(touched) > 50
    assert [words for queries, words in touched if queries] == []


def test_every_folder_is_its_partys_alone(state_path):
    run(request_in(state_path, dealer=True), silent)
    assert {p.name for p in state_path.iterdir()} == {"E1", "E2", "HC", "DEALER", "settings.json"}
    for folder in ("E1", "E2", "HC", "DEALER"):
        assert stat.S_IMODE((state_path / folder).stat().st_mode) == 0o700
        assert {stat.S_IMODE(p.stat().st_mode) for p in (state_path / folder).iterdir()} == {0o600}
    (state_path / "E1").chmod(0o755)
    assert "chmod 700" in str(refusal(run, request_in(state_path, dealer=True), silent))


def test_in_rlwe_no_weight_and_no_ciphertext_is_in_the_dealers_folder(state_path):
    """The dealer keeps the key for each layer and a counter: nothing that grows with the model."""
    run(request_in(state_path, engine=Engine.RLWE, dealer=True), silent)
    with closing(Deployment.find(state_path / "DEALER", "DEALER")) as kept:
        names = [name for (name,) in kept._database.run("SELECT name FROM parts ORDER BY name")]
        assert names == ["secret/1", "secret/3"]
        assert {len(kept.part(name)) for name in names} == {4096 * 2 // 8}
