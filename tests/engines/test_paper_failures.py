"""Conversions go wrong as often as predicted: exact tests against the chances of the actual values."""

import numpy as np
import pytest

from pehealth.config import GroupName, Party
from pehealth.crypto.ddlog import Walk, failure_probability, predicted_failures, steps
from pehealth.crypto.elgamal import keygen
from pehealth.crypto.groups import group
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines import paper

SIGNIFICANCE = 1e-6


def p_value(chances: np.ndarray, failures: int) -> float:
    """Return twice the smaller tail of the number of failures, exactly: independent trials of unequal chances."""
    chances = chances[chances > 0]
    top = int(chances.sum() + 20 * (chances.sum() + 9) ** 0.5) + failures
    law = np.zeros(top + 2)
    law[0] = 1
    for chance in chances:
        law[1:] += chance * (law[:-1] - law[1:])
        law[0] *= 1 - chance
    return float(2 * min(law[: failures + 1].sum(), law[failures:].sum()))


def test_tails_are_those_of_the_binomial_law() -> None:
    assert p_value(np.full(4, 0.5), 0) == pytest.approx(2 / 16)
    assert p_value(np.full(4, 0.5), 3) == pytest.approx(2 * 5 / 16)
    assert p_value(np.array([0.1, 0.3]), 2) == pytest.approx(2 * 0.03)


def direct(name: GroupName, walk: Walk, values: np.ndarray, seed: int) -> int:
    """Return how many of these values convert wrongly from uniform starts."""
    grp = group(name)
    second = grp.random(Prg.insecure_seed(seed), len(values))
    first = grp.mul(second, grp.fixed_base(2, 32).power(values))
    return int((steps(grp, second, walk) - steps(grp, first, walk) != values).sum())


@pytest.mark.parametrize("value", [1, -1, 7, 60, -500, 3000])
def test_equal_values_of_toy32_fail_as_predicted(value: int) -> None:
    walk, count = Walk(12, 1 << 17), 24_000
    values = np.full(count, value)
    failures = direct(GroupName.TOY32, walk, values, abs(value))
    assert p_value(failure_probability(values, walk), failures) > SIGNIFICANCE


@pytest.mark.slow
def test_long_runs_of_toy32_fail_as_predicted() -> None:
    """At w = 20 a thousand runs are left in the group, and it still behaves as a random one, within 5 %."""
    walk, values = Walk(20, 1 << 26), np.full(3000, 200_000)
    failures = direct(GroupName.TOY32, walk, values, 1)
    assert abs(failures / predicted_failures(values, walk) - 1) < 0.15


@pytest.mark.parametrize("cap", [1 << 10, 1 << 13])
def test_caps_fail_as_predicted(cap: int) -> None:
    walk, values = Walk(11, cap), np.full(6000, 3)
    failures = direct(GroupName.TOY32, walk, values, cap)
    assert p_value(failure_probability(values, walk), failures) > SIGNIFICANCE


def layer_failures(name: GroupName, layer: LinearMap, batch: int, walk: Walk, seed: int) -> tuple[np.ndarray, int, int]:
    """Return the chances of all conversions of one layer, the failures seen, and those seen in <z> alone.

    Key-bit shares are opened one by one: <sk*z> is wrong if any of its conversions is.
    """
    rng = Prg.insecure_seed(seed)
    key = keygen(name, rng)
    weights = rng.below(layer.weight_shape, 19).astype(np.int64) - 9
    x = rng.below((batch, layer.inputs), 10).astype(np.int64)
    models = paper.encrypt(layer, weights, np.zeros(layer.out_channels, np.int64), key, rng, keybits=True)
    pairs = paper.share_inputs(x, key, rng)
    seen: list[np.ndarray] = []
    original = paper.combine_key_bits

    def spy(grp: object, geometry: object, z: np.ndarray, sk_bias: object) -> object:
        seen.append(z)
        return original(grp, geometry, z, sk_bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper, "combine_key_bits", spy)
        halves = [
            paper.linear(layer, m, p, walk, Prg.insecure_seed(7), (seed,), s)[0]
            for m, p, s in zip(models, pairs, (Party.E1, Party.E2), strict=True)
        ]
    z = layer.apply(weights, x)
    wanted = np.stack([bit * z for bit in key.bits])
    wrong = int((halves[0].x + halves[1].x != z).sum())
    wrong_bits = int((seen[0] + seen[1] != wanted).sum())
    chances = failure_probability(np.concatenate([z.reshape(-1), wanted.reshape(-1)]), walk)
    return chances, wrong + wrong_bits, wrong


@pytest.mark.parametrize(
    "layer", [LinearMap((1, 14, 14), 5, (5, 5), (2, 2), (1, 1)), LinearMap.dense(40, 20)], ids=["conv", "dense"]
)
def test_a_layer_of_toy32_fails_as_predicted(layer: LinearMap) -> None:
    chances, failures, _ = layer_failures(GroupName.TOY32, layer, 7 if layer.is_dense else 4, Walk(12, 1 << 18), 5)
    assert chances.size > 4_000
    assert chances.sum() > 20
    assert p_value(chances, failures) > SIGNIFICANCE


@pytest.mark.slow
def test_thirty_thousand_conversions_of_a_convolution_of_toy32_fail_as_predicted() -> None:
    layer = LinearMap((1, 29, 29), 5, (5, 5), (2, 2), (1, 1))
    chances, failures, wrong = layer_failures(GroupName.TOY32, layer, 1, Walk(15, 1 << 21), 6)
    assert chances.size == 31_360
    assert p_value(chances, failures) > SIGNIFICANCE
    assert p_value(chances[:980], wrong) > SIGNIFICANCE


@pytest.mark.slow
def test_a_layer_of_modp1536_fails_as_predicted() -> None:
    """Six thousand conversions through real exponentiations; twenty thousand more from uniform starts."""
    chances, failures, _ = layer_failures(GroupName.MODP1536, LinearMap.dense(3, 6), 6, Walk(12, 1 << 18), 7)
    assert chances.size == 6 * 6 * 181
    assert chances.sum() > 10
    assert p_value(chances, failures) > SIGNIFICANCE
    values, walk = np.full(20_000, -25), Walk(12, 1 << 18)
    failures = direct(GroupName.MODP1536, walk, values, 8)
    assert p_value(failure_probability(values, walk), failures) > SIGNIFICANCE
