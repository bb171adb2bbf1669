"""Whole runs between actors: right to the oracle, and measured == planned to the byte and the round."""

from __future__ import annotations

import dataclasses

import pytest

from parties.launch import plan, run
from parties.request import RunRequest, Transport
from parties.resolve import resolve
from pehealth.config import Engine, GroupName
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import masked_engine
from pehealth.errors import ConfigError
from pehealth.nets.describe import Dense, MaxPool, Network, Relu
from pehealth.nets.masked_oracle import masked_oracle
from pehealth.nets.plan_masked import material_plan
from pehealth.nets.record import RunResult, validate
from pehealth.nets.weights import Model, save
from pehealth.nets.zoo import load_model


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
    assert silent_between_servers(result, "dense", "conv1d", "conv2d", "meanpool")
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
        dealer=engine is Engine.RLWE,
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


@pytest.mark.parametrize(
    ("engine", "transport"),
    [(Engine.DEALT, Transport.MEMORY), (Engine.DEALT, Transport.TCP), (Engine.RLWE, Transport.MEMORY)],
)
def test_a_dealer_of_its_own_costs_what_the_plan_says(engine, transport):
    request = RunRequest(net="clinic", engine=engine, samples=2, transport=transport, dealer=True)
    result = run(request, quiet)
    check_counts(result)
    assert {"DEALER->E1", "DEALER->E2"} == set(result.phases["offline"].links)
    assert result.accuracy.secure == 1


def test_the_dealer_of_rlwe_is_told_the_key_and_nothing_of_the_model():
    """What HC sends it has the same size whatever the layer: two bits a coefficient of the key."""
    sent = plan(RunRequest(net="clinic", dealer=True)).planned.phases["setup"].links["HC->DEALER"]
    assert (sent.payload, sent.messages) == (2 * 4096 * 2 // 8, 2)


def test_the_class_alone_is_what_the_logits_say_at_one_more_round():
    """Two classes: one round more, two words a sample in it, one bit a sample to the centre."""
    request = RunRequest(net="clinic", engine=Engine.DEALT, samples=6, batch=3, reveal="class")
    result, logits = run(request, quiet), run(dataclasses.replace(request, reveal="logits"), quiet)
    check_counts(result)
    assert [s.prediction for s in result.samples] == [s.prediction for s in logits.samples]
    assert all(s.logits_int == () == s.logits for s in result.samples)
    assert result.phases["online"].server_rounds == logits.phases["online"].server_rounds + 1
    assert result.layers[-1].links["E1->HC"].payload == 1
    assert result.parameters.reveal == "class"


def test_the_class_equals_the_oracles_of_the_same_masks_and_the_lowest_of_equals(five_classes):
    request = RunRequest(net=five_classes, engine=Engine.DEALT, samples=30, batch=15, reveal="class", insecure_seed=3)
    result, job = run(request, quiet), resolve(request)
    check_counts(result)
    assert {s.prediction for s in result.samples} >= {1}
    assert 3 not in {s.prediction for s in result.samples}
    material = material_plan(job.model.network, job.plan.parameters, masked_engine(job.plan.parameters))
    for query in range(1, job.queries + 1):
        rng = Prg.insecure_seed(3).child("HC").child("deal", query)
        part = slice((query - 1) * 15, query * 15)
        wanted = masked_oracle(material, job.quantised, job.inputs[part], rng)[len(job.model.network.placed) + 1]
        assert [s.prediction for s in result.samples[part]] == wanted.tolist()


def test_a_network_that_needs_64_bits_runs_right_on_rlwe():
    result = run(RunRequest(net="clinic", digits=8, samples=4), quiet)
    assert (result.parameters.ring, result.parameters.lattice) == (64, "n8192-q156")
    check_counts(result)
    assert silent_between_servers(result, "dense", "conv1d", "conv2d", "meanpool")
    for s in result.samples:
        assert max(abs(a - b) for a, b in zip(s.logits_int, s.ideal_int, strict=True)) <= result.error_bound
        assert s.prediction == s.plain_prediction


def test_64_bits_on_the_small_set_are_refused_by_name():
    with pytest.raises(
        ConfigError, match=r"1\.dense: lattice n4096-q104 cannot carry a ring of 64 bits .* take lattice n8"
    ):
        plan(RunRequest(net="clinic", ring=64, lattice="n4096-q104"))


def test_queries_in_flight_give_the_same_and_count_the_same():
    request = RunRequest(net="clinic", engine=Engine.DEALT, samples=6, in_flight=3, insecure_seed=3)
    result = run(request, quiet)
    one = run(RunRequest(net="clinic", engine=Engine.DEALT, samples=6, insecure_seed=3), quiet)
    check_counts(result)
    assert [s.logits_int for s in result.samples] == [s.logits_int for s in one.samples]


def test_a_plan_is_what_a_run_then_counts():
    request = RunRequest(net="clinic", engine=Engine.DEALT, batch=2, samples=2)
    assert plan(request).planned == run(request, quiet).planned


@pytest.mark.parametrize(("engine", "digits"), [(Engine.DEALT, 4), (Engine.PAPER, 0)])
def test_check_follows_each_engines_own_order_of_relu_and_max_pool(tmp_path, engine, digits):
    """The masked engines pool before the ReLU, the paper's engine after it; each is held against its own order."""
    clinic, rng = load_model("clinic"), Prg.insecure_seed(4)
    network = Network("pooled", (30,), (Dense(4), Relu(), MaxPool((2,)), Dense(2)), clinic.network.classes)
    shapes = [placed.linear.weight_shape for placed in network.linear_layers]
    weights = tuple(rng.below(shape, 5).astype(float) - 2 for shape in shapes)
    biases = tuple(rng.below(shape[:1], 5).astype(float) - 2 for shape in shapes)
    path = tmp_path / "pooled.npz"
    save(Model(network, weights, biases, clinic.ranges, clinic.dataset), path)
    group = GroupName.TOY32 if engine is Engine.PAPER else None
    result = run(RunRequest(net=str(path), engine=engine, group=group, digits=digits, check=True), quiet)
    assert "all 4 layers agree" in result.notes[-1]
