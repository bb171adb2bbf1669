"""The bounds on the rounding error: formulas, what they allow, and the error they predict."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pehealth.crypto.lattice.evaluate import load, multiply
from pehealth.crypto.lattice.noise import (
    EXCESS,
    choose,
    error_probability,
    excess_probability,
    require_supported,
    supported,
    worst_error,
)
from pehealth.crypto.lattice.packing import pack_layer
from pehealth.crypto.lattice.parameters import N4096, N8192, LatticeParameters
from pehealth.crypto.lattice.rlwe import deal_share, encrypt, expand_share, key_values, keygen, server_order
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.errors import ConfigError

TOY = LatticeParameters("toy", 256, N4096.primes)
"""The noise of the small set at a size of no security: for tests of the error alone."""


def test_bounds_are_those_of_the_derivation() -> None:
    assert math.log2(worst_error(N4096, 40, 845)) == pytest.approx(-10.84, abs=0.01)
    assert math.log2(error_probability(N4096, 40, 845)) == pytest.approx(-19.2, abs=0.05)
    assert math.log2(error_probability(N8192, 64, 1000)) < -22


def test_an_excess_is_impossible_where_the_worst_case_is_below_one() -> None:
    assert worst_error(N4096, 48, 23) < 1 < worst_error(N4096, 48, 24)
    assert excess_probability(N4096, 48, 23) == 0
    assert 0 < excess_probability(N4096, 48, 24) < EXCESS


@pytest.mark.parametrize(("ring", "terms", "small", "large"), [
    (32, 50_000, True, True),
    (40, 50_000, True, True),
    (47, 8_000, True, True),
    (48, 1_000, True, True),
    (48, 4_096, False, True),
    (52, 845, False, True),
    (64, 1, False, True),
    (64, 8_192, False, True),
])  # fmt: skip
def test_sets_carry_what_they_should(ring: int, terms: int, small: bool, large: bool) -> None:
    assert supported(N4096, ring, terms) is small
    assert supported(N8192, ring, terms) is large
    assert choose(ring, terms) is (N4096 if small else N8192)


def test_refusal_names_set_layer_ring_and_remedy() -> None:
    with pytest.raises(ConfigError, match=r"2\.dense.*n4096-q104.*64 bits over 845 terms.*take lattice n8192-q156"):
        require_supported(N4096, 64, 845, "2.dense")
    with pytest.raises(ConfigError, match="smaller ring"):
        require_supported(LatticeParameters("thin", 4096, N4096.primes[:2]), 64, 2**60, "1.dense")
    with pytest.raises(ConfigError, match="no lattice set carries a ring of 64 bits"):
        choose(64, 2**60)


def deviations(ring: int, layer: LinearMap, samples: int, seed: int) -> np.ndarray:
    """U_1 + U_2 - W * R, centred, over many masks."""
    rng, seed1 = Prg.insecure_seed(seed), Prg.insecure_seed(seed + 1)
    packing, key = pack_layer(layer, TOY.degree), keygen(TOY, rng)
    weights = rng.ring(layer.weight_shape, 15).astype(np.int64) - (1 << 14)
    ciphertexts = load(TOY, packing, *encrypt(TOY, packing, weights, ring, key, rng))
    shift = np.int64(64 - ring)
    mask = rng.words64((samples, layer.inputs)).view(np.int64) >> shift
    values = key_values(TOY, key)[:, server_order(TOY, packing.size).positions]
    first = expand_share(TOY, packing, samples, seed1)
    shares = first, deal_share(TOY, packing, mask, values, first)
    total = sum(multiply(ciphertexts, share, ring) for share in shares) - layer.apply(weights, mask).view(np.uint64)
    return (total << shift.view(np.uint64)).view(np.int64) >> shift


@pytest.mark.slow
@pytest.mark.parametrize(("ring", "layer"), [
    (48, LinearMap.dense(200, 20)),
    (47, LinearMap.dense(200, 20)),
    (47, LinearMap((2, 6, 6), 4, (3, 3), (1, 1), (1, 1))),
])  # fmt: skip
def test_error_rate_is_just_below_its_bound_and_never_two_units(ring: int, layer: LinearMap) -> None:
    """Over 40,000 outputs and more. The mean of |delta| is sqrt(2/pi) = 0.8 of its root mean square, the bound;
    the errors of one key are fixed, so the rate of one run strays from that by several per cent."""
    off = np.concatenate([deviations(ring, layer, 500, seed) for seed in (1, 2, 3, 4)]).reshape(-1)
    assert abs(off).max() == 1
    bound = error_probability(TOY, ring, pack_layer(layer, TOY.degree).terms)
    rate = float((off != 0).mean())
    assert 0.6 * bound < rate < bound
    # errors to both sides balance: the count of +1 is binomial with p = 1/2
    ups, both = int((off == 1).sum()), int((off != 0).sum())
    assert abs(ups - both / 2) < 0.1 * both + 3 * math.sqrt(both)


def test_at_40_bits_no_error_shows_in_a_hundred_thousand_outputs() -> None:
    """The bound says 2^-20.5 an output at 200 terms: 0.05 errors expected."""
    assert not deviations(40, LinearMap.dense(200, 20), 5000, 9).any()
