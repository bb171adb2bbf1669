"""From rows of readings to samples of a network: a row each, or the windows of a time series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pehealth.data.ranges import Floats, Ranges
from pehealth.data.readings import Row, Source
from pehealth.errors import ConfigError, RangeError
from pehealth.sensor.windows import windows


class Sample(NamedTuple):
    """One sample.

    Attributes:
        number: the line or row that it begins with.
        values: float64 (inputs,), in the readings' own units, within their ranges.
        clipped: how many readings were moved to the end of their range.
    """

    number: int
    values: Floats
    clipped: int


@dataclass
class Tally:
    """What was read so far: rows, samples made of them, readings clipped."""

    rows: int = 0
    samples: int = 0
    clipped: int = 0


@dataclass(frozen=True)
class Shaping:
    """How rows become samples.

    Attributes:
        inputs: readings in a sample.
        ranges: their public ranges.
        window: rows in a sample; None: a row is a sample. Columns are channels then, and a sample has the readings of
            its first channel first, as the network takes them.
        stride: rows from the start of one window to the start of the next; None: the window's length.
        clip: move a reading that is out of its range to the end of it, and count it, rather than refuse it.
            What is not a finite number is refused all the same.

    Raises:
        ConfigError: windows of this length do not make samples of this network.
    """

    inputs: int
    ranges: Ranges
    window: int | None = None
    stride: int | None = None
    clip: bool = False

    def __post_init__(self) -> None:
        if self.window is None:
            if self.stride is not None:
                raise ConfigError("--stride has no meaning without --window")
            return
        if self.window < 1 or (self.stride is not None and self.stride < 1):
            raise ConfigError(f"--window {self.window}, --stride {self.stride}: must be at least 1")
        if self.inputs % self.window:
            raise ConfigError(
                f"--window {self.window}: the network takes {self.inputs} readings a sample, which is no multiple of it"
            )

    @property
    def columns(self) -> int:
        """Readings in a row."""
        return self.inputs if self.window is None else self.inputs // self.window

    def samples(self, source: Source, tally: Tally | None = None) -> Iterator[Sample]:
        """Yield a sample as soon as its last row is there; rows after the last whole window make none.

        Raises:
            ConfigError: a row has another number of columns, or its header names the readings in another order.
            RangeError: a reading is no finite number, or outside of its range; it names line and column.
        """
        tally = tally or Tally()
        check = _Limits.of(self)
        size = self.window or 1
        for rows in windows(_counted(source, self, tally), size, self.stride or size):
            sample = check.sample(source, rows)
            tally.samples += 1
            tally.clipped += sample.clipped
            yield sample


def _counted(source: Source, shaping: Shaping, tally: Tally) -> Iterator[Row]:
    names = list(shaping.ranges.names)
    for row in source.rows:
        tally.rows += 1
        # Columns in another order would give a wrong answer without a word.
        if tally.rows == 1 and source.header != names and sorted(source.header) == sorted(names):
            raise ConfigError(f"{source.name}: its columns are in another order than the model's: {', '.join(names)}")
        yield row


@dataclass(frozen=True, eq=False)
class _Limits:
    """The ranges of one sample, laid out as its rows: (rows, columns)."""

    shaping: Shaping
    low: Floats
    high: Floats
    caps: Floats

    @classmethod
    def of(cls, shaping: Shaping) -> _Limits:
        ranges, shape = shaping.ranges, (shaping.columns, shaping.window or 1)
        if len(ranges.names) not in (1, shaping.inputs):
            raise ConfigError(f"{len(ranges.names)} ranges for {shaping.inputs} readings a sample")
        saturates = np.array([name in ranges.saturating for name in ranges.names])
        low, high = np.array(ranges.low), np.array(ranges.high)
        laid = [
            np.broadcast_to(each, shaping.inputs).reshape(shape).T
            for each in (low, high, np.where(saturates, high, np.inf))
        ]
        return cls(shaping, *laid)

    def sample(self, source: Source, rows: list[Row]) -> Sample:
        table = np.minimum(np.stack([row.values for row in rows]), self.caps)
        bad = (table < self.low) | (table > self.high)
        if bad.any():
            if not self.shaping.clip:
                raise RangeError(self._complaint(source, rows, bad))
            table = np.clip(table, self.low, self.high)
        return Sample(rows[0].number, np.ascontiguousarray(table.T).reshape(-1), int(bad.sum()))

    def _complaint(self, source: Source, rows: list[Row], bad: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
        row, column = map(int, np.argwhere(bad)[0])
        ranges = self.shaping.ranges
        name = ranges.name(column * len(rows) + row) if len(ranges.names) > 1 else ranges.names[0]
        return (
            f"{source.name} {source.unit} {rows[row].number}, column {column + 1}: {name} is outside of its range "
            f"({self.low[row, column]:g} to {self.high[row, column]:g}); check the sensor's unit, or give --clip"
        )
