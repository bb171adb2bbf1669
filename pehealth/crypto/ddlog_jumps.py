"""A second stage of share conversion: after the first distinguished point, random jumps that bring two walks together.

The walk of `ddlog` errs linearly: |v| / T for T steps. Dinur, Keller and Klein [DKK18] go on with steps of random
length, which depend on the point alone: walks that ended apart meet again, unless one stops before. Only a
conversion that failed in both stages is wrong, so with two stages the error is O(|v| / T^(3/2)).

Each jump is a modular product, some thousands of times a step of the first stage, so it pays only where the first
stage would take more than 2^31 steps or so (`docs/ddh.md`).
"""

from __future__ import annotations

import math
from functools import cache

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from pehealth.config import GroupName
from pehealth.crypto.groups import Elements, ModpGroup
from pehealth.crypto.groups import group as named_group
from pehealth.crypto.prg import KEY_BYTES, Prg

_CHOICES = 32
"""Lengths of a jump to choose from."""
_PRINT = (1 << 61) - 1
"""A point's residue by this prime decides. Its own low bits would not do: p = -1 mod 2^64 in the RFC 3526 groups, so
those of g^n h are digits of the expansion of h/p just before the n-th, and points near one another share them."""


def longest_jump(run: int) -> int:
    """Return L after runs of w zeros: sqrt(2 T) for T = 2^(w+1) steps, which makes walks meet soonest."""
    return math.isqrt(2 << (run + 1))


def meeting_failure(run: int, density: int) -> float:
    """Return the chance that two walks that ended apart do not meet: one point in 2^density ends the jumps.

    They end about D apart, D exponential with mean T = 2^(w+1). The later one needs 2D/L jumps to come level, and both
    together L more to hit upon one point; each of these is the last with probability 2^-t.
    """
    length, each = longest_jump(run), 2.0**-density
    return -math.expm1(-length * each - math.log1p(2.0 ** (run + 2) / length * each))


def jump(
    group: ModpGroup, starts: Elements, done: NDArray[np.int64], run: int, density: int, cap: int
) -> tuple[NDArray[np.int64], int]:
    """Return mu (n,) with the jumps added, and how many jumps there were.

    Args:
        group: the group.
        starts: (n,) where the first stage began.
        done: (n,) the steps that it took.
        run: w of the first stage.
        density: t; one point in 2^t ends the jumps.
        cap: most jumps of one conversion; walks that have met reach it together.
    """
    p = group.modulus
    lengths, factors = _table(group.name, longest_jump(run))
    out, total = done.copy(), 0
    for i, (start, steps) in enumerate(zip(starts, done, strict=True)):
        point = start * gmpy2.powmod(group.g, int(steps), p) % p
        length, count = _one(point, p, lengths, factors, density, cap)
        out[i] += length
        total += count
    return out, total


def _one(
    point: mpz, p: mpz, lengths: tuple[int, ...], factors: tuple[mpz, ...], density: int, cap: int
) -> tuple[int, int]:
    last, length = _PRINT >> density, 0
    for count in range(cap):
        residue = int(point % _PRINT)
        if residue < last:
            return length, count
        choice = residue % _CHOICES
        point = point * factors[choice] % p
        length += lengths[choice]
    return length, cap


@cache
def _table(name: GroupName, longest: int) -> tuple[tuple[int, ...], tuple[mpz, ...]]:
    """Return the lengths, one at random from each 32nd of 1 .. longest, the same for everybody, and g to each."""
    grp = named_group(name)
    part = max(longest // _CHOICES, 1)
    drawn = Prg(bytes(KEY_BYTES)).child("jumps", longest).below(_CHOICES, part)
    lengths = tuple(1 + i * part + int(n) for i, n in enumerate(drawn))
    return lengths, tuple(gmpy2.powmod(grp.g, n, grp.p) for n in lengths)
