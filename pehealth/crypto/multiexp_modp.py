"""Products of powers modulo an RFC 3526 prime, by the cheaper of two methods for the case at hand.

Windows: each base has a table of its small odd powers, and all bases share one chain of squarings [Str64]. Tables
are made once a base and serve every row of exponents, so this wins where bases are reused (the positions of a
convolution) or few. Buckets: in each window of c bits the bases with the same digit are multiplied together first,
then the 2^c buckets are combined by running products [Pip76]; no tables, so this wins for long dense rows.

Positive and negative exponents go into a numerator and a denominator: an inversion an output, if both occur.
Time depends on the exponents, which are one-time shares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import gmpy2
from gmpy2 import mpz

from pehealth.crypto.groups import Elements
from pehealth.crypto.linear import Ints

WIDTHS = range(1, 12)


@dataclass(frozen=True)
class Method:
    """How products are computed.

    Attributes:
        buckets: by buckets, else by windows with tables.
        width: bits of a window or of a bucket's digit.
        products: modular products (squarings included) a row of bases, for all its uses; in expectation.
    """

    buckets: bool
    width: int
    products: float


def cheapest(bits: int, terms: int, uses: int) -> Method:
    """Return the method with the fewest products for `terms` bases under `uses` rows of exponents of `bits` bits."""
    windows = (Method(False, w, _window_products(bits, terms, uses, w)) for w in WIDTHS)
    buckets = (Method(True, w, _bucket_products(bits, terms, uses, w)) for w in WIDTHS)
    return min((*windows, *buckets), key=lambda method: method.products)


def _window_products(bits: int, terms: int, uses: int, width: int) -> float:
    return terms * (1 << (width - 1)) + uses * bits * (1 + terms / (width + 1))


def _bucket_products(bits: int, terms: int, uses: int, width: int) -> float:
    size = 1 << width
    return uses * (bits + bits / width * (terms * (1 - 1 / size) + size))


class Plan(ABC):
    """Rows of exponents made ready for any number of rows of bases."""

    @abstractmethod
    def powers(self, bases: Elements) -> list[mpz]:
        """Return prod_i bases[i] ^ exponents[r, i] for every row r of exponents."""


def plan_powers(p: mpz, exponents: Ints) -> Plan:
    """Return rows of exponents (P, n), signed, made ready."""
    longest = max((int(e).bit_length() for e in exponents.reshape(-1)), default=1)
    method = cheapest(longest, exponents.shape[1], len(exponents))
    return _Buckets(p, exponents, method.width) if method.buckets else _Windows(p, exponents, method.width)


def _quotient(above: mpz, below: mpz | None, p: mpz) -> mpz:
    return above if below is None else above * gmpy2.invert(below, p) % p


class _Windows(Plan):
    def __init__(self, p: mpz, exponents: Ints, width: int) -> None:
        self._p, self._width = p, width
        self._rows = [(_sliding(row, width, 1), _sliding(row, width, -1)) for row in exponents]

    def powers(self, bases: Elements) -> list[mpz]:
        table = _odd_powers(bases, self._width, self._p)
        p = self._p
        return [_quotient(_chain(table, a, p), _chain(table, b, p) if b else None, p) for a, b in self._rows]


def _odd_powers(bases: Elements, width: int, p: mpz) -> list[mpz]:
    """Return b, b^3, b^5, ... of every base in one list."""
    out: list[mpz] = []
    for base in bases:
        power = base
        out.append(power)
        if width > 1:
            square = base * base % p
            for _ in range((1 << (width - 1)) - 1):
                power = power * square % p
                out.append(power)
    return out


def _sliding(row: Ints, width: int, sign: int) -> list[list[int]]:
    """Return, for each bit from the top, the table entries to multiply by: sliding windows of odd digits."""
    digits: list[tuple[int, int]] = []
    half = 1 << (width - 1)
    for i, signed in enumerate(row):
        e, bit = sign * int(signed), 0
        while e > 0:
            zeros = (e & -e).bit_length() - 1
            e >>= zeros
            bit += zeros
            digits.append((bit, i * half + (e & (2 * half - 1)) // 2))
            e >>= width
            bit += width
    out: list[list[int]] = [[] for _ in range(max(bit for bit, _ in digits) + 1)] if digits else []
    for bit, entry in digits:
        out[-1 - bit].append(entry)
    return out


def _chain(table: list[mpz], schedule: list[list[int]], p: mpz) -> mpz:
    out = mpz(1)
    for entries in schedule:
        out = out * out % p
        for entry in entries:
            out = out * table[entry] % p
    return out


class _Buckets(Plan):
    def __init__(self, p: mpz, exponents: Ints, width: int) -> None:
        self._p, self._width = p, width
        self._rows = [(_digits(row, width, 1), _digits(row, width, -1)) for row in exponents]

    def powers(self, bases: Elements) -> list[mpz]:
        p, own = self._p, list(bases)
        return [_quotient(self._one(own, a), self._one(own, b) if b else None, p) for a, b in self._rows]

    def _one(self, bases: list[mpz], windows: list[list[tuple[int, int]]]) -> mpz:
        p, out = self._p, mpz(1)
        for window in windows:
            for _ in range(self._width if out != 1 else 0):
                out = out * out % p
            buckets: list[mpz | None] = [None] * (1 << self._width)
            for i, digit in window:
                held = buckets[digit]
                buckets[digit] = bases[i] if held is None else held * bases[i] % p
            out = out * _combine(buckets, p) % p
        return out


def _digits(row: Ints, width: int, sign: int) -> list[list[tuple[int, int]]]:
    """Return, for each window from the top, the (base, digit) of its nonzero digits."""
    out: list[list[tuple[int, int]]] = []
    mask = (1 << width) - 1
    for i, signed in enumerate(row):
        e, at = sign * int(signed), 0
        while e > 0:
            if at == len(out):
                out.append([])
            if digit := e & mask:
                out[at].append((i, digit))
            e >>= width
            at += 1
    return out[::-1]


def _combine(buckets: list[mpz | None], p: mpz) -> mpz:
    """Return prod_d buckets[d]^d: a running product from the top, multiplied up once a digit."""
    running, out = mpz(1), mpz(1)
    for held in buckets[:0:-1]:
        if held is not None:
            running = running * held % p
        if running != 1:
            out = out * running % p
    return out
