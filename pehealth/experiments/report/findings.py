"""What a measurement says of a claim: figures in words, and whether the claim holds at either size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["holds", "only at the toy size", "does not hold", "not measured"]
Basis = Literal["secure run", "local", "emulation", "plan", "quoted"]
SURPRISE = 1e-3


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        ours: our figures in words.
        toy: the claim's rule holds in the 32-bit group that the paper's tables imply.
        real: it holds in a group of 112 bits or more, or size plays no part.
        basis: what it rests on, the strongest first.
    """

    ours: str
    toy: bool
    real: bool
    basis: tuple[Basis, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict, from the two answers alone."""
        if self.toy and self.real:
            return "holds"
        return "only at the toy size" if self.toy else "does not hold"


def either(ours: str, holds: bool, *basis: Basis) -> Finding:
    """Return a finding in which the group's size plays no part."""
    return Finding(ours, holds, holds, basis)


def surprising(count: int, expected: float) -> bool:
    """Say whether so many wrong ones come up less than once in a thousand reports where `expected` are predicted."""
    below = sum(math.exp(-expected) * expected**k / math.factorial(k) for k in range(count))
    return 1 - below < SURPRISE


def straight(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float]:
    """Return slope, intercept and R^2 of the least-squares line."""
    n = len(xs)
    mx, my = sum(xs) / n, sum(ys) / n
    sxx = sum((x - mx) ** 2 for x in xs)
    slope = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sxx
    intercept = my - slope * mx
    rest = sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = sum((y - my) ** 2 for y in ys)
    return slope, intercept, 1 - rest / spread if spread else 1.0
