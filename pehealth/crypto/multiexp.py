"""Matrix products in the exponent: out[p, m] = prod_i bases[m, i] ^ exponents[p, i], with shared squarings.

In `toy32` by Straus's method [Str64] on whole arrays: the exponents of one product are cut into windows, a table holds
the small powers of each base, and all bases share one chain of squarings; in the RFC 3526 groups by `multiexp_modp`.
Tables are made once per base and used for every row of exponents (the positions of a convolution times the batch).
Time depends on the exponents, which are one-time shares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from pehealth.crypto.groups import Elements, Group, ModpGroup, ToyGroup
from pehealth.crypto.linear import Ints
from pehealth.crypto.multiexp_modp import plan_powers

_CELLS = 1 << 20
"""Greatest number of table or product cells that `toy32` holds at a time (8 MiB)."""


class Exponents(ABC):
    """Rows of exponents made ready, to be used with any number of bases."""

    @staticmethod
    def of(group: Group, exponents: Ints) -> Exponents:
        """Return signed integers (P, n) (int64, or object) made ready."""
        e = group.exponents(exponents)
        if isinstance(group, ToyGroup):
            return _ToyExponents(group, e)
        if isinstance(group, ModpGroup):
            return _ModpExponents(group, e)
        raise TypeError(f"no products for {group}")

    @abstractmethod
    def product(self, bases: Elements) -> Elements:
        """Return out (P, M) with out[p, m] = prod_i bases[m, i] ^ exponents[p, i], for bases (M, n)."""


def multi_power(group: Group, bases: Elements, exponents: Ints) -> Elements:
    """Return out (P, M) with out[p, m] = prod_i bases[m, i] ^ exponents[p, i].

    Shapes:  bases (M, n) elements; exponents (P, n) signed integers (int64, or object)
    """
    return Exponents.of(group, exponents).product(bases)


class _ToyExponents(Exponents):
    def __init__(self, group: ToyGroup, exponents: Ints) -> None:
        self._group = group
        self._exponents = exponents

    def product(self, bases: Elements) -> Elements:
        return _toy(self._group, bases, self._exponents)


def _toy(group: ToyGroup, bases: Elements, exponents: Ints) -> Elements:
    """Run over blocks of bases' columns, then of exponents' rows, so that memory stays bounded."""
    (count, n), rows = bases.shape, len(exponents)
    width = 5 if rows >= 16 else 3
    columns = max(_CELLS // (n << width), 1)
    out = np.empty((rows, count), np.uint64)
    for at in range(0, count, columns):
        table = _toy_table(group, np.ascontiguousarray(bases[at : at + columns].T), width)
        step = max(_CELLS // (n * table.shape[2]), 1)
        for row in range(0, rows, step):
            out[row : row + step, at : at + columns] = _toy_block(group, table, exponents[row : row + step], width)
    return out


def _toy_table(group: ToyGroup, bases: Elements, width: int) -> Elements:
    """Return (n, 2^width, m): the powers 0 .. 2^width - 1 of bases (n, m)."""
    table = np.empty((len(bases), 1 << width, bases.shape[1]), np.uint64)
    table[:, 0] = 1
    table[:, 1] = bases
    for power in range(2, 1 << width, 2):
        table[:, power] = group.mul(table[:, power // 2], table[:, power // 2])
        table[:, power + 1] = group.mul(table[:, power], bases)
    return table


def _toy_block(group: ToyGroup, table: Elements, exponents: Ints, width: int) -> Elements:
    mask, terms = np.uint64((1 << width) - 1), np.arange(len(table))
    out = np.ones((len(exponents), table.shape[2]), np.uint64)
    windows = -(-int(exponents.max(initial=0)).bit_length() // width)
    for window in range(windows - 1, -1, -1):
        for _ in range(width if window < windows - 1 else 0):
            out = group.mul(out, out)
        digits = (exponents >> np.uint64(window * width)) & mask
        out = group.mul(out, _product(group, table[terms, digits.astype(np.intp)]))
    return out


def _product(group: ToyGroup, factors: Elements) -> Elements:
    """Return the product over axis 1 of (P, n, m), by halves."""
    while (n := factors.shape[1]) > 1:
        half = n // 2
        paired = group.mul(factors[:, :half], factors[:, half : 2 * half])
        factors = paired if n % 2 == 0 else np.concatenate([paired, factors[:, -1:]], axis=1)
    return factors[:, 0]


class _ModpExponents(Exponents):
    def __init__(self, group: ModpGroup, exponents: Ints) -> None:
        self._rows = len(exponents)
        self._plan = plan_powers(group.modulus, exponents)

    def product(self, bases: Elements) -> Elements:
        out = np.empty((self._rows, len(bases)), object)
        for m, row in enumerate(bases):
            out[:, m] = self._plan.powers(row)
        return out
