"""What a link of the testbed does to packets. Own arithmetic: nothing here is shared with what it checks."""

from __future__ import annotations

import math
from dataclasses import dataclass

NETEM_PACKETS = 100_000
_UNITS = {"ms": 1e-3, "mbit": 1e6 / 8}


@dataclass(frozen=True)
class Shape:
    """Latency and bandwidth of every directed link.

    Attributes:
        latency: seconds one way.
        bandwidth: bytes of IP packets a second; infinite: not paced.
    """

    latency: float = 0.0
    bandwidth: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Return the shape behind "20ms,100mbit", "20ms" or "0ms". Raises ValueError for anything else."""
        latency, _, bandwidth = text.partition(",")
        return cls(_quantity(latency, "ms"), _quantity(bandwidth, "mbit") if bandwidth else math.inf)

    def netem_words(self) -> list[str]:
        """Return what `tc qdisc add ... netem` is told."""
        words = ["delay", f"{round(self.latency * 1e6)}us", "limit", str(NETEM_PACKETS)]
        return words if math.isinf(self.bandwidth) else [*words, "rate", f"{round(self.bandwidth * 8)}bit"]


class Lane:
    """One direction between two parties: packets go one after the other, each takes its time, none is lost."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._free = 0.0

    def arrival(self, size: int, now: float) -> float:
        """Return when a packet of `size` bytes that comes `now` is at the other end."""
        self._free = max(self._free, now) + size / self._shape.bandwidth
        return self._free + self._shape.latency


def _quantity(text: str, unit: str) -> float:
    number = text.strip().removesuffix(unit)
    if number == text.strip() or not number.replace(".", "", 1).isdecimal():
        raise ValueError(f"expected LATENCY,BANDWIDTH such as 20ms,100mbit; came {text!r}")
    return float(number) * _UNITS[unit]
