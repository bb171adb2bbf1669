"""Additive secret sharing between two servers: mod 2^k, mod q, over the integers, and XOR of packed bits.

Each function returns E1's and E2's share. Mod 2^k, mod q and XOR hide perfectly. Over the integers the share of a
value below 2^bits is uniform below 2^(bits + slack): its distribution is within 2^-slack of one that does not depend
on the value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.linear import Ints
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import reduce
from pehealth.errors import RangeError

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

_INT64_BITS = 62


def share_ring(x: Words, bits: int, rng: Prg) -> tuple[Words, Words]:
    """Return shares of x mod 2^bits."""
    first = rng.ring(x.shape, bits)
    return first, reduce(x - first, bits)


def open_ring(first: Words, second: Words, bits: int) -> Words:
    """Return the value mod 2^bits."""
    return reduce(first + second, bits)


def share_modulo(x: NDArray[np.int64], modulus: int, rng: Prg) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return shares in [0, modulus) of x mod modulus, modulus < 2^62."""
    first = rng.below(x.shape, modulus).astype(np.int64)
    return first, (x % modulus - first) % modulus


def share_integers(x: Ints, bits: int, slack: int, rng: Prg) -> tuple[Ints, Ints]:
    """Return shares whose sum over the integers is x: the first in [0, 2^(bits + slack)), the second x minus it.

    int64 if bits + slack <= 62, else object arrays of gmpy2 integers.

    Raises:
        RangeError: a value is not below 2^bits in size.
    """
    if x.size and max(-int(x.min()), int(x.max())) >= 1 << bits:
        raise RangeError(f"a value of {bits} bits or fewer was expected; a larger one came. Lower the digits")
    if bits + slack <= _INT64_BITS:
        first: Ints = rng.ring(x.shape, bits + slack).astype(np.int64)
    else:
        first = rng.integers(x.size, bits + slack).reshape(x.shape)
    return first, x - first


def share_bits(x: Bytes, rng: Prg) -> tuple[Bytes, Bytes]:
    """Return XOR shares of bits packed eight to a byte."""
    first = np.frombuffer(rng.bytes(x.size), np.uint8).reshape(x.shape)
    return first, x ^ first
