"""The walk of `toy32`: all conversions of a layer at once in numpy, about 60 steps a machine word.

The 64 bits of the expansion of h/p that follow bit i are v = floor(h_i 2^64 / p), h_i = 2^i h mod p. With t = h * c, c
= 2^(i+64) mod p and k = floor(t / p), v p = h_i 2^64 - (t - k p), so v = k - t / p mod 2^64 with the inverse of p mod
2^64: two products, one division by a constant and one difference, for any i, with no chain of dependent steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.groups import Elements, ToyGroup

MAX_TOY_RUN = 26
"""At w = 26 sixteen runs are left in the whole group of 2^31 elements."""

_CELLS = 1 << 15
_ROWS = 1 << 10


class _Words:
    """Words of expansions, and the two tests on them. Offsets are from the current place of each walk."""

    def __init__(self, group: ToyGroup, run: int) -> None:
        self.run = run
        self.lane = (run + 1) // 2
        self.stride = self.lane * (64 // self.lane)
        self._p = np.uint64(group.p)
        self._inverse = np.uint64(pow(group.p, -1, 1 << 64))
        lanes = sum(1 << (64 - self.lane * (i + 1)) for i in range(64 // self.lane))
        self._low, self._high = np.uint64(lanes), np.uint64(lanes << (self.lane - 1))
        columns = _CELLS
        self.steps = _powers_of_two(group.p, self.stride, columns + 1)
        self._first = self._shifted(64 + self.lane - 1)
        self._exact = self._shifted(64), self._shifted(64 + 65 - run)

    def _shifted(self, bits: int) -> Elements:
        return self.steps * np.uint64(pow(2, bits, int(self._p))) % self._p

    def _words(self, t: Elements) -> Elements:
        k = t // self._p
        t *= self._inverse
        k -= t
        return k

    def candidates(self, h: Elements, columns: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (row, column) of the words that hold a whole zero lane.

        A run of w >= 2 * lane - 1 zeros covers a whole lane; lanes are laid so that a run which starts in
        [stride * n, stride * (n + 1)) covers one in word n.
        """
        v = self._words(np.multiply(h[:, None], self._first[:columns]))
        zero = v - self._low
        np.invert(v, out=v)
        zero &= v
        zero &= self._high
        return np.divmod(np.flatnonzero(zero != 0), columns)

    def first_run(self, h: Elements, column: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the first start of a run in [0, stride) after column * stride, or -1."""
        out = np.full(len(h), -1, np.int64)
        for part, base in ((1, 65 - self.run), (0, 0)):
            v = self._words(h * self._exact[part][column])
            at = _leading_run(v, self.run)
            found = (at >= 0) & (at + base < self.stride)
            out[found] = at[found] + base
        return out


def _powers_of_two(p: int, stride: int, count: int) -> Elements:
    """Return 2^(stride * n) mod p for n < count."""
    out = np.ones(count, np.uint64)
    filled = 1
    while filled < count:
        more = min(filled, count - filled)
        out[filled : filled + more] = out[:more] * np.uint64(pow(2, stride * filled, p)) % np.uint64(p)
        filled += more
    return out


def _leading_run(v: Elements, run: int) -> NDArray[np.int64]:
    """Return the place from the top of the first run of `run` zeros that lies wholly in the word, or -1."""
    r, have = ~v, 1
    while have < run:
        more = min(have, run - have)
        r = r & (r << np.uint64(more))
        have += more
    for shift in (1, 2, 4, 8, 16, 32):
        r = r | (r >> np.uint64(shift))
    return np.where(r == 0, -1, 64 - np.bitwise_count(r).astype(np.int64))


def toy_steps(group: ToyGroup, starts: Elements, run: int, cap: int) -> NDArray[np.int64]:
    """Return the steps of each start (n,) to its first run of `run` zeros, at most `cap`."""
    words = _Words(group, run)
    out = np.full(len(starts), cap, np.int64)
    for at in range(0, len(starts), _ROWS):
        _walk_rows(group, words, starts[at : at + _ROWS], out[at : at + _ROWS])
    return out


def _walk_rows(group: ToyGroup, words: _Words, starts: Elements, out: NDArray[np.int64]) -> None:
    """Walk until every row has found its run or passed the cap; `out` holds the cap and takes the counts."""
    active, h, done = np.arange(len(starts)), starts, 0
    cap = int(out[0])
    longest = max((1 << (words.run + 1)) // (4 * words.stride), 1)
    while len(active) and done < cap:
        columns = min(max(_CELLS // len(active), 1), longest)
        row, column = words.candidates(h, columns)
        at = words.first_run(h[row], column)
        row, place = row[at >= 0], at[at >= 0] + column[at >= 0] * words.stride
        hit, first = np.unique(row, return_index=True)
        out[active[hit]] = np.minimum(done + place[first], cap)
        keep = np.ones(len(active), bool)
        keep[hit] = False
        active, h = active[keep], group.mul(h[keep], words.steps[columns])
        done += columns * words.stride
