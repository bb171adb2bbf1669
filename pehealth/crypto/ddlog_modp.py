"""The walk of the RFC 3526 groups: the expansion of h/p in chunks, then a search for the run of zeros.

floor(h 2^L / p) comes from one product with a stored reciprocal of p instead of a division; 64 guard bits tell when
the product might be off by one, and a division decides then. The search looks for whole zero bytes; runs under 15
bits, which need not hold one, are searched in the text of the binary digits, slower and as exact.
"""

from __future__ import annotations

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from pehealth.crypto.groups import Elements, ModpGroup

_GUARD = 64
_HEADER = 2
"""Bytes that gmpy2 puts before the little endian digits of an integer."""

_MIN_CHUNK = 1 << 13
_MAX_CHUNK = 1 << 18
"""Chunks are an eighth of the mean walk, so that little is computed past the end, within what fits a cache."""


class Expansion:
    """Digits of h/p, `bits` at a time.

    The reciprocal R = floor(2^(bits + guard + n) / p) gives h R / 2^n, less than one below h 2^(bits+guard) / p; so the
    digits are right unless all guard bits of the product are ones.
    """

    def __init__(self, p: mpz, bits: int) -> None:
        self.bits = bits
        self.p = p
        self._n = p.bit_length()
        self._reciprocal = (mpz(1) << (bits + _GUARD + self._n)) // p

    def digits(self, h: mpz) -> mpz:
        """Return floor(h * 2^bits / p)."""
        long = (h * self._reciprocal) >> self._n
        guard = mpz(1) << _GUARD
        if (long + 1) % guard == 0:
            return (h << self.bits) // self.p
        return long >> _GUARD


def first_run(digits: mpz, bits: int, run: int) -> int:
    """Return the first i with digits i .. i + run - 1 zero, counted from the top of `bits` digits; -1 if none."""
    return _run_in_bytes(digits, bits, run) if run >= 15 else _run_in_text(digits, bits, run)


def _run_in_text(digits: mpz, bits: int, run: int) -> int:
    text: str = digits.digits(2)
    return text.zfill(bits).find("0" * run)


def _run_in_bytes(digits: mpz, bits: int, run: int) -> int:
    """Find each stretch of whole zero bytes from the top down, then add the zero bits on both sides of it."""
    size = bits // 8
    data = gmpy2.to_binary(digits)[_HEADER:].ljust(size, b"\0")
    pattern = bytes((run - 7) // 8)
    start, end = _stretch_below(data, pattern, size)
    while start >= 0:
        before = _trailing_zeros(data[end]) if end < size else 0
        after = 8 - data[start - 1].bit_length() if start else 0
        if before + 8 * (end - start) + after >= run:
            return 8 * (size - end) - before
        start, end = _stretch_below(data, pattern, start)
    return -1


def _stretch_below(data: bytes, pattern: bytes, top: int) -> tuple[int, int]:
    """Return (start, end) of the topmost stretch of zero bytes that holds the pattern; start < 0 if there is none."""
    start = data.rfind(pattern, 0, top)
    end = start + len(pattern)
    while start > 0 and not data[start - 1]:
        start -= 1
    return start, end


def _trailing_zeros(byte: int) -> int:
    return (byte & -byte).bit_length() - 1


def modp_steps(group: ModpGroup, starts: Elements, run: int, cap: int, chunk: int | None = None) -> NDArray[np.int64]:
    """Return the steps of each start (n,) to its first run of `run` zeros, at most `cap`.

    `chunk` is the digits computed at a time, a multiple of 8 above `run`; it changes the time, never the result.
    """
    p = group.modulus
    bits = chunk or min(max(1 << max(run - 2, 0), _MIN_CHUNK), _MAX_CHUNK)
    expansion = Expansion(p, bits)
    stride = bits - run + 1
    forward = gmpy2.powmod(2, stride, p)
    return np.array([_walk(expansion, mpz(h), run, cap, stride, forward) for h in starts], np.int64)


def _walk(expansion: Expansion, h: mpz, run: int, cap: int, stride: int, forward: mpz) -> int:
    """Chunks overlap by run - 1 digits, so each run lies wholly in the chunk that holds its start."""
    done = 0
    while done < cap:
        at = first_run(expansion.digits(h), expansion.bits, run)
        if at >= 0:
            return min(done + at, cap)
        h = h * forward % expansion.p
        done += stride
    return cap
