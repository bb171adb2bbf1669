"""Conversions of the engine go wrong as often as the plan says: exact tests against the chances of their values."""

from __future__ import annotations

import numpy as np
import pytest

from pehealth.config import GroupName
from pehealth.crypto.ddlog import failure_probability
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.crypto.signed_digits import split
from pehealth.engines.ddh import DdhEngine
from pehealth.engines.ddh_plan import Split, SplitPlan
from pehealth.engines.interface import deal_mask, from_ring, ring_mask, to_ring

RING = 32
SIGNIFICANCE = 1e-6


def p_value(chances: np.ndarray, failures: int) -> float:
    """Return twice the smaller tail of the number of failures, exactly: independent trials of unequal chances."""
    law = np.zeros(int(chances.sum() + 30 * (chances.sum() + 9) ** 0.5) + failures + 2)
    law[0] = 1
    for chance in chances[chances > 0]:
        law[1:] += chance * (law[:-1] - law[1:])
        law[0] *= 1 - chance
    return float(2 * min(law[: failures + 1].sum(), law[failures:].sum()))


def failures(layer: LinearMap, batch: int, spec: Split, seed: int) -> tuple[np.ndarray, int]:
    """Return the chances of all outputs, and how many were wrong; an output is wrong if any of its digits is."""
    eng = DdhEngine(RING, GroupName.MODP1536, SplitPlan.of({layer.weight_shape: spec}, 16))
    rng, seed1 = Prg.insecure_seed(seed), Prg.insecure_seed(seed + 1)
    w = rng.below(layer.weight_shape, 2 * spec.largest + 1).astype(np.int64) - spec.largest
    y = rng.below((batch, layer.inputs), 9).astype(np.int64)
    key = eng.keygen(rng)
    models = [eng.load(layer, m) for m in eng.encrypt(layer, w, np.zeros(layer.out_channels, np.int64), key, rng)]
    mask, _ = deal_mask(layer, batch, RING, seed1, rng)
    second = eng.deal(layer, mask, eng.load_secret(layer, eng.secret(layer, w, key)), seed1)
    materials = eng.expand(layer, batch, seed1), second
    y_masked = (to_ring(y, RING) + mask) & ring_mask(RING)
    shares = [
        eng.linear(layer, y_masked, eng.prepare(layer, m, t, Prg.insecure_seed(seed + 2)))
        for m, t in zip(models, materials, strict=True)
    ]
    wrong = from_ring((shares[0] + shares[1]) & ring_mask(RING), RING) != layer.apply(w, y)
    right = np.ones((batch, layer.outputs))
    for digits in split(w, spec.base, spec.count):
        right *= 1 - failure_probability(layer.apply(digits, y), eng.plan.steps(layer))
    return 1 - right.reshape(-1), int(wrong.sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "batch", "spec"),
    [
        (LinearMap((1, 9, 9), 4, (3, 3), (1, 1), (1, 1)), 4, Split(7, 2, 10)),
        (LinearMap.dense(12, 20), 30, Split(11, 1, 9)),
    ],
    ids=["conv", "dense"],
)
def test_outputs_are_wrong_as_often_as_forecast(layer: LinearMap, batch: int, spec: Split) -> None:
    chances, wrong = failures(layer, batch, spec, seed=3)
    assert chances.size >= 600
    assert chances.sum() > 10
    assert p_value(chances, wrong) > SIGNIFICANCE
