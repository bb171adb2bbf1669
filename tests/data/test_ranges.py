"""Raw readings to [0, 1], and what happens to those that do not fit."""

import numpy as np
import pytest

from pehealth.data.ranges import Ranges
from pehealth.errors import ConfigError, RangeError

RANGES = Ranges(("clock", "heat"), (0.0, -10.0), (60.0, 30.0), ("clock",))


def test_the_ends_of_a_range_become_0_and_1() -> None:
    assert RANGES.normalise([[0, -10], [60, 30], [15, 0]]).tolist() == [[0, 0], [1, 1], [0.25, 0.25]]


def test_a_reading_outside_of_its_range_names_its_feature_and_not_its_value() -> None:
    with pytest.raises(RangeError, match=r"sample 1: heat is outside of its range \(-10 to 30\); 1 such") as caught:
        RANGES.normalise([[1, 1], [1, 30.75]])
    assert "30.75" not in str(caught.value)


def test_a_saturating_reading_stops_at_its_upper_end_but_not_at_its_lower() -> None:
    assert RANGES.normalise([[1e9, 0]])[0, 0] == 1
    with pytest.raises(RangeError, match="clock is outside"):
        RANGES.normalise([[-1, 0]])


def test_a_reading_that_is_no_number_is_refused_even_where_it_would_saturate() -> None:
    for value in (np.nan, -np.inf):
        with pytest.raises(RangeError, match="clock is not a finite number"):
            RANGES.normalise([[value, 0]])
    with pytest.raises(RangeError, match="heat is not a finite number"):
        RANGES.normalise([[0, np.inf]])


def test_one_range_serves_all_pixels() -> None:
    pixels = Ranges(("pixel",), (0.0,), (255.0,))
    assert pixels.normalise(np.full((2, 1, 3, 3), 51)).shape == (2, 1, 3, 3)
    with pytest.raises(RangeError, match="sample 0: pixel 4 is outside"):
        pixels.normalise(np.where(np.arange(9).reshape(1, 1, 3, 3) == 4, 256, 0))


def test_a_wrong_number_of_readings_lists_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="3 readings a sample, 2 expected: clock, heat"):
        RANGES.normalise([[1, 2, 3]])


def test_impossible_ranges_are_all_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        Ranges(("a", "b", "c"), (0, 1, np.nan), (1, 1, 2), ("d",))
    assert caught.value.problems == (
        "the range of b is 1..1",
        "the range of c is nan..2",
        "d saturates but is no reading",
    )
    with pytest.raises(ConfigError, match="2 names of readings, 1 lower and 2 upper"):
        Ranges(("a", "b"), (0,), (1, 1))


def test_the_json_form_reads_back_and_a_bad_one_is_refused() -> None:
    assert Ranges.from_json(RANGES.to_json()) == RANGES
    for bad in ({}, {**RANGES.to_json(), "low": ["x", 0]}, {**RANGES.to_json(), "high": None}):
        with pytest.raises(ConfigError):
            Ranges.from_json(bad)


def test_raw_readings_come_back_within_their_range() -> None:
    """Scaled back and forth they may be an ulp off, but never outside, where they would be refused."""
    ranges = Ranges(("a", "b"), (0.1, -7.3), (0.7, 1e6 / 3))
    features = np.linspace(0, 1, 2002).reshape(-1, 2)
    assert np.allclose(ranges.normalise(ranges.raw(features)), features, rtol=0, atol=1e-15)
