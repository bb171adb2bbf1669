"""Parameter sets of the ring-LWE encryption, and which of them a ring size needs.

R_q = Z_q[x]/(x^N + 1), q a product of primes of exactly 26 bits that are 1 mod 2N. Then the product of two
residues fits a float64 exactly, and 4,096 such products fit a uint64: both are used.

Assumption: decisional ring-LWE [LPR10] in R_q with a ternary key and centred binomial errors of variance eta/2.
For 128 bits (classical) the 2018 standard [HES18] allows 109 bits of q at N = 4096 and 218 at N = 8192, the
guidelines of 2024 [BCC24] 106 and 214; both sets stay below (docs/lattice.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from pehealth.errors import ConfigError

PRIME_BITS = 26


@dataclass(frozen=True)
class LatticeParameters:
    """One parameter set.

    Attributes:
        name: as `--json` and `Parameters.lattice` carry it.
        degree: N, a power of two.
        primes: the factors of q, each 1 mod 2N and of 26 bits.
        eta: the error is a sum of `eta` differences of bits: |e| <= eta, variance eta/2.
    """

    name: str
    degree: int
    primes: tuple[int, ...]
    eta: int = 21

    def __post_init__(self) -> None:
        if self.degree & (self.degree - 1) or self.degree < 1:
            raise ConfigError(f"lattice set {self.name}: the degree is a power of two, not {self.degree}")
        for p in self.primes:
            if p % (2 * self.degree) != 1 or p.bit_length() != PRIME_BITS:
                raise ConfigError(
                    f"lattice set {self.name}: a prime is 1 mod {2 * self.degree} and has {PRIME_BITS} bits; {p} is not"
                )

    @cached_property
    def modulus(self) -> int:
        """The modulus q."""
        return math.prod(self.primes)

    @property
    def bits(self) -> int:
        """Bits that a coefficient mod q takes: 26 a prime."""
        return PRIME_BITS * len(self.primes)

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """A primitive 2N-th root of unity of each prime: the one that the least base gives."""
        return tuple(_root(p, self.degree) for p in self.primes)


def _root(p: int, degree: int) -> int:
    candidates = (pow(base, (p - 1) // (2 * degree), p) for base in range(2, p))
    return next(r for r in candidates if pow(r, degree, p) == p - 1)


N4096 = LatticeParameters("n4096-q104", 4096, (67084289, 67043329, 66994177, 66969601))
"""For k up to 48, as far as the noise allows (`noise.supported`)."""

N8192 = LatticeParameters("n8192-q156", 8192, (67043329, 66994177, 66961409, 66813953, 66551809, 66420737))
"""For k up to 64: 156 of the 214 bits allowed; two more primes would buy nothing but bytes."""

PARAMETER_SETS = {p.name: p for p in (N4096, N8192)}


def parameter_set(name: str) -> LatticeParameters:
    """Return the set called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in PARAMETER_SETS:
        raise ConfigError(f"there is no lattice set {name!r}; known: {', '.join(PARAMETER_SETS)}")
    return PARAMETER_SETS[name]
