"""Elements of Z_q as residues: uint64 arrays whose first axis is the prime; and the same as packed words.

Where a modulus is subtracted after a division, the division is by one prime at a time: numpy divides an array
by a scalar with vector instructions, but not by another array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.lattice.parameters import PRIME_BITS
from pehealth.crypto.prg import Prg

Words = NDArray[np.uint64]
Primes = tuple[int, ...]


def column(primes: Primes, ndim: int) -> Words:
    """Return the primes shaped to broadcast over arrays of `ndim` dimensions whose first axis is the prime."""
    return np.array(primes, np.uint64).reshape(-1, *[1] * (ndim - 1))


def residues(values: NDArray[np.int64], primes: Primes) -> Words:
    """Return signed integers (shape) modulo each prime: (primes, *shape)."""
    return np.stack([values % np.int64(p) for p in primes]).view(np.uint64)


def reduce(words: Words, primes: Primes) -> Words:
    """Return words (primes, ...), each below 2^64, modulo the primes."""
    out = np.empty_like(words)
    for x, y, p in zip(words, out, np.array(primes, np.uint64), strict=True):
        np.floor_divide(x, p, out=y)
        y *= p
        np.subtract(x, y, out=y)
    return out


def subtract(x: Words, y: Words, primes: Primes) -> Words:
    """Return x - y modulo the primes; both in [0, p)."""
    out = x - y
    # a negative difference is close to 2^64, so the sum with p, which wraps, is the smaller one
    wrapped: Words = np.minimum(out, out + column(primes, out.ndim))
    return wrapped


def uniform(prg: Prg, shape: tuple[int, ...], primes: Primes) -> Words:
    """Return uniform residues (primes, *shape), by rejection: exactly uniform, 32 bits of stream a try."""
    out = np.empty((len(primes), *shape), np.uint64)
    for row, p in zip(out.reshape(len(primes), -1), primes, strict=True):
        row[:] = _draw(prg, row.size)
        while (bad := np.flatnonzero(row >= np.uint64(p))).size:
            row[bad] = _draw(prg, bad.size)
    return out


def _draw(prg: Prg, count: int) -> NDArray[np.uint32]:
    words: NDArray[np.uint32] = np.frombuffer(prg.bytes(4 * count), "<u4").astype(np.uint32, copy=False)
    return words >> np.uint32(32 - PRIME_BITS)


def word_bits(count: int) -> tuple[int, ...]:
    """Return the widths of the words that hold one coefficient of `count` residues: whole bytes, for speed."""
    full, rest = divmod(PRIME_BITS * count, 64)
    return (64,) * full + ((rest + 7) // 8 * 8,) * bool(rest)


def to_words(res: Words) -> list[Words]:
    """Return residues (primes, *shape) end to end as words of `word_bits`, each of the shape."""
    out: list[Words] = [np.zeros(res.shape[1:], np.uint64) for _ in word_bits(len(res))]
    for j, r in enumerate(res):
        index, shift = divmod(PRIME_BITS * j, 64)
        out[index] |= r << np.uint64(shift)
        if shift + PRIME_BITS > 64:
            out[index + 1] |= r >> np.uint64(64 - shift)
    return out


def from_words(words: list[Words], primes: Primes) -> Words:
    """Return the residues that `to_words` packed, reduced: a peer may have sent a word that is none."""
    out = np.empty((len(primes), *words[0].shape), np.uint64)
    mask = np.uint64((1 << PRIME_BITS) - 1)
    for j, row in enumerate(out):
        index, shift = divmod(PRIME_BITS * j, 64)
        np.right_shift(words[index], np.uint64(shift), out=row)
        if shift + PRIME_BITS > 64:
            row |= words[index + 1] << np.uint64(64 - shift)
        row &= mask
    # below 2^26 < 2p: one subtraction reduces
    reduced: Words = np.minimum(out, out - column(primes, out.ndim))
    return reduced


def compose(res: NDArray[Any], primes: Primes) -> NDArray[Any]:
    """Return residues (primes, *shape) as Python integers in [0, q): slow, for exact fallbacks and tests."""
    q = 1
    for p in primes:
        q *= p
    terms = (r.astype(object) * (q // p * pow(q // p, -1, p)) for r, p in zip(res, primes, strict=True))
    total: NDArray[Any] = sum(terms, np.zeros(res.shape[1:], object))
    return total % q
