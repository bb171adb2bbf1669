"""Rows from CSV, NPY and bare floats; what is wrong is named by line and column."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.data.readings import LINE_BYTES, STREAM, format_of, open_rows
from pehealth.errors import ConfigError, RangeError


def rows(text: bytes, columns: int = 2, kind="csv"):
    source = open_rows(io.BytesIO(text), "pulse", kind, columns)
    return [(row.number, row.values.tolist()) for row in source.rows]


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_csv_with_header_comments_empty_lines_quotes_and_the_mark_of_windows() -> None:
    text = b'\xef\xbb\xbfa,b\r\n# by hand\r\n1, 2\r\n\r\n"3",4e0\n5,-6'
    assert rows(text) == [(3, [1, 2]), (5, [3, 4]), (6, [5, -6])]
    assert rows(b"1,2\n") == [(1, [1, 2])]


def test_the_header_is_known_after_the_first_row() -> None:
    source = open_rows(io.BytesIO(b"pulse,heat\n1,2\n"), "f", "csv", 2)
    next(source.rows)
    assert source.header == ["pulse", "heat"]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (b"1,2\n3,x\n", RangeError, "pulse line 2, column 2: is not a number"),
        (b"1,x\n", RangeError, "pulse line 1, column 2: is not a number"),
        (b"1,2\n,4\n", RangeError, "pulse line 2, column 1: is empty"),
        (b"1,2\n\n3,nan\n", RangeError, "pulse line 3, column 2: is not a finite number"),
        (b"-inf,2\n", RangeError, "pulse line 1, column 1: is not a finite number"),
        (b"1,1_0\n", RangeError, "pulse line 1, column 2: is not a number"),
        (b"1,2\na,b\n", RangeError, "pulse line 2, column 1: is not a number"),
        (b"1,2,3\n", ConfigError, "pulse line 1: expected 2 columns, came 3"),
        (b"1,2\n3\n", ConfigError, "pulse line 2: expected 2 columns, came 1"),
        (b"1,2\n\xff\xfe,4\n", ConfigError, "pulse line 2: not UTF-8"),
        (b"1" * (LINE_BYTES + 1), ConfigError, "pulse line 1: longer than"),
    ],
)
def test_what_is_wrong_in_csv(text: bytes, error: type, words: str) -> None:
    with pytest.raises(error) as caught:
        rows(text)
    assert str(caught.value).startswith(words)


def test_a_value_is_never_in_a_message() -> None:
    with pytest.raises(RangeError) as caught:
        rows(b"72.25,36;6\n")
    assert "36" not in str(caught.value)


def test_npy_of_samples_of_a_shape_or_of_one_sample() -> None:
    image = np.arange(12).reshape(2, 2, 3)
    assert rows(npy(image), 6, "npy") == [(0, [0, 1, 2, 3, 4, 5]), (1, [6, 7, 8, 9, 10, 11])]
    assert rows(npy(image[0].astype(np.float16)), 6, "npy") == [(0, [0, 1, 2, 3, 4, 5])]
    assert rows(npy(np.array([True, False])), 1, "npy") == [(0, [1]), (1, [0])]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npy(np.zeros((2, 5))), r"expected an array of rows of 6 readings, came the shape \(2, 5\)"),
        (npy(np.float64(3)), r"came the shape \(\)"),
        (npy(np.zeros((1, 6), complex)), "expected an array of real numbers, came complex128"),
        (npy(np.zeros((1, 6), "M8[s]")), "came datetime64"),
        (npy(np.zeros((3, 6)))[:-1], "no NPY file of numbers"),
        (b"1,2,3", "no NPY file of numbers"),
    ],
)
def test_what_is_wrong_in_npy(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rows(data, 6, "npy")


def test_an_array_of_objects_is_not_unpickled(tmp_path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ConfigError, match="no NPY file of numbers"):
        rows(file.getvalue(), 1, "npy")


def test_what_is_not_finite_in_npy_and_floats() -> None:
    table = np.array([[1, 2], [3, np.inf]], "<f4")
    for kind, data in (("npy", npy(table)), ("f32", table.tobytes())):
        with pytest.raises(RangeError, match="pulse row 1, column 2: is not a finite number"):
            rows(data, 2, kind)


@given(st.lists(st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3)), st.integers(1, 5))
def test_bare_floats_come_back_however_the_pipe_cuts_them(table, piece: int) -> None:
    raw = np.array(table, "<f4").tobytes()

    class Pipe(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, piece))

    assert [r.values.tolist() for r in open_rows(Pipe(raw), "p", "f32", 3).rows] == [list(row) for row in table]


def test_bare_floats_that_end_in_the_middle() -> None:
    with pytest.raises(ConfigError, match="pulse row 1: ends after 5 of 8 bytes"):
        rows(bytes(13), 2, "f32")


def test_a_row_is_there_when_its_line_is() -> None:
    class Pipe(io.BytesIO):
        read_so_far = 0

        def readline(self, size=-1):
            self.read_so_far += 1
            return super().readline(size)

    pipe = Pipe(b"1,2\n3,4\n")
    next(open_rows(pipe, "p", "csv", 2).rows)
    assert pipe.read_so_far == 1


def test_the_format_is_that_of_the_ending_unless_it_is_named(tmp_path) -> None:
    assert [format_of(tmp_path / n, None) for n in ("a.CSV", "a.npy", "a.f32")] == ["csv", "npy", "f32"]
    assert format_of(STREAM, None) == "csv"
    assert format_of(tmp_path / "a.npy", "f32") == "f32"
    with pytest.raises(ConfigError, match="--format"):
        format_of(tmp_path / "a.dat", None)
