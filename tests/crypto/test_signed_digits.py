"""Balanced digits carry exactly the integers that they say, and add up again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.crypto.signed_digits import largest, least_base, split
from pehealth.errors import RangeError


def joined(digits: np.ndarray, base: int) -> np.ndarray:
    return sum(digit * base**t for t, digit in enumerate(digits))


@pytest.mark.parametrize(("base", "count"), [(3, 1), (3, 4), (5, 3), (29, 2), (801, 1)])
def test_every_integer_in_reach_adds_up_from_small_digits(base: int, count: int) -> None:
    top = largest(base, count)
    values = np.arange(-top, top + 1)
    digits = split(values, base, count)
    assert digits.shape == (count, values.size)
    assert np.abs(digits).max() == (base - 1) // 2
    assert (joined(digits, base) == values).all()
    for beyond in (top + 1, -top - 1):
        with pytest.raises(RangeError, match=str(top)):
            split(np.array([0, beyond]), base, count)


@given(st.integers(0, 10**6), st.integers(1, 8))
def test_the_least_base_is_odd_and_no_smaller_one_would_do(magnitude: int, count: int) -> None:
    base = least_base(magnitude, count)
    assert base % 2 == 1
    assert base >= 3
    assert largest(base, count) >= magnitude
    assert base == 3 or largest(base - 2, count) < magnitude
