"""Discrete logarithms in `toy32`: baby steps and giant steps [Sha71], for many elements at once in milliseconds.

This is why a group of that size protects nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.groups import Elements, ToyGroup

_AT_ONCE = 1 << 22
"""Products held at a time (32 MiB)."""


class Logarithms:
    """A table of baby steps g^0 .. g^(m-1), m near the root of q; made once, used for any number of elements."""

    def __init__(self, group: ToyGroup) -> None:
        self._group = group
        self._size = 1 << -(-group.q.bit_length() // 2)
        powers = group.power(np.full(1, group.g, np.uint64), np.arange(self._size, dtype=np.uint64))
        self._order = np.argsort(powers)
        self._sorted = powers[self._order]
        strides = np.arange(-(-group.q // self._size), dtype=np.int64) * -self._size
        self._giants = group.power(np.full(1, group.g, np.uint64), strides)

    def of(self, elements: Elements) -> NDArray[np.int64]:
        """Return log_g of each element (any shape), in [0, q).

        Raises:
            ValueError: an element is not in the subgroup.
        """
        flat, out = elements.reshape(-1), np.full(elements.size, -1, np.int64)
        block = max(_AT_ONCE // len(self._giants), 1)
        for at in range(0, len(flat), block):
            points = self._group.mul(flat[at : at + block, None], self._giants[None])
            places = np.minimum(np.searchsorted(self._sorted, points), self._size - 1)
            row, giant = np.nonzero(self._sorted[places] == points)
            out[at + row] = (self._order[places[row, giant]] + giant * self._size) % self._group.q
        if (out < 0).any():
            raise ValueError("an element has no logarithm: it is not a square")
        return out.reshape(elements.shape)
