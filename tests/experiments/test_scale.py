"""Growth: laws that are there are found, and every family's points fit together."""

from __future__ import annotations

import json

import pytest

from pehealth import schema
from pehealth.config import Engine, GroupName, Parameters
from pehealth.experiments.compute_model import ComputeModel
from pehealth.experiments.scale import ScaleResult, fit_law, grow
from pehealth.experiments.scale_networks import FAMILIES
from pehealth.nets.machine import Machine
from pehealth.nets.record import RunParameters, Security

MODEL = ComputeModel({"linear": {"macs": 1e-9}, "relu": {"gates": 1e-6}, "comparison": {"bits": 1e-9}}, {"relu": 1.0})
MASKED = Parameters(Engine.DEALT, 4, 40)
LITERAL = Parameters(Engine.PAPER, 1, 32, GroupName.TOY32, walk=4, cap=1000)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_a_power_law_is_found(exponent: float) -> None:
    law = fit_law([1, 2, 4, 8], [3 * x**exponent for x in (1, 2, 4, 8)])
    assert (law.exponent, law.last, law.fit) == pytest.approx((exponent, exponent, 1.0))


@pytest.mark.parametrize("base", [MASKED, LITERAL], ids=["dealt", "paper"])
@pytest.mark.parametrize("name", ["depth", "batch"])
def test_costs_grow_as_they_must(name: str, base: Parameters) -> None:
    growth = grow(FAMILIES[name](), base, MODEL, ("wan", "lan"))
    laws = growth.laws
    assert [p.value for p in growth.points] == sorted(p.value for p in growth.points)
    assert laws["products"].exponent == pytest.approx(1.0, abs=0.02)
    assert laws["between"].last == pytest.approx(1.0, abs=0.02)
    assert laws["material"].last == pytest.approx(1.0, abs=0.02)
    assert laws["server_rounds"].last == pytest.approx(1.0 if name == "depth" else 0.0, abs=0.05)
    for p in growth.points:
        assert p.online["wan"] > p.online["lan"] > p.computing > 0
        assert p.online["wan"] > p.depth * 0.020
    if name == "depth" and base is MASKED:
        assert [p.server_rounds for p in growth.points] == [2 * (p.value + 1) - 1 for p in growth.points]
    result = ScaleResult(
        base.engine, RunParameters.of(base, transport="memory", tls=False, network=None), Security.of(base), ("wan",),
        (growth,), MODEL, Machine.here(),
    )  # fmt: skip
    assert schema.problems(json.loads(json.dumps(result.to_json())), schema.SCALE) == ()
