"""Arithmetic mod 2^k on uint64 arrays, k <= 64: masks, signed views, exact matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def mask(bits: int) -> np.uint64:
    """Return 2^bits - 1."""
    return np.uint64((1 << bits) - 1)


def reduce(x: Words, bits: int) -> Words:
    """Return x mod 2^bits as a new array."""
    return x & mask(bits)


def to_signed(x: Words, bits: int) -> NDArray[np.int64]:
    """Return the centred representatives, in [-2^(bits-1), 2^(bits-1)); bits above `bits` are ignored."""
    up = np.uint64(64 - bits)
    return (x << up).view(np.int64) >> np.int64(64 - bits)


def from_signed(x: NDArray[np.int64], bits: int) -> Words:
    """Return x mod 2^bits; the caller has checked the range where that matters."""
    return reduce(np.ascontiguousarray(x).view(np.uint64), bits)
