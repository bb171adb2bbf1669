"""The choice of digits and walks meets its target, is the cheapest in reach, and forecasts what a run does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pehealth.crypto.ddlog import failure_probability
from pehealth.crypto.ddlog_jumps import meeting_failure
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.ddh_plan import Split, SplitPlan
from pehealth.errors import RangeError
from pehealth.nets.choose_splits import Layer, Option, Pace, choose, conversion_ways, forecast, options

PACE = Pace(2.2e-6, 0.36e-9, 2.4e-6, 0.36e-9)
SHAPES = (LinearMap((1, 1, 8), 4, (1, 2)), LinearMap.dense(28, 3))


def layer(geometry: LinearMap, weight: int, size: int, seed: int) -> Layer:
    rng = Prg.insecure_seed(seed)
    w = rng.below(geometry.weight_shape, 2 * weight + 1).astype(np.int64) - weight
    return Layer(geometry, w, rng.below((16, geometry.inputs), size).astype(np.int64))


LAYERS = [layer(SHAPES[0], 400, 101, 1), layer(SHAPES[1], 268, 330, 2)]


def wrong_by_hand(layers: list[Layer], plan: SplitPlan) -> float:
    total = 0.0
    for one in layers:
        spec = plan.split(one.geometry)
        left = one.weights
        for _ in range(spec.count):
            digit = (left + spec.base // 2) % spec.base - spec.base // 2
            left = (left - digit) // spec.base
            first = failure_probability(one.geometry.apply(digit, one.inputs), plan.steps(one.geometry)).sum() / 16
            total += first * (meeting_failure(spec.run, spec.jumps) if spec.jumps else 1)
    return total


@pytest.mark.parametrize("target", [0.5, 0.01, 2**-10, 2**-20])
def test_the_forecast_meets_the_target_without_waste(target: float) -> None:
    plan = choose(options(LAYERS, 24, 256, 1), PACE, target)
    told = forecast(LAYERS, plan, 24, 256, 1, PACE)
    assert told.wrong == pytest.approx(wrong_by_hand(LAYERS, plan), rel=1e-9)
    assert target / 4 < told.wrong <= target


def test_no_other_digits_and_walks_in_reach_are_faster() -> None:
    ways = options(LAYERS, 24, 256, 1)
    target = 0.01
    plan = choose(ways, PACE, target)
    best = forecast(LAYERS, plan, 24, 256, 1, PACE).seconds
    others = []
    for chosen in itertools.product(*ways.values()):
        for runs in itertools.product(range(12, 30), repeat=2):
            pairs = list(zip(chosen, runs, strict=True))
            if sum(o.total / 2 ** (w + 1) for o, w in pairs) <= target * 0.99:
                others.append(
                    sum(PACE.product * o.products + PACE.long * o.conversions * 2 ** (w + 1) for o, w in pairs)
                )
    assert best < min(others) * 1.001


def test_a_smaller_target_takes_longer_and_a_batch_takes_its_multiple() -> None:
    seconds = []
    for target in (0.1, 0.01, 0.001):
        plan = choose(options(LAYERS, 24, 256, 1), PACE, target)
        seconds.append(forecast(LAYERS, plan, 24, 256, 1, PACE).seconds)
    assert seconds == sorted(seconds)
    plan = choose(options(LAYERS, 24, 256, 1), PACE, 0.01)
    one, four = (forecast(LAYERS, plan, 24, 256, batch, PACE) for batch in (1, 4))
    assert four.conversions == 4 * one.conversions
    assert four.wrong == pytest.approx(4 * one.wrong)
    assert four.conversion == pytest.approx(4 * one.conversion)
    assert four.exponentiation < 4 * one.exponentiation


def test_jumps_are_planned_where_a_walk_would_be_long_and_nowhere_else() -> None:
    ways = options(LAYERS, 24, 256, 1)
    assert all(not split.jumps for _, split in choose(ways, PACE, 0.01).splits)
    assert all(split.jumps for _, split in choose(ways, PACE, 2**-20).splits)
    without = Pace(PACE.product, PACE.long, 1e9, PACE.short)
    seconds = [forecast(LAYERS, choose(ways, p, 2**-20), 24, 256, 1, PACE).conversion for p in (PACE, without)]
    assert seconds[0] < seconds[1] / 2


def test_no_way_to_convert_is_beaten_by_another_and_each_second_saves_less_than_the_one_before() -> None:
    ways = conversion_ways(PACE)
    seconds, failures = [w.seconds for w in ways], [w.failures for w in ways]
    assert seconds == sorted(seconds)
    assert failures == sorted(failures, reverse=True)
    slopes = [(a.failures - b.failures) / (b.seconds - a.seconds) for a, b in itertools.pairwise(ways)]
    assert slopes == sorted(slopes, reverse=True)
    assert ways[0].run == 8
    assert not any(w.jumps for w in ways if w.seconds < 0.005)


def test_options_carry_every_weight_and_end_with_ternary_digits() -> None:
    for (shape, ways), one in zip(options(LAYERS, 24, 256, 1).items(), LAYERS, strict=True):
        assert shape == one.geometry.weight_shape
        assert [o.count for o in ways] == list(range(1, len(ways) + 1))
        assert ways[-1].base == 3
        for o in ways:
            assert Split(o.base, o.count, 1).largest >= np.abs(one.weights).max()
            assert o.conversions == o.count * one.geometry.outputs


def test_layers_of_one_shape_are_split_alike() -> None:
    twins = [layer(SHAPES[1], 9, 101, 3), layer(SHAPES[1], 900, 101, 4)]
    ways = options(twins, 24, 256, 1)
    assert list(ways) == [SHAPES[1].weight_shape]
    plan = choose(ways, PACE, 0.01)
    assert plan.split(SHAPES[1]).largest >= 900
    assert forecast(twins, plan, 24, 256, 1, PACE).conversions == 2 * plan.split(SHAPES[1]).count * 3


def test_a_target_out_of_reach_is_refused() -> None:
    with pytest.raises(RangeError, match="lower the digits"):
        choose({(1, 1): [Option(3, 1, 1, 1e30, 1.0)]}, PACE, 1e-9)
