"""Samples from rows: one a row, or the windows of a time series."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.data.ranges import Ranges
from pehealth.data.readings import open_rows
from pehealth.data.windows import Shaping, Tally
from pehealth.errors import ConfigError, RangeError
from pehealth.sensor.windows import channels_first, windows

UNIT = Ranges(("reading",), (0.0,), (100.0,))
TWO = Ranges(("clock", "heat"), (0.0, -10.0), (60.0, 30.0), ("clock",))


def samples(shaping: Shaping, text: str, tally: Tally | None = None):
    source = open_rows(io.BytesIO(text.encode()), "pulse", "csv", shaping.columns)
    return [(s.number, s.values.tolist(), s.clipped) for s in shaping.samples(source, tally)]


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 12))
def test_windows_are_the_slices_of_the_series(count: int, size: int, stride: int) -> None:
    series = list(range(count))
    expected = [series[at : at + size] for at in range(0, count - size + 1, stride)]
    assert list(windows(series, size, stride)) == expected


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 4))
def test_a_window_is_there_with_its_last_item_and_no_later(size: int, stride: int, place: int) -> None:
    drawn = []

    def series():
        for item in range(1000):
            drawn.append(item)
            yield item

    made = windows(series(), size, stride)
    for _ in range(place + 1):
        last = next(made)
    assert drawn[-1] == last[-1] == place * stride + size - 1


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 20))
def test_a_sample_holds_the_first_channel_first(channels: int, size: int, stride: int, steps: int) -> None:
    series = np.arange(channels * steps).reshape(steps, channels) % 101
    text = "\n".join(",".join(map(str, row)) for row in series)
    tally = Tally()
    made = samples(Shaping(channels * size, UNIT, size, stride), text, tally)
    starts = range(0, steps - size + 1, stride)
    assert [values for _, values, _ in made] == [series[at : at + size].T.reshape(-1).tolist() for at in starts]
    assert [number for number, _, _ in made] == [at + 1 for at in starts]
    assert [channels_first(rows) for rows in windows(series.tolist(), size, stride)] == [v for _, v, _ in made]
    assert (tally.rows, tally.samples, tally.clipped) == (steps, len(starts), 0)


def test_a_row_a_sample() -> None:
    assert samples(Shaping(2, TWO), "clock,heat\n1,2\n99,-10\n") == [(2, [1, 2], 0), (3, [60, -10], 0)]


def test_out_of_range_names_line_column_reading_and_range_and_not_the_value() -> None:
    with pytest.raises(RangeError) as caught:
        samples(Shaping(2, TWO), "1,2\n3,30.75\n")
    words = "pulse line 2, column 2: heat is outside of its range (-10 to 30); check the sensor's unit, or give --clip"
    assert str(caught.value) == words
    with pytest.raises(RangeError, match=r"pulse line 4, column 1: reading is outside of its range \(0 to 100\)"):
        samples(Shaping(6, UNIT, 3), "1,2\n1,2\n#\n101,1\n")


def test_each_channel_of_a_window_has_its_own_range() -> None:
    ranges = Ranges(("a0", "a1", "b0", "b1"), (0, 0, 50, 50), (1, 1, 60, 60))
    assert samples(Shaping(4, ranges, 2), "0,55\n1,60\n") == [(1, [0, 1, 55, 60], 0)]
    with pytest.raises(RangeError, match=r"line 2, column 2: b1 is outside of its range \(50 to 60\)"):
        samples(Shaping(4, ranges, 2), "0,55\n1,1\n")


def test_clip_moves_to_the_end_of_the_range_and_counts() -> None:
    tally = Tally()
    assert samples(Shaping(2, TWO, clip=True), "-1,31\n70,0\n", tally) == [(1, [0, 30], 2), (2, [60, 0], 0)]
    assert tally.clipped == 2
    with pytest.raises(RangeError, match="line 1, column 2: is not a finite number"):
        samples(Shaping(2, TWO, clip=True), "0,inf\n")


def test_columns_in_another_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="its columns are in another order than the model's: clock, heat"):
        samples(Shaping(2, TWO), "heat,clock\n1,2\n")
    assert samples(Shaping(2, TWO), "t,T\n1,2\n") == [(2, [1, 2], 0)]


def test_shapings_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match="8 readings a sample, which is no multiple"):
        Shaping(8, UNIT, 3)
    with pytest.raises(ConfigError, match="--stride has no meaning without --window"):
        Shaping(8, UNIT, stride=2)
    with pytest.raises(ConfigError, match="must be at least 1"):
        Shaping(8, UNIT, 4, 0)
