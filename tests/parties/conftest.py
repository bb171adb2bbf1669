"""Records of runs that never were, for tests of what is made of them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pehealth.config import Engine, GroupName, Parameters
from pehealth.crypto.prg import Prg
from pehealth.nets.describe import Dense, Network, Relu
from pehealth.nets.record import (
    Accuracy,
    LayerCost,
    LayerRecord,
    LinkCount,
    PhaseCost,
    PhaseRecord,
    Planned,
    RunParameters,
    RunResult,
    Sample,
    Security,
)
from pehealth.nets.weights import Model, save
from pehealth.nets.zoo import load_model


def both_ways(payload: int, messages: int = 1) -> dict[str, LinkCount]:
    count = LinkCount(payload, 24 * messages, messages)
    return {"E1->E2": count, "E2->E1": count}


def build_result(engine: Engine = Engine.RLWE, group: GroupName | None = None) -> RunResult:
    """A record that keeps the schema: two samples, three layers."""
    walks = group is not None
    parameters = Parameters(engine, digits=4, ring=40, group=group, walk=8 if walks else None, cap=4096, batch=2)
    reveals = ("activation_signs",) if engine is Engine.PAPER else ()
    inputs = {"HMS1->E1": LinkCount(300, 24, 1), "HMS1->E2": LinkCount(300, 24, 1)}
    layers = (
        LayerCost("0.input", "input", 0, inputs),
        LayerCost("1.dense", "dense", 1, both_ways(150)),
        LayerCost("2.relu", "relu", 1, both_ways(80), {"dcf_evals": 32}),
    )
    online = PhaseCost(2, 4, {"dcf_evals": 32, "wrong_conversions": 0.5}, {**inputs, **both_ways(230, 2)})
    quiet = PhaseCost(0, 1, {}, {"HC->E1": LinkCount(1000, 24, 1)})
    sample = Sample(0, 1, 1, 1, (-52_000, 61_000), (-52_000, 61_001), (-5.2, 6.1), (-5.20001, 6.10007), 0.0123)
    return RunResult(
        command="run",
        net="clinic",
        engine=engine,
        parameters=RunParameters.of(parameters, transport="memory", tls=False, network=None),
        security=Security.of(parameters, reveals),
        samples=(sample, dataclasses.replace(sample, index=1, label=0, plain_prediction=0)),
        scale=10_000,
        accuracy=Accuracy(0.5, 1.0, 0.63),
        phases={
            "setup": PhaseRecord(**vars(quiet), seconds=1.5),
            "offline": PhaseRecord(**vars(quiet), seconds=0.25),
            "online": PhaseRecord(**vars(online), seconds=0.0123),
        },
        layers=tuple(LayerRecord(**vars(layer), seconds={"E1": 0.001, "E2": 0.002}) for layer in layers),
        planned=Planned({"setup": quiet, "offline": quiet, "online": online}, layers),
        error_bound=42,
        near_ties=(1,),
    )


@pytest.fixture
def make_result() -> Callable[..., RunResult]:
    return build_result


@pytest.fixture
def result() -> RunResult:
    return build_result()


@pytest.fixture
def five_classes(tmp_path: Path) -> str:
    """A model file with hidden units and five classes, the second and the fourth always equal."""
    clinic = load_model("clinic")
    network = Network("five", clinic.network.input_shape, (Dense(6), Relu(), Dense(5)), tuple("abcde"))
    rng = Prg.insecure_seed(8)
    w1, w2 = (rng.ring(shape, 20).astype(float) / 2**19 - 1 for shape in ((6, 30), (5, 6)))
    w2[3] = w2[1] = abs(w2[1]) + abs(w2).max(axis=0) / 2
    model = Model(network, (w1, w2), (np.zeros(6), np.zeros(5)), clinic.ranges, "clinic")
    save(model, tmp_path / "five.npz")
    return str(tmp_path / "five.npz")


@pytest.fixture
def state_path(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in memory, where there is such: syncs cost little, and the rules do not depend on the disk."""
    shared = Path("/dev/shm")  # noqa: S108
    if not shared.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as name:
        yield Path(name)
