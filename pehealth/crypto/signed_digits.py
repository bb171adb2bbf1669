"""Integers in balanced digits: w = sum_t B^t w_t with an odd base B and |w_t| <= (B - 1) / 2.

A share conversion walks about as far as its value is large, over the failure that is allowed. Digits are smaller
than weights, so several short conversions cost less than one long one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.errors import RangeError


def largest(base: int, count: int) -> int:
    """Return the greatest integer that `count` digits carry: (B^count - 1) / 2."""
    return int(base**count - 1) // 2


def least_base(magnitude: int, count: int) -> int:
    """Return the least odd base, 3 or more, in which `count` digits carry every integer up to `magnitude`."""
    base = 3
    while largest(base, count) < magnitude:
        base += 2
    return base


def split(values: NDArray[np.int64], base: int, count: int) -> NDArray[np.int64]:
    """Return the digits (count, ...) of signed integers, the lowest first.

    Raises:
        RangeError: an integer needs more digits.
    """
    half, rest, digits = base // 2, values, []
    for _ in range(count):
        digit = (rest + half) % base - half
        digits.append(digit)
        rest = (rest - digit) // base
    if rest.any():
        raise RangeError(f"{count} digits in base {base} carry {largest(base, count)}; a greater weight came")
    return np.stack(digits)
