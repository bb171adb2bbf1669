"""How far shares of U = W * R can be from W * R mod 2^k, and which ring a parameter set can carry.

A ciphertext encrypts m = round(q w / 2^k) = q w / 2^k + theta, |theta| <= 1/2 and 0 where w = 0. A server's
U_b is c_b 2^k / q rounded to the nearest integer, where c_1 + c_2 = sum_i (m_i + e_i) R_i mod q, R_i the centred
mask, n = `terms` of them (all mask elements of the polynomial, not the window's alone: e_i is never 0). A
multiple of q in the sum becomes a multiple of 2^k. So before rounding the shares add up to W * R + delta mod 2^k,

    delta = (2^k / q) sum_i eps_i R_i,    eps_i = e_i + theta_i,    |delta| <= n 2^(k-1) (eta + 1/2) 2^k / q.

The unrounded share of E1 is uniform modulo 1 up to steps of 2^k / q. Rounding both shares changes their sum by
an integer minus delta: by 0 or, with probability |delta| if |delta| < 1, by one unit towards delta's sign; never
by two while |delta| < 1.

Mean. R + 1/2 is a sum of k independent signs times 2^(j-1), j < k: mean 0, variance (4^k - 1)/12; e has mean 0 and
variance eta/2. Hence E|delta| <= sqrt(E delta^2) = `error_probability`, over R and e, for every output.

Tail. A sum of independent signs with coefficients a_j is sub-Gaussian with its own variance, since
cosh(t) <= exp(t^2/2). This holds for R + 1/2, and for e with variance eta/2, so [HKZ12] P(sum e_i^2 > (eta/2)
(n + 2 sqrt(n t) + 2t)) <= exp(-t). With the cross term 2 sum theta_i e_i (same kind, variance at most eta n / 2)
and sum theta_i^2 <= n/4 this bounds |eps|^2, and given eps P(|delta| >= 1) <= 2 exp(-1 / (2 v)),
v = (2^k/q)^2 (4^k/12) |eps|^2. `excess_probability` adds the three. (The shift by -1/2 moves delta by at most
(2^k/q) n (eta + 1/2) / 2, a part 2^-k of the bound above.)
"""

from __future__ import annotations

import math

from pehealth.crypto.lattice.parameters import PARAMETER_SETS, LatticeParameters
from pehealth.errors import ConfigError

EXCESS = 2.0**-32
"""Greatest probability allowed, an output, that the shares are off by more than one unit."""


def worst_error(parameters: LatticeParameters, ring: int, terms: int) -> float:
    """Return the bound on |delta| that holds with certainty."""
    return terms * (parameters.eta + 0.5) * 2.0 ** (2 * ring - 1) / parameters.modulus


def error_probability(parameters: LatticeParameters, ring: int, terms: int) -> float:
    """Return a bound on P(U_1 + U_2 != W * R mod 2^k) of one output, over the mask and the key's errors."""
    second = (4.0**ring + 2) / 12 * (parameters.eta / 2 + 0.25) + terms / 16
    return min(1.0, 2.0**ring * math.sqrt(terms * second) / parameters.modulus)


def excess_probability(parameters: LatticeParameters, ring: int, terms: int) -> float:
    """Return a bound on P(|U_1 + U_2 - W * R| > 1) of one output; 0 where it cannot happen."""
    if worst_error(parameters, ring, terms) < 1:
        return 0.0
    variance, t = parameters.eta / 2, -math.log(EXCESS / 8)
    squares = variance * (terms + 2 * math.sqrt(terms * t) + 2 * t)
    cross = 2 * math.sqrt(2 * t * variance * terms / 4)
    norm = squares + cross + terms / 4
    proxy = (2.0 ** (2 * ring) / parameters.modulus) ** 2 / 12 * norm
    return min(1.0, 2 * math.exp(-t) + 2 * math.exp(-1 / (2 * proxy)))


def supported(parameters: LatticeParameters, ring: int, terms: int) -> bool:
    """True if shares over Z_{2^ring} are off by one unit at most, but for a probability of 2^-32 an output."""
    return excess_probability(parameters, ring, terms) <= EXCESS


def require_supported(parameters: LatticeParameters, ring: int, terms: int, layer: str) -> None:
    """Accept, or refuse by name.

    Raises:
        ConfigError: the set's noise is too large for the ring and the layer.
    """
    if supported(parameters, ring, terms):
        return
    others = [p.name for p in PARAMETER_SETS.values() if supported(p, ring, terms)]
    remedy = f"take lattice {others[0]}" if others else "take a smaller ring"
    raise ConfigError(
        f"{layer}: lattice {parameters.name} cannot carry a ring of {ring} bits over {terms} terms (error up to "
        f"2^{math.log2(worst_error(parameters, ring, terms)):.0f} units); {remedy}"
    )


def choose(ring: int, terms: int) -> LatticeParameters:
    """Return the smallest set that supports the ring and the greatest number of terms of any layer.

    Raises:
        ConfigError: none does.
    """
    for parameters in PARAMETER_SETS.values():
        if supported(parameters, ring, terms):
            return parameters
    raise ConfigError(f"no lattice set carries a ring of {ring} bits over {terms} terms: take a smaller ring")
