"""The paper's data format: a real number x0 is carried as x = floor(x0 * 10^d) [PEH20, II-B]; nothing wraps, ever.

The floor is taken of the decimal number, not of its binary neighbour. 0.29 * 100 is 28.999999999999996 in floating
point, yet 0.29 with d = 2 is 29. So x is defined as the greatest integer n whose decimal n / 10^d reads, as a float, no
greater than x0; then encode(decode(n)) = n for every n in range, and encode is monotone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pehealth.errors import RangeError

LIMIT = (1 << 52) - 1
"""The greatest encoded size: beyond it a float64 no longer tells n / 10^d from (n + 1) / 10^d."""

MAX_DIGITS = 22
"""10^22 is the greatest power of ten that a float64 holds exactly."""


def encode(values: ArrayLike, digits: int, *, low: float | None = None, high: float | None = None) -> NDArray[np.int64]:
    """Return floor(values * 10^digits) as int64.

    Args:
        values: real numbers, any shape; float32 is widened first, so 0.29 of a float32 array is 0.28999999165.
        digits: d, 0 to 22.
        low: the least value that the caller has promised, included.
        high: the greatest, included.

    Raises:
        RangeError: a value is NaN, infinite, outside [low, high], or larger than 2^52 - 1 when encoded.
    """
    x = np.asarray(values, np.float64)
    scale = _scale(digits)
    _refuse(~np.isfinite(x), "is not a finite number")
    if low is not None:
        _refuse(x < low, f"is below {low:g}")
    if high is not None:
        _refuse(x > high, f"is above {high:g}")
    _refuse(np.abs(x) > LIMIT / scale, f"needs more than 52 bits with {digits} digits; lower the digits")
    n = np.floor(x * scale)
    n = np.where(n / scale > x, n - 1, n)
    n = np.where((n + 1) / scale <= x, n + 1, n)
    return n.astype(np.int64)


def decode(values: NDArray[np.int64], digits: int) -> NDArray[np.float64]:
    """Return values / 10^digits, correctly rounded for |values| <= 2^53."""
    return np.asarray(values / _scale(digits), np.float64)


def _scale(digits: int) -> float:
    if not 0 <= digits <= MAX_DIGITS:
        raise RangeError(f"digits must lie between 0 and {MAX_DIGITS}; {digits} came")
    return float(10**digits)


def _refuse(bad: NDArray[np.bool_], why: str) -> None:
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise RangeError(f"{int(bad.sum())} of {bad.size} values cannot be encoded; the first, at {first}, {why}")
