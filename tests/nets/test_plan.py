"""What was planned is what is measured, to the byte, the message and the round: all networks, engines and links."""

from __future__ import annotations

import numpy as np
import pytest

from parties.assemble import assemble
from parties.launch import perform_job
from parties.request import RunRequest, Transport
from parties.resolve import Job
from pehealth.config import Engine, GroupName, Parameters
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import masked_engine
from pehealth.nets.plan import sensor_names, sensor_parts
from pehealth.nets.plan_literal import plan_literal
from pehealth.nets.plan_masked import plan_masked
from pehealth.nets.record import RunResult
from pehealth.nets.scales import Arithmetic
from pehealth.nets.zoo import NAMES, load_model

SMALL = ("postop-a", "postop-b", "wearable-c", "wearable-d", "clinic")
LARGE = tuple(name for name in NAMES if name not in SMALL)
COUNTS = [(1, 1), (1, 2), (3, 1), (3, 2)]
"""Batch and sensors."""
RING = 48
WALK, CAP = 2, 64
"""So short that every result is wrong; what is sent, and how often, does not depend on a value."""


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


def plan_for(name: str, engine: Engine, batch: int, sensors: int):
    """The weights that are shipped and the plan, without the data set."""
    model = load_model(name)
    if engine is Engine.PAPER:
        p = Parameters(engine, 0, 32, GroupName.TOY32, walk=WALK, cap=CAP, batch=batch, sensors=sensors)
        return model, model.quantise(0, Arithmetic.LITERAL), plan_literal(model.network, p)
    p = Parameters(engine, 4, RING, batch=batch, sensors=sensors)
    return model, model.quantise(4, Arithmetic.MASKED), plan_masked(model.network, p, masked_engine(p))


def ran(name: str, engine: Engine, batch: int, sensors: int, transport: Transport, queries: int = 2) -> RunResult:
    """Two queries on random readings."""
    model, quantised, plan = plan_for(name, engine, batch, sensors)
    features = Prg.insecure_seed(1).below((queries * batch, model.network.inputs), 1000) / 1000
    request = RunRequest(
        net=name, engine=engine, group=plan.parameters.group, batch=batch, samples=len(features), sensors=sensors,
        transport=transport,
    )  # fmt: skip
    labels, indices = np.zeros(len(features), np.int64), np.arange(len(features))
    job = Job(request, model, quantised, plan, features, quantised.encode_input(features), labels, indices, 1.0)
    return assemble(job, perform_job(job, quiet), "run")


def check(result: RunResult) -> None:
    """Every phase and layer: links, rounds and operations; the steps of walks alone are planned in expectation."""
    for phase, planned in result.planned.phases.items():
        measured = result.phases[phase]
        assert (measured.links, measured.server_rounds, measured.depth) == (
            planned.links,
            planned.server_rounds,
            planned.depth,
        ), phase
    assert len(result.layers) == len(result.planned.layers)
    for measured, planned in zip(result.layers, result.planned.layers, strict=True):
        assert (measured.name, measured.kind, measured.server_rounds, measured.links) == (
            planned.name,
            planned.kind,
            planned.server_rounds,
            planned.links,
        )
        assert exact(measured.ops) == exact(planned.ops), measured.name


def exact(ops: dict[str, float]) -> dict[str, float]:
    return {name: n for name, n in ops.items() if name != "ddlog_steps"}


@pytest.mark.parametrize(("batch", "sensors"), COUNTS)
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("engine", [Engine.PAPER, Engine.DEALT])
def test_planned_is_measured_in_memory(name, engine, batch, sensors):
    check(ran(name, engine, batch, sensors, Transport.MEMORY))


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "sensors"), COUNTS)
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("engine", [Engine.PAPER, Engine.DEALT])
def test_planned_is_measured_for_images(name, engine, batch, sensors):
    check(ran(name, engine, batch, sensors, Transport.MEMORY, queries=1))


@pytest.mark.parametrize(("name", "engine"), [("postop-a", Engine.PAPER), ("wearable-d", Engine.DEALT)])
def test_planned_is_measured_over_tcp(name, engine):
    check(ran(name, engine, 3, 2, Transport.TCP))


@pytest.mark.slow
def test_planned_is_measured_between_processes():
    check(ran("postop-a", Engine.DEALT, 3, 2, Transport.PROCESSES))


@pytest.mark.parametrize("engine", [Engine.PAPER, Engine.DEALT])
@pytest.mark.parametrize("name", NAMES)
def test_linear_layers_are_silent_in_every_engine(name, engine):
    _, _, plan = plan_for(name, engine, 1, 1)
    linear = [layer for layer in plan.layers if layer.kind in ("dense", "conv1d", "conv2d")]
    assert {(layer.cost.server_rounds, layer.cost.depth, len(layer.cost.links)) for layer in linear} == {(0, 0, 0)}
    if engine is Engine.DEALT:
        pools = sum(
            int(np.ceil(np.log2(placed.layer.size))) for placed in plan.network.placed if placed.kind == "maxpool"
        )
        assert plan.online.server_rounds == 2 * len(linear) - 1 + pools


@pytest.mark.parametrize(("inputs", "sensors"), [(8, 1), (8, 3), (30, 4), (5, 5)])
def test_sensors_share_the_readings_between_them(inputs, sensors):
    parts = sensor_parts(inputs, sensors)
    assert len(parts) == len(sensor_names(sensors)) == sensors
    assert [i for part in parts for i in range(inputs)[part]] == list(range(inputs))
    sizes = {part.stop - part.start for part in parts}
    assert max(sizes) - min(sizes) <= 1
