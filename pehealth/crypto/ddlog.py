"""Share conversion: from multiplicative shares of g^v to additive shares of v, by two walks [BGI16, BGI17, BCG17].

E1 holds h' and E2 h'' with h' = h'' * g^v. Both walk h, g h, g^2 h, ... to the first distinguished point; E1 counts mu'
steps, E2 mu'' = mu' + v, so (-mu', mu'') are additive shares of v over the integers, unless a distinguished point
lies between the two starts.

With g = 2 the point after i steps is 2^i h mod p, and (2^i h mod p) / p is the fractional part of 2^i h / p: the walk
reads the binary expansion of h/p. A point is distinguished if its next w bits are zero (2^i h mod p < p / 2^w), so the
walk ends where the first run of w zeros starts, and a machine word tells of tens of steps at once. The paper's phi
is thus a test on the number itself instead of a pseudo-random function, as in [BCG17]; what makes it pseudo-random is
that both servers first multiply their starts by the same random element, derived from a common key and the
conversion's label.

Failures, for starts that are uniform: a value v != 0 converts wrongly with probability 1 - P(no run of w zeros
in |v| + w - 1 fair bits), to first order (|v| + 1) / 2^(w+1); v = 0 never does. Either walk stops at the cap Theta
with probability about e^(-Theta / 2^(w+1)). The mean walk is 2^(w+1) - 2 - w steps. A failure is not detected: whoever
revealed the near misses would reveal something of the values and of the key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.ddlog_modp import modp_steps
from pehealth.crypto.ddlog_toy import MAX_TOY_RUN, toy_steps
from pehealth.crypto.groups import Elements, Group, ModpGroup, ToyGroup
from pehealth.crypto.linear import Ints
from pehealth.crypto.prg import Prg
from pehealth.errors import RangeError

MAX_RUN = 40
_CAP_SHARE = 100
"""The cap may add one failure in this many."""


@dataclass(frozen=True)
class Walk:
    """How far a server walks.

    Attributes:
        run: w; a point is distinguished when w bits are zero.
        cap: the paper's Theta. A walk that finds nothing in `cap` steps ends there: its count is `cap`, as if the
            point after `cap` steps were distinguished. The sum of the shares is then most likely wrong by up to `cap`.
    """

    run: int
    cap: int

    def __post_init__(self) -> None:
        if not 1 <= self.run <= MAX_RUN or self.cap < 1:
            raise RangeError(
                f"a walk needs 1 <= w <= {MAX_RUN} and a cap of at least 1; w = {self.run}, {self.cap} came"
            )


def blind(group: Group, starts: Elements, prg: Prg) -> Elements:
    """Return the starts (any shape), each times its own element that `prg` determines; the same at both servers.

    So starts are uniform in the group, and equal inputs do not fail together.
    """
    return group.mul(starts, group.random(prg, starts.size).reshape(starts.shape))


def steps(group: Group, starts: Elements, walk: Walk) -> NDArray[np.int64]:
    """Return mu of each start (any shape): steps to the first distinguished point, from 0 to the cap.

    Time depends on the counts, hence on key and data: an observer of the time of a single conversion learns something.
    """
    flat = starts.reshape(-1)
    if isinstance(group, ToyGroup):
        return toy_steps(group, flat, walk.run, walk.cap).reshape(starts.shape)
    if isinstance(group, ModpGroup):
        return modp_steps(group, flat, walk.run, walk.cap).reshape(starts.shape)
    raise TypeError(f"no walk for {group}")


def expected_steps(walk: Walk) -> float:
    """Return the mean of mu for uniform starts: the sum over m = 1 .. cap of the chance of no point in m steps."""
    log_root, log_first = _no_run(walk.run)
    return math.exp(log_first) * math.expm1(-walk.cap * log_root) / math.expm1(-log_root)


def failure_probability(values: Ints, walk: Walk) -> NDArray[np.float64]:
    """Return the probability that each value converts wrongly, the cap included; exact for fair, independent bits."""
    log_root, log_first = _no_run(walk.run)
    size = np.abs(np.asarray(values, np.float64))
    near = np.where(
        size <= walk.run + 1, (size + 1) / 2.0 ** (walk.run + 1), -np.expm1(log_first - (size - 1) * log_root)
    )
    capped = math.exp(log_first - (walk.cap - 1) * log_root)
    return np.where(size == 0, 0.0, np.minimum(near + capped, 1.0))


def _no_run(w: int) -> tuple[float, float]:
    """Return (log x, log s): the chance that none of m successive points is distinguished is s / x^(m-1), m > w + 1.

    The chance of no run of w zeros in n = m + w - 1 fair bits is (2 - x) / (w + 1 - w x) / x^(n+1) with x the root
    above 1 of 1 - x + (x/2)^(w+1) = 0 ([Fel68] XIII.7); the terms left out are below 2^-n. Up to w + 1 points the
    chance is 1 - (m + 1) / 2^(w+1), exactly.
    """
    if w == 1:
        return math.log(2), -math.log(2)
    excess = 0.0
    for _ in range(200):
        excess = math.exp((w + 1) * (math.log1p(excess) - math.log(2)))
    log_root = math.log1p(excess)
    return log_root, math.log1p(-excess) - math.log1p(-w * excess) - (w + 1) * log_root


def predicted_failures(values: Ints, walk: Walk) -> float:
    """Return the expected number of wrong conversions among these values."""
    return float(failure_probability(values, walk).sum())


def choose_walk(sum_abs_values: float, conversions: int, target: float, max_run: int = MAX_RUN) -> Walk:
    """Return the shortest walk with at most `target` expected failures, of which the cap makes one in a hundred.

    Args:
        sum_abs_values: sum of |v| over the conversions (a bound, or an estimate).
        conversions: how many there are.
        target: expected failures, for instance 0.05 a query.
        max_run: the longest run that the group allows (`longest_run`).

    Raises:
        RangeError: no walk of the group is long enough.
    """
    need = (sum_abs_values + conversions) / (target * (1 - 1 / _CAP_SHARE))
    run = max(math.ceil(math.log2(max(need, 2.0))) - 1, 1)
    if run > max_run:
        raise RangeError(f"{target:g} failures need runs of {run} zeros; the group allows {max_run}. Lower the digits")
    return Walk(run, math.ceil(2.0 ** (run + 1) * math.log(max(_CAP_SHARE * conversions / target, 2.0))))


def longest_run(group: Group) -> int:
    """Return the greatest w: in `toy32` longer runs are too few to behave as in a random group."""
    return MAX_TOY_RUN if isinstance(group, ToyGroup) else MAX_RUN
