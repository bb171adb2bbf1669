"""Whole runs between actors: right to the oracle, and measured == planned to the byte and the round."""

from __future__ import annotations

import pytest

from parties.launch import plan, run
from parties.request import RunRequest, Transport
from parties.resolve import resolve
from pehealth.config import Engine, GroupName
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import masked_engine
from pehealth.nets.masked_oracle import masked_oracle
from pehealth.nets.plan_masked import material_plan
from pehealth.nets.record import RunResult, validate


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


def check_counts(result: RunResult) -> None:
    """Every link, round and operation as planned; ddlog_steps only in expectation."""
    for name, planned in result.planned.phases.items():
        measured = result.phases[name]
        assert measured.links == planned.links, name
        assert (measured.server_rounds, measured.depth) == (planned.server_rounds, planned.depth), name
    for measured, planned in zip(result.layers, result.planned.layers, strict=True):
        assert (measured.name, measured.kind, measured.server_rounds) == (
            planned.name,
            planned.kind,
            planned.server_rounds,
        )
        assert measured.links == planned.links
        exact = {k: v for k, v in planned.ops.items() if k != "ddlog_steps"}
        assert {k: v for k, v in measured.ops.items() if k != "ddlog_steps"} == exact
    validate(result.to_json())


def silent_between_servers(result: RunResult, *kinds: str) -> bool:
    return all(
        not {"E1->E2", "E2->E1"} & set(layer.links) and layer.server_rounds == 0
        for layer in result.layers
        if layer.kind in kinds
    )


@pytest.mark.parametrize("transport", [Transport.MEMORY, Transport.TCP])
@pytest.mark.parametrize(("sensors", "batch"), [(1, 1), (3, 2)])
def test_the_papers_engine_gives_the_oracles_integers(transport, sensors, batch):
    request = RunRequest(
        net="clinic", engine=Engine.PAPER, group=GroupName.TOY32, digits=1, samples=2, batch=batch,
        sensors=sensors, transport=transport, insecure_seed=5,
    )  # fmt: skip
    result = run(request, quiet)
    assert all(s.logits_int == s.ideal_int for s in result.samples)
    check_counts(result)
    assert silent_between_servers(result, "dense", "conv1d", "conv2d", "meanpool")
    assert result.security.insecure
    assert result.security.reveals == ("activation_signs",)


@pytest.mark.parametrize("transport", [Transport.MEMORY, Transport.TCP])
@pytest.mark.parametrize(("sensors", "batch"), [(1, 1), (3, 2)])
def test_a_masked_engine_equals_the_mask_aware_oracle(transport, sensors, batch):
    request = RunRequest(
        net="clinic", engine=Engine.DEALT, samples=4, batch=batch, sensors=sensors, transport=transport, insecure_seed=3
    )
    result = run(request, quiet)
    job = resolve(request)
    parameters = job.plan.parameters
    material = material_plan(job.model.network, parameters, masked_engine(parameters))
    for query in range(1, job.queries + 1):
        rng = Prg.insecure_seed(3).child("HC").child("deal", query)
        part = slice((query - 1) * batch, query * batch)
        wanted = masked_oracle(material, job.quantised, job.inputs[part], rng)[len(job.model.network.placed)]
        assert [list(s.logits_int) for s in result.samples[part]] == wanted.tolist()
    check_counts(result)
    for s in result.samples:
        assert max(abs(a - b) for a, b in zip(s.logits_int, s.ideal_int, strict=True)) <= result.error_bound
    assert result.security.reveals == ()


def test_the_last_batch_is_filled_up_and_dropped_again():
    request = RunRequest(net="clinic", engine=Engine.DEALT, samples=3, batch=2)
    result = run(request, quiet)
    assert len(result.samples) == 3
    check_counts(result)


def test_virtual_time_is_depth_times_latency_and_transfer():
    """Five messages deep at 20 ms: 100 ms, the transfers of a few hundred bytes at 100 Mbit/s, and computing."""
    request = RunRequest(net="clinic", engine=Engine.DEALT, network="20ms,100mbit")
    result = run(request, quiet)
    assert result.phases["online"].depth == 5
    assert 0.1 < result.samples[0].online_seconds < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Engine.PAPER, Engine.DEALT, Engine.RLWE])
def test_separate_processes_count_the_same(engine):
    request = RunRequest(
        net="clinic", engine=engine, group=GroupName.TOY32 if engine is Engine.PAPER else None,
        digits=1 if engine is Engine.PAPER else 4, samples=2, transport=Transport.PROCESSES,
    )  # fmt: skip
    check_counts(run(request, quiet))


@pytest.mark.parametrize(("engine", "digits"), [(Engine.DEALT, 4), (Engine.PAPER, 1)])
def test_check_opens_every_layer_and_says_that_it_leaks(engine, digits):
    group = GroupName.TOY32 if engine is Engine.PAPER else None
    result = run(RunRequest(net="clinic", engine=engine, group=group, digits=digits, check=True), quiet)
    assert "LEAKS" in result.notes[-2]
    assert "all 3 layers agree" in result.notes[-1]


def test_check_names_the_first_layer_that_differs():
    """A walk of two zero bits fails almost always."""
    request = RunRequest(net="clinic", engine=Engine.PAPER, group=GroupName.TOY32, digits=1, walk=2, check=True)
    assert "the first layer that differs is 1.dense" in run(request, quiet).notes[-1]


def test_queries_in_flight_give_the_same_and_count_the_same():
    request = RunRequest(net="clinic", engine=Engine.DEALT, samples=6, in_flight=3, insecure_seed=3)
    result = run(request, quiet)
    one = run(RunRequest(net="clinic", engine=Engine.DEALT, samples=6, insecure_seed=3), quiet)
    check_counts(result)
    assert [s.logits_int for s in result.samples] == [s.logits_int for s in one.samples]


def test_a_plan_is_what_a_run_then_counts():
    request = RunRequest(net="clinic", engine=Engine.DEALT, batch=2, samples=2)
    assert plan(request).planned == run(request, quiet).planned
