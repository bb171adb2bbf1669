"""Arithmetic mod 2^k on uint64 arrays, k <= 64: masks, signed views, exact matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.linear import LinearMap

Words = NDArray[np.uint64]

_FLOAT_BITS = 53
_MIN_LIMB_SIDE = 64
"""With fewer rows or columns, or more than two limbs, numpy's word product is as fast as BLAS on limbs."""


def mask(bits: int) -> np.uint64:
    """Return 2^bits - 1."""
    return np.uint64((1 << bits) - 1)


def reduce(x: Words, bits: int) -> Words:
    """Return x mod 2^bits as a new array."""
    return x & mask(bits)


def to_signed(x: Words, bits: int) -> NDArray[np.int64]:
    """Return the centred representatives, in [-2^(bits-1), 2^(bits-1)); bits above `bits` are ignored."""
    up = 64 - bits
    return (x << np.uint64(up)).view(np.int64) >> np.int64(up)


def from_signed(x: NDArray[np.int64], bits: int) -> Words:
    """Return x mod 2^bits; the caller has checked the range where that matters."""
    return reduce(np.ascontiguousarray(x).view(np.uint64), bits)


def matmul(a: Words, b: Words, bits: int) -> Words:
    """Return a @ b mod 2^bits, exact: by words, or where it is faster by limbs in float64 BLAS.

    Shapes:  a (n, f), b (f, m) -> (n, m)
    """
    if min(len(a), b.shape[1]) >= _MIN_LIMB_SIDE and limb_width(a.shape[1], bits)[1] <= 2:
        return limb_matmul(a, b, bits)
    return reduce(a @ b, bits)


def limb_matmul(a: Words, b: Words, bits: int) -> Words:
    """Return a @ b mod 2^bits through float64 products of limbs, so narrow that every sum is below 2^53."""
    width, count = limb_width(a.shape[1], bits)
    left, right = _limbs(a, width, count), _limbs(b, width, count)
    out = np.zeros((len(a), b.shape[1]), np.uint64)
    for level in range(count):
        total = sum(left[i] @ right[level - i] for i in range(level + 1))
        out += np.asarray(total).astype(np.uint64) << np.uint64(width * level)
    return reduce(out, bits)


def limb_width(fan_in: int, bits: int) -> tuple[int, int]:
    """Return (bits of a limb, limbs): the fewest limbs of which `fan_in * limbs` products add up below 2^53."""
    for count in range(1, bits + 1):
        width = -(-bits // count)
        if 2 * width + (fan_in * count - 1).bit_length() <= _FLOAT_BITS:
            return width, count
    raise ValueError(f"a fan-in of {fan_in} leaves no room for limbs")


def _limbs(x: Words, width: int, count: int) -> list[NDArray[np.float64]]:
    return [((x >> np.uint64(width * i)) & mask(width)).astype(np.float64) for i in range(count)]


def apply(layer: LinearMap, weights: Words, x: Words, bits: int) -> Words:
    """Return W * x mod 2^bits: `LinearMap.apply` by the faster product.

    Shapes:  weights (out_channels, fan_in), x (batch, inputs) -> (batch, outputs)
    """
    terms = layer.columns(x).reshape(-1, layer.fan_in)
    out = matmul(terms, weights.T, bits).reshape(len(x), layer.positions, layer.out_channels)
    return np.ascontiguousarray(out.swapaxes(1, 2)).reshape(len(x), layer.outputs)
