"""Files of readings in each format: rows of finite numbers, or the place of what is wrong, and never a reading."""

from __future__ import annotations

import io

import numpy as np

from fuzzing.target import Source, Target, demand, without_warnings
from pehealth.data.readings import Format, open_rows
from pehealth.errors import ConfigError, RangeError

_FORMATS: tuple[Format, ...] = ("csv", "npy", "f32")


def run(data: bytes) -> None:
    """Read all rows."""
    source = Source(data)
    kind, columns = _FORMATS[source.below(3)], 1 + source.below(8)
    body = source.rest()
    with without_warnings(UserWarning):  # numpy's, of headers that Python 2 wrote
        rows = list(open_rows(io.BytesIO(body), "readings", kind, columns).rows)
    for row in rows:
        demand(row.values.shape == (columns,) and row.values.dtype == np.float64, "a row of another shape")
        demand(np.isfinite(row.values).all(), "a reading that is not finite")


def seeds() -> list[bytes]:
    """A file of each kind."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.arange(12.0).reshape(3, 4))
    csv = b"pulse,temperature,pressure,oxygen\n# comment\n61,36.6,120,98\n70, 37.1 ,118,97\n"
    bare = np.arange(8, dtype="<f4").tobytes()
    files = ((0, csv), (0, csv[36:]), (1, out.getvalue()), (1, out.getvalue()[:-9]), (2, bare), (2, bare[:-1]))
    return [bytes((kind, 3)) + content for kind, content in files]


TARGET = Target("readings", run, (ConfigError, RangeError), seeds, most_bytes=2048)
