"""The paper's data format: exact floors of decimals, and nothing that wraps."""

from decimal import ROUND_FLOOR, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.crypto.fixed import LIMIT, decode, encode
from pehealth.errors import RangeError

REALS = st.floats(-1e9, 1e9, allow_nan=False)


def test_the_papers_example() -> None:
    assert encode(1.23, 1) == 12


@pytest.mark.parametrize(("value", "digits", "want"), [(0.29, 2, 29), (-0.29, 2, -29), (0.07, 2, 7), (1.1, 1, 11)])
def test_decimals_that_binary_cannot_hold_are_not_floored_below(value: float, digits: int, want: int) -> None:
    assert encode(value, digits) == want


def test_negative_numbers_are_floored_not_truncated() -> None:
    assert encode(np.array([-0.01, -1.0, -1.01, 0.99]), 1).tolist() == [-1, -10, -11, 9]


@given(REALS, st.integers(0, 6))
def test_encoding_is_the_floor_of_the_decimal_that_the_float_prints(x: float, digits: int) -> None:
    want = int((Decimal(repr(x)) * 10**digits).to_integral_value(ROUND_FLOOR))
    if abs(want) < 10**15:
        assert int(encode(x, digits)) == want


@given(st.integers(-LIMIT, LIMIT), st.integers(0, 22))
def test_encoding_inverts_decoding(n: int, digits: int) -> None:
    if abs(n) < LIMIT:
        assert int(encode(decode(np.array(n), digits), digits)) == n


@given(st.lists(REALS, min_size=2), st.integers(0, 6))
def test_encoding_keeps_order(values: list[float], digits: int) -> None:
    n = encode(np.sort(values), digits)
    assert (np.diff(n) >= 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, 2.0**53, -(2.0**53)])
def test_what_cannot_be_encoded_is_refused_and_placed(bad: float) -> None:
    with pytest.raises(RangeError, match=r"1 of 4 values cannot be encoded; the first, at \(1, 0\)"):
        encode(np.array([[1.0, 2.0], [bad, 3.0]]), 1)


def test_promised_range_includes_its_ends() -> None:
    assert encode([0.0, 1.0], 2, low=0.0, high=1.0).tolist() == [0, 100]
    with pytest.raises(RangeError, match="is below 0"):
        encode([-0.001], 2, low=0.0, high=1.0)
    with pytest.raises(RangeError, match="is above 1"):
        encode([1.001], 2, low=0.0, high=1.0)


def test_digits_have_a_range() -> None:
    for digits in (-1, 23):
        with pytest.raises(RangeError, match="between 0 and 22"):
            encode(1.0, digits)


def test_refusal_does_not_show_the_reading() -> None:
    with pytest.raises(RangeError) as caught:
        encode([123456.75], 1, high=10.0)
    assert "123456" not in str(caught.value)
