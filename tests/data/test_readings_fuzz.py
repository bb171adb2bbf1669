"""Whatever a file of readings holds: rows of finite numbers, or an error of ours that names the place."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.data.ranges import Ranges
from pehealth.data.readings import open_rows
from pehealth.data.windows import Shaping
from pehealth.errors import ConfigError, RangeError

LINES = st.lists(st.text("0123456789.,eE+-_naif \t\"'#;\r\x00é", max_size=12), max_size=6).map("\n".join)
RANGES = Ranges(("reading",), (-10.0,), (10.0,))


def read(data: bytes, kind: str, **shape) -> None:
    shaping, said = Shaping(4, RANGES, **shape), "f"
    try:
        for sample in shaping.samples(open_rows(io.BytesIO(data), "f", kind, shaping.columns)):
            assert sample.values.shape == (4,)
            assert (np.abs(sample.values) <= 10).all()
    except (ConfigError, RangeError) as error:
        said = str(error)
    assert said.startswith("f")


@given(st.binary(max_size=100) | LINES.map(str.encode), st.booleans())
def test_anything_as_csv_or_floats(data: bytes, clip: bool) -> None:
    for kind in ("csv", "f32"):
        read(data, kind, clip=clip)
        read(data, kind, clip=clip, window=2, stride=1)


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(8, dtype=np.float32).reshape(2, 4))
    return file.getvalue()


@settings(max_examples=300)
@given(st.binary(max_size=40), st.lists(st.tuples(st.integers(0, len(npy()) - 1), st.integers(0, 255)), max_size=4))
def test_anything_as_npy(data: bytes, changes: list[tuple[int, int]]) -> None:
    read(data, "npy")
    changed = bytearray(npy())
    for place, value in changes:
        changed[place] = value
    read(bytes(changed), "npy")
    read(bytes(changed[: len(data)]), "npy")


@pytest.mark.parametrize("shape", ["(1000000000000000, 4)", "(-1, 4)", "(4", "('a',)", "[4]"])
def test_headers_of_npy_that_lie(shape: str) -> None:
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(16)
    with pytest.raises(ConfigError):
        list(open_rows(io.BytesIO(data), "f", "npy", 4).rows)
