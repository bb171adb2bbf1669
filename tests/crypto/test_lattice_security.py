"""The parameter sets against the primal attack: a check of the tables, not a substitute for them."""

from __future__ import annotations

import math

import pytest

from pehealth.crypto.lattice.parameters import N4096, N8192, LatticeParameters


def primal_attack_bits(degree: int, modulus_bits: float, error: float, key: float) -> float:
    """Return log2 of the classical cost of solving LWE by the primal attack, key rescaled to the error's size.

    The attack works with block size beta once sqrt(beta) sigma <= delta^(2 beta - d - 1) Vol^(1/d) [ADPS16], in the
    lattice of dimension d = m + n + 1 and volume q^m (sigma_e/sigma_s)^n [BG14]. BKZ costs 8 d sieves of
    2^(0.292 beta + 16.4) [BDGL16]. Hybrid and dual attacks may be a few bits quicker.
    """

    def works(beta: int) -> int:
        delta = ((math.pi * beta) ** (1 / beta) * beta / (2 * math.pi * math.e)) ** (1 / (2 * (beta - 1)))
        for m in range(degree // 4, 2 * degree, degree // 64):
            d = m + degree + 1
            volume = (m * modulus_bits + degree * math.log2(error / key)) / d
            if math.log2(math.sqrt(beta) * error) <= math.log2(delta) * (2 * beta - d - 1) + volume:
                return d
        return 0

    beta = next(b for b in range(100, 2000) if works(b))
    return 0.292 * beta + 16.4 + math.log2(8 * works(beta))


@pytest.mark.parametrize(("degree", "limit"), [(4096, 109), (8192, 218)])
def test_the_estimate_agrees_with_the_standard_at_its_limits(degree: int, limit: int) -> None:
    """The 2018 standard's greatest q for 128 bits comes out at 128 bits, to within half a bit."""
    assert primal_attack_bits(degree, limit, 3.19, math.sqrt(2 / 3)) == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize(("parameters", "bits"), [(N4096, 134), (N8192, 186)], ids=("n4096", "n8192"))
def test_sets_are_above_128_bits(parameters: LatticeParameters, bits: int) -> None:
    error, key = math.sqrt(parameters.eta / 2), math.sqrt(2 / 3)
    assert math.floor(primal_attack_bits(parameters.degree, math.log2(parameters.modulus), error, key)) == bits
