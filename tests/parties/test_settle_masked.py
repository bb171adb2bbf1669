"""Ring widths: as few bits as the bounds allow, one more where differences are compared, a margin for the gate."""

from __future__ import annotations

import pytest

from parties.request import RunRequest
from parties.settle_masked import settle_masked, spare_bits, with_gate_margin
from pehealth.config import Engine
from pehealth.errors import RangeError
from pehealth.nets.bounds import value_bounds
from pehealth.nets.scales import Arithmetic
from pehealth.nets.stages import ReluStage, stages
from pehealth.nets.zoo import NAMES, load_model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", [Engine.DEALT, Engine.RLWE])
def test_every_reference_network_fits_forty_bits(name, engine):
    model = load_model(name)
    quantised, plan = settle_masked(RunRequest(net=name, engine=engine), model, None)
    assert plan.parameters.ring <= 40
    bounds = value_bounds(quantised, slack=int(engine is Engine.RLWE))
    inputs = {b.layer.index + 1: b for b in bounds}
    for stage in stages(model.network, plan.parameters):
        if isinstance(stage, ReluStage) and stage.placed.index in inputs:
            low, high = stage.gate.span
            assert low <= inputs[stage.placed.index].low
            assert inputs[stage.placed.index].high < high


def test_the_class_alone_and_max_pools_need_a_bit_for_differences():
    flat, pooled = load_model("cryptonets").network, load_model("postop-a").network
    assert spare_bits(flat, RunRequest(engine=Engine.RLWE)) == 0
    assert spare_bits(flat, RunRequest(engine=Engine.RLWE, reveal="class")) == 1
    assert spare_bits(pooled, RunRequest(engine=Engine.RLWE)) == 1


def test_a_relus_input_is_widened_by_its_divisor():
    model = load_model("clinic").quantise(4, Arithmetic.MASKED)
    bounds = value_bounds(model)
    wide = with_gate_margin(bounds, model)
    assert (wide[0].low, wide[0].high) == (bounds[0].low - 10**4, bounds[0].high + 10**4)
    assert wide[1:] == bounds[1:]


def test_a_forced_ring_that_is_too_narrow_names_the_layer():
    with pytest.raises(RangeError, match=r"3\.dense"):
        settle_masked(RunRequest(net="cryptonets", engine=Engine.DEALT, ring=32), load_model("cryptonets"), None)
