"""The public range of every reading: a sensor maps what it measures to [0, 1], and says so when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pehealth.errors import ConfigError, RangeError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranges:
    """Names and ranges of the readings of one sample. Public: sensors, servers and centre know them.

    Attributes:
        names: of the readings in order; a single name stands for every reading (the pixels of an image).
        low, high: the range of each, in the unit of the raw reading; low maps to 0, high to 1.
        saturating: names whose readings above `high` count as `high` (a clock that stops, say). Others raise.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    saturating: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.low) == len(self.high):
            raise ConfigError(
                f"{len(self.names)} names of readings, {len(self.low)} lower and {len(self.high)} upper limits"
            )
        problems = [
            f"the range of {name} is {low}..{high}"
            for name, low, high in zip(self.names, self.low, self.high, strict=True)
            if not (np.isfinite(low) and np.isfinite(high) and low < high)
        ]
        problems += [f"{name} saturates but is no reading" for name in self.saturating if name not in self.names]
        if problems:
            raise ConfigError(*problems)

    def name(self, index: int) -> str:
        """Return the name of reading `index`."""
        return self.names[index] if len(self.names) > 1 else f"{self.names[0]} {index}"

    def normalise(self, raw: ArrayLike) -> Floats:
        """Return raw readings (batch, ...) in [0, 1], same shape.

        Raises:
            RangeError: a reading is not finite or outside of its range; it names the reading, never the value.
            ConfigError: the number of readings is not the one that the ranges are for.
        """
        values = np.asarray(raw, np.float64)
        flat = values.reshape(len(values), -1)
        if len(self.names) not in (1, flat.shape[1]):
            raise ConfigError(f"{flat.shape[1]} readings a sample, {len(self.names)} expected: {', '.join(self.names)}")
        low, high = np.array(self.low), np.array(self.high)
        caps = np.array(
            [high if name in self.saturating else np.inf for name, high in zip(self.names, high, strict=True)]
        )
        scaled: Floats = (np.minimum(flat, caps) - low) / (high - low)
        self.check(scaled)
        return scaled.reshape(values.shape)

    def raw(self, features: Floats) -> Floats:
        """Return normalised readings (batch, ...) in the unit of the raw reading, same shape; never out of range."""
        flat = np.asarray(features, np.float64).reshape(len(features), -1)
        low, high = np.array(self.low), np.array(self.high)
        restored: Floats = np.clip(low + flat * (high - low), low, high)
        return restored.reshape(features.shape)

    def check(self, features: Floats) -> None:
        """Check that normalised readings (batch, ...) lie in [0, 1].

        Raises:
            RangeError: it names the sample and the reading, never the value.
        """
        flat = features.reshape(len(features), -1)
        bad = ~((flat >= 0) & (flat <= 1))
        if bad.any():
            sample, index = map(int, np.argwhere(bad)[0])
            at = index if len(self.names) > 1 else 0
            what = "is not a finite number" if not np.isfinite(flat[sample, index]) else "is outside of its range"
            raise RangeError(
                f"sample {sample}: {self.name(index)} {what} ({self.low[at]:g} to {self.high[at]:g}); "
                f"{int(bad.sum())} such readings in all. Check the sensor's unit and the network's ranges"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reads it back."""
        return {
            "names": list(self.names),
            "low": list(self.low),
            "high": list(self.high),
            "saturating": list(self.saturating),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ranges:
        """Return the ranges that `data` describes.

        Raises:
            ConfigError: a field is missing or of the wrong type.
        """
        try:
            return cls(
                tuple(map(str, data["names"])),
                tuple(map(float, data["low"])),
                tuple(map(float, data["high"])),
                tuple(map(str, data.get("saturating", ()))),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ConfigError(f"the ranges of the readings cannot be read: {error!r}") from error
