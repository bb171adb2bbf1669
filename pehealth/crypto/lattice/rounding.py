"""Between Z_{2^k} and Z_q: weights scaled up by q/2^k, products scaled down, both rounded exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.lattice.parameters import LatticeParameters
from pehealth.crypto.lattice.residues import Words, column, compose, reduce

_DIGIT = 32
_DIGITS = 3


def encode(values: NDArray[np.int64], ring: int, parameters: LatticeParameters) -> Words:
    """Return round(q v / 2^k) mod q of signed values: the message of a ciphertext.

    With r = the centred q v mod 2^k, the rounded quotient is (q v - r) / 2^k; q vanishes modulo each prime,
    so it is -r / 2^k there, and only the low 64 bits of q v are ever computed.

    Shapes:  values (shape), |v| < 2^(k-1) -> (primes, *shape)
    """
    shift = np.uint64(64 - ring)
    low = values.astype(np.int64).view(np.uint64) * np.uint64(parameters.modulus & ((1 << 64) - 1))
    rest = (low << shift).view(np.int64) >> np.int64(64 - ring)
    out = np.empty((len(parameters.primes), *values.shape), np.uint64)
    for row, p in zip(out, parameters.primes, strict=True):
        row[...] = (rest % np.int64(p)).view(np.uint64) * np.uint64(p - pow(1 << ring, -1, p)) % np.uint64(p)
    return out


def round_to_ring(values: Words, ring: int, parameters: LatticeParameters) -> Words:
    """Return floor(2^k c / q + 1/2) mod 2^k of elements c of Z_q, exactly.

    c/q = sum_j y_j / p_j mod 1 with y_j = c (q/p_j)^-1 mod p_j. Each fraction is taken to 96 bits, rounded
    down, so the sum t is too small by less than one unit of 2^-96 a prime. That can only matter where the bits
    of t + 2^-(k+1) below 2^-k are all ones down to those last units; there (once in 2^29 values at k = 64,
    hardly ever below) c itself is composed and rounded in Python integers.

    Shapes:  values (primes, *shape) in [0, p) -> (*shape,)
    """
    digits = _fractions(values, parameters)
    carry = digits[2] >> np.uint64(_DIGIT)
    high = (digits[0] << np.uint64(_DIGIT)) + digits[1] + carry
    low = digits[2] & np.uint64((1 << _DIGIT) - 1)
    if ring == 64:
        low += np.uint64(1 << (_DIGIT - 1))
        high += low >> np.uint64(_DIGIT)
        low &= np.uint64((1 << _DIGIT) - 1)
    else:
        high += np.uint64(1 << (63 - ring))
    out = high >> np.uint64(64 - ring)
    below = np.uint64((1 << (64 - ring)) - 1)
    doubtful = ((high & below) == below) & (low >= np.uint64((1 << _DIGIT) - len(parameters.primes)))
    if doubtful.any():
        exact = compose(values[:, doubtful], parameters.primes)
        q = parameters.modulus
        out[doubtful] = ((2 * exact << ring) + q) // (2 * q) % (1 << ring)
    return out


def _fractions(values: Words, parameters: LatticeParameters) -> list[Words]:
    """Return the sums over the primes of the three 32-bit digits of y_j / p_j (each below 2^32 a prime)."""
    q = parameters.modulus
    inverses = np.array([pow(q // p, -1, p) for p in parameters.primes], np.uint64)
    rest = reduce(values * inverses.reshape(-1, *[1] * (values.ndim - 1)), parameters.primes)
    primes = column(parameters.primes, values.ndim)
    digits = []
    for _ in range(_DIGITS):
        shifted = rest << np.uint64(_DIGIT)
        rest = reduce(shifted, parameters.primes)
        digits.append(((shifted - rest) // primes).sum(axis=0, dtype=np.uint64))
    return digits
