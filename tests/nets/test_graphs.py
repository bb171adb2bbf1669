"""Networks that are no chain: sums, rescales, moves, and values that several layers take."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from parties.launch import run
from parties.request import RunRequest
from parties.resolve import resolve
from pehealth.config import Engine, GroupName, Parameters
from pehealth.crypto.prg import Prg
from pehealth.data.ranges import Ranges
from pehealth.engines.catalog import masked_engine
from pehealth.errors import ConfigError, UnsupportedLayer
from pehealth.nets.bounds import value_bounds
from pehealth.nets.describe import (
    Add,
    Conv1d,
    Conv2d,
    Dense,
    MaxPool,
    MeanPool,
    Network,
    Pad,
    Relu,
    Rescale,
    Reshape,
    Transpose,
)
from pehealth.nets.masked_oracle import masked_oracle
from pehealth.nets.oracle import float_reference, ideal
from pehealth.nets.plan_masked import material_plan
from pehealth.nets.scales import Arithmetic
from pehealth.nets.stages import LinearStage, MaxStage, ReluStage, stages
from pehealth.nets.weights import Model, load, save

TWO = ("a", "b")
CASES = {
    "residual": Network(
        "residual", (1, 12),
        (Conv1d(3, 3, 1, 1), Relu(), Conv1d(3, 3, 1, 1), Relu(), Conv1d(3, 3, 1, 1), Add(), Relu(), Dense(2)),
        TWO, ((0,), (1,), (2,), (3,), (4,), (2, 5), (6,), (7,)),
    ),
    "projected": Network(
        "projected", (2, 6, 6),
        (Conv2d(3, (3, 3), (2, 2), (1, 1)), Relu(), Conv2d(3, (3, 3), (1, 1), (1, 1)), Conv2d(3, (1, 1), (2, 2)),
         Add(), Relu(), MeanPool((3, 3)), Dense(2)),
        TWO, ((0,), (1,), (2,), (0,), (3, 4), (5,), (6,), (7,)),
    ),
    "bottleneck": Network(  # linear layers that follow on a sum, and on one another
        "bottleneck", (10,),
        (Dense(6), Rescale(), Dense(6), Add((1, 1)), Rescale(), Dense(2)),
        TWO, ((0,), (1,), (2,), (2, 3), (4,), (5,)),
    ),
    "leaky and clipped": Network(
        "leaky", (8,),
        (Dense(6), Rescale(), Relu(), Add((1, 99), 100), Dense(5), Relu(), Add((1,), 1, -0.5), Relu(),
         Add((1, -1), 1, -0.25), Dense(2)),
        TWO, ((0,), (1,), (1,), (2, 3), (4,), (5,), (5,), (7,), (6, 8), (9,)),
    ),
    "moved": Network(
        "moved", (24,),
        (Reshape((4, 3, 2)), Transpose((2, 0, 1)), Pad((0, 1), (1, 0)), Conv2d(2, (2, 2)), Relu(), Pad((1,), (0,)),
         MaxPool((2, 2)), Dense(2)),
        TWO,
    ),
    "a relu that two take": Network(
        "shared", (8,),
        (Dense(8), Relu(), MaxPool((2,)), MeanPool((2,)), Add((2, -1)), Relu(), MaxPool((2,)), Dense(2)),
        TWO, ((0,), (1,), (2,), (2,), (3, 4), (5,), (6,), (7,)),
    ),
    "ends in a sum": Network(
        "sum", (5,), (Dense(2), Relu(), Dense(2), Add((1, 3), 2, 0.5)), TWO, ((0,), (1,), (2,), (2, 3)),
    ),
}  # fmt: skip
SIGNED = {"leaky and clipped", "bottleneck"}


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


def model_of(network: Network) -> Model:
    rng = Prg.insecure_seed(77)
    weights = tuple(rng.ring(p.linear.weight_shape, 12).astype(float) / 2048 - 1 for p in network.linear_layers)
    biases = tuple(rng.ring(p.linear.out_channels, 12).astype(float) / 2048 - 1 for p in network.linear_layers)
    return Model(network, weights, biases, Ranges(("x",), (0.0,), (1.0,)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("engine", "batch"), [(Engine.DEALT, 1), (Engine.DEALT, 3), (Engine.RLWE, 2)])
def test_a_run_gives_the_integers_of_its_masks_costs_what_was_planned_and_keeps_its_bound(
    tmp_path, name, engine, batch
):
    file = tmp_path / "model.npz"
    save(model_of(CASES[name]), file)
    request = RunRequest(net=str(file), engine=engine, samples=2 * batch, batch=batch, insecure_seed=3, sensors=2)
    result, job = run(request, quiet), resolve(request)
    for phase, planned in result.planned.phases.items():
        measured = result.phases[phase]
        assert (measured.links, measured.server_rounds, measured.depth) == (
            planned.links, planned.server_rounds, planned.depth,
        )  # fmt: skip
    for measured, planned in zip(result.layers, result.planned.layers, strict=True):
        assert (measured.name, measured.server_rounds, measured.links, measured.ops) == (
            planned.name, planned.server_rounds, planned.links, planned.ops,
        )  # fmt: skip
        if measured.kind in ("dense", "conv1d", "conv2d"):
            assert not measured.links
    for s in result.samples:
        assert max(abs(a - b) for a, b in zip(s.logits_int, s.ideal_int, strict=True)) <= result.error_bound
        assert np.allclose(s.logits, s.plain_logits, atol=0.02)
    if engine is Engine.DEALT:
        material = material_plan(CASES[name], job.plan.parameters, masked_engine(job.plan.parameters))
        rng = Prg.insecure_seed(3).child("HC").child("deal", 1)
        last = stages(CASES[name], job.plan.parameters)[-1].placed.index
        wanted = masked_oracle(material, job.quantised, job.inputs[:batch], rng)[last]
        assert [list(s.logits_int) for s in result.samples[:batch]] == wanted.tolist()
    assert any("random readings" in note for note in result.notes)


@pytest.mark.slow
def test_engine_ddh_runs_graphs_too(tmp_path):
    file = tmp_path / "model.npz"
    save(model_of(CASES["bottleneck"]), file)
    request = RunRequest(net=str(file), engine=Engine.DDH, group=GroupName.MODP2048, digits=1, failures=1e-4)
    result = run(request, quiet)
    (sample,) = result.samples
    pairs = zip(sample.logits_int, sample.ideal_int, strict=True)
    assert max(abs(a - b) for a, b in pairs) <= result.error_bound
    measured, planned = result.phases["online"], result.planned.phases["online"]
    assert (measured.links, measured.server_rounds) == (planned.links, planned.server_rounds)


@pytest.mark.parametrize("name", CASES)
def test_bounds_hold_and_the_oracles_agree(name):
    model = model_of(CASES[name])
    features = Prg.insecure_seed(5).below((200, model.network.inputs), 1001) / 1000
    for arithmetic in Arithmetic:
        quantised = model.quantise(5, arithmetic)
        found = ideal(quantised, quantised.encode_input(features))
        for bound, layer in zip(value_bounds(quantised), found.layers, strict=True):
            assert bound.low <= layer.min()
            assert layer.max() <= bound.high
        plain = float_reference(model, features)
        for layer, exact, scale in zip(plain.layers, found.layers, found.scales, strict=True):
            assert np.allclose(layer, exact.astype(np.float64) / scale, atol=2e-3)


def test_the_bound_of_a_clip_is_its_limits_not_twice_its_input():
    model = model_of(CASES["leaky and clipped"]).quantise(4, Arithmetic.MASKED)
    bounds = value_bounds(model)
    clip, relu = bounds[8], bounds[5]
    assert clip.layer.name == "9.add"
    assert (clip.low, clip.high) == (-2501, -2500 + 5000 + 1)  # -0.25 + 0 .. 0.5, one unit more for the rounding
    assert relu.high > 10 * clip.high


@pytest.mark.parametrize("reveal", ["logits", "class"])
def test_check_and_the_class_alone_work_on_a_graph(tmp_path, reveal):
    file = tmp_path / "model.npz"
    save(model_of(CASES["a relu that two take"]), file)
    request = RunRequest(net=str(file), engine=Engine.DEALT, samples=5, reveal=reveal, check=True)
    result = run(request, quiet)
    assert "all 8 layers agree" in result.notes[-1]


def test_a_value_that_two_linear_layers_take_is_opened_once():
    parameters = Parameters(Engine.DEALT, 4, 40)
    walk = stages(CASES["projected"], parameters)
    linear = {stage.placed.index: stage.mask_of for stage in walk if isinstance(stage, LinearStage)}
    assert linear == {1: 1, 3: 3, 4: 1, 8: 8}


def test_a_max_pool_goes_before_its_relu_unless_something_else_takes_the_relu():
    walk = stages(CASES["a relu that two take"], Parameters(Engine.DEALT, 4, 40))
    order = [stage.placed.index for stage in walk if isinstance(stage, ReluStage | MaxStage)]
    assert order == [2, 3, 7, 6]
    assert walk[-1].placed.sources == (6,)


@pytest.mark.parametrize("name", CASES)
def test_the_description_and_the_model_file_are_read_back(tmp_path, name):
    assert Network.from_json(CASES[name].to_json()) == CASES[name]
    save(model_of(CASES[name]), tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").network == CASES[name]


def test_a_chain_that_is_spelt_out_is_the_same_network():
    chain = Network("n", (4,), (Dense(3), Relu(), Dense(2)), TWO)
    spelt = dataclasses.replace(chain, sources=((0,), (1,), (2,)))
    assert (spelt, spelt.digest()) == (chain, chain.digest())
    assert all("from" not in entry for entry in chain.to_json()["layers"])


@pytest.mark.parametrize(
    ("layers", "sources", "message"),
    [
        ((Dense(3), Add(), Dense(2)), ((0,), (1,), (2,)), r"layer 2 \(add\) takes 2 outputs of layers before it"),
        ((Dense(3), Relu(), Dense(2)), ((0,), (2,), (2,)), r"layer 2 \(relu\) takes 1 outputs .* not \[2\]"),
        ((Dense(3), Dense(3), Dense(2)), ((0,), (0,), (2,)), "nothing takes the output of layer 1"),
        ((Dense(3), Dense(4), Add(), Dense(2)), ((0,), (0,), (1, 2), (3,)), r"cannot add shapes \[\(3,\), \(4,\)\]"),
        ((Dense(3), Dense(2)), ((0,),), "1 lists of sources for 2 layers"),
        ((Dense(3), Relu()), (), "ends in a linear layer, a sum or a mean"),
        ((Dense(6), Reshape((4,)), Dense(2)), (), r"layer 2 \(reshape\) cannot take"),
        ((Dense(6), Transpose((1, 0)), Dense(2)), (), r"layer 2 \(transpose\) cannot take"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(layers, sources, message):
    with pytest.raises(UnsupportedLayer, match=message):
        _ = Network("n", (4,), layers, TWO, sources).placed


def test_bad_layers_of_a_description_are_listed():
    bad = {
        "name": "n", "input": [4], "classes": ["a"],
        "layers": [
            {"kind": "add", "factors": [0, 1]}, {"kind": "add", "factors": [1.5]},
            {"kind": "pad", "before": [-1], "after": [0]}, {"kind": "dense", "units": 1},
        ],
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        Network.from_json(bad)
    assert len(caught.value.problems) == 3


def test_engine_paper_refuses_what_the_paper_has_not():
    with pytest.raises(UnsupportedLayer, match=r"layers that the paper has not: 6\.add; take engine dealt or rlwe"):
        run_paper(CASES["residual"])
    with pytest.raises(UnsupportedLayer, match=r"3\.meanpool is the last layer"):
        run_paper(Network("n", (4,), (Dense(4), Relu(), MeanPool((2,))), TWO))


def run_paper(network: Network) -> None:
    from pehealth.nets.run_literal import check_literal

    check_literal(network)
