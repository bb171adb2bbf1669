"""The `--network` flag: a link's latency and bandwidth, by name or in figures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from pehealth.errors import ConfigError

_TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_RATE = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_FIGURE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*")
_SHAPE = "take lan, wan, 4g or LATENCY,BANDWIDTH such as 20ms,100mbit"


@dataclass(frozen=True)
class NetworkSpec:
    """Of every link, each way: one-way latency in seconds, bandwidth in bits a second."""

    latency: float
    bandwidth: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the figures behind "lan", "wan", "4g" or "20ms,100mbit" (us, ms, s; kbit, mbit, gbit a second).

        Raises:
            ConfigError: `text` is neither.
        """
        word = text.strip().lower()
        if word in PRESETS:
            return cls(*PRESETS[word])
        latency, comma, bandwidth = word.partition(",")
        if not comma:
            raise ConfigError(f"--network {text!r} is not known; {_SHAPE}")
        spec = cls(_figure(text, latency, _TIME), _figure(text, bandwidth, _RATE))
        if spec.bandwidth <= 0:
            raise ConfigError(f"--network {text!r} lets nothing through; {_SHAPE}")
        return spec

    def __str__(self) -> str:
        return f"{self.latency * 1e3:g} ms each way, {self.bandwidth / 1e6:g} Mbit/s"


PRESETS = {
    "lan": (0.15e-3, 1e9),
    "wan": (20e-3, 300e6),
    "4g": (25e-3, 20e6),
}
"""One-way latency in seconds and bandwidth in bits a second. `wan` is the delay that our peers were timed with."""


def _figure(text: str, part: str, units: dict[str, float]) -> float:
    match = _FIGURE.fullmatch(part)
    if match is None or match[2] not in units:
        raise ConfigError(f"--network {text!r}: {part.strip()!r} needs a unit of {', '.join(units)}; {_SHAPE}")
    return float(match[1]) * units[match[2]]
