"""The public ranges of an imported network's readings: as told, or taken from samples with a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from pehealth.data.ranges import Floats, Ranges
from pehealth.data.readings import format_of, open_rows
from pehealth.errors import ConfigError
from pehealth.nets.layers import Shape

MOST_SAMPLES = 1000
MARGIN = Fraction(1, 10)
"""Of the width that samples have, added on each side: the next patient is not among them."""
ANY = "reading"


@dataclass(frozen=True, eq=False)
class Samples:
    """Readings in their own units.

    Attributes:
        values: (samples, inputs).
        names: of the columns; () if the file does not tell.
    """

    values: Floats
    names: tuple[str, ...] = ()


def read_samples(path: Path, inputs: int) -> Samples:
    """Return the first readings in a file of samples, at most `MOST_SAMPLES`.

    Raises:
        ConfigError, RangeError: it cannot be read, holds something else, or nothing.
    """
    try:
        with path.open("rb") as stream:
            source = open_rows(stream, str(path), format_of(path, None), inputs)
            rows = [row.values for row in islice(source.rows, MOST_SAMPLES)]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if not rows:
        raise ConfigError(f"{path} holds no readings")
    names = tuple(source.header)
    return Samples(np.array(rows), names if len(set(names)) == inputs else ())


def ranges_of(low: float | None, high: float | None, samples: Samples | None, shape: Shape) -> Ranges:
    """Return the ranges of readings: as told; else those of the samples and a margin; else 0 to 1.

    A network that takes a vector gets a range for each of its readings, which may have units of their own; one that
    takes a signal or an image gets one for all.

    Raises:
        ConfigError: low is not below high, or one is not finite.
    """
    told = low is not None or high is not None
    if samples is not None and not told and len(shape) == 1 and shape[0] > 1:
        limits = [range_about(float(c.min()), float(c.max())) for c in samples.values.T]
        names = samples.names or tuple(f"{ANY} {i}" for i in range(shape[0]))
        return Ranges(names, tuple(a for a, _ in limits), tuple(b for _, b in limits))
    around = (0.0, 1.0)
    if samples is not None:
        around = range_about(float(samples.values.min()), float(samples.values.max()))
    low, high = around[0] if low is None else low, around[1] if high is None else high
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"the range of the readings is {low:g} to {high:g}")
    return Ranges((ANY,), (low,), (high,))


def range_about(least: float, most: float) -> tuple[float, float]:
    """Return a range about least..most: a margin on each side, but none across 0, rounded outward to few digits."""
    first, last = Fraction(repr(least)), Fraction(repr(most))  # as they were written, so that 0.1 is a tenth
    width = last - first or abs(last) or Fraction(1)
    first, last = _unless_across(first, -MARGIN * width), _unless_across(last, MARGIN * width)
    unit = Fraction(10) ** (math.floor(math.log10(width)) - 1)
    low, high = math.floor(first / unit) * unit, math.ceil(last / unit) * unit
    return float(low), float(high if low < high else low + 1)


def _unless_across(end: Fraction, step: Fraction) -> Fraction:
    """Return end + step, or 0 if that lies on the other side of 0."""
    moved = end + step
    return Fraction(0) if moved < 0 <= end or end <= 0 < moved else moved
