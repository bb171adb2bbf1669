"""What lies between two parties: latency, bandwidth, jitter, and the names of usual networks. No event loop here."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

Jitter = Callable[[], float]
"""Returns the next number in [0, 1): how much of the greatest jitter a piece gets."""


@dataclass(frozen=True, slots=True)
class Network:
    """What lies between two parties, the same in both directions.

    Attributes:
        latency: seconds that a byte travels one way; half of what `ping` shows.
        bandwidth: bytes a second in each direction of each link; infinite takes no time.
        jitter: seconds that are added at most.
        slow_start: senders keep to TCP's window: see `transport.slow_start`.
    """

    latency: float = 0.0
    bandwidth: float = math.inf
    jitter: float = 0.0
    slow_start: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.latency < math.inf and 0 <= self.jitter < math.inf and self.bandwidth > 0):
            raise ValueError(f"a network needs latency and jitter of at least 0 and a bandwidth above 0: {self}")

    def seconds(self, size: int) -> float:
        """Return how long `size` bytes take over an idle link, without jitter and slow start."""
        return size / self.bandwidth + self.latency

    @property
    def shapes(self) -> bool:
        """False if nothing would be delayed."""
        return self != Network()


NETWORKS = {
    "none": Network(),
    "lan": Network(latency=0.00025, bandwidth=1e9 / 8),
    "wan": Network(latency=0.020, bandwidth=100e6 / 8),
    "4g": Network(latency=0.025, bandwidth=20e6 / 8),
}
"""Names for `parse_network`. lan: 1 Gbit/s, round trip 0.5 ms; wan: 100 Mbit/s, round trip 40 ms: the usual pair of
settings in the field, with more modest bandwidths than most papers on private inference have. 4g: 20 Mbit/s, round
trip 50 ms: a mobile uplink on an ordinary day."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "kbit": 1e3 / 8, "mbit": 1e6 / 8, "gbit": 1e9 / 8}
SLOW_START = ",tcp"
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|kbit|mbit|gbit)", re.ASCII)


def parse_network(text: str) -> Network:
    """Return the network behind a name or "LATENCY[,BANDWIDTH[,JITTER]]", either with ",tcp" for its slow start.

    Latency and jitter are one way, in us, ms or s; bandwidth in kbit, mbit or gbit a second, powers of ten.

    Raises:
        ValueError: saying what would be understood.
    """
    word = text.strip().lower()
    if word.endswith(SLOW_START):
        return replace(parse_network(word.removesuffix(SLOW_START)), slow_start=True)
    if word in NETWORKS:
        return NETWORKS[word]
    matches = [_QUANTITY.fullmatch(part.strip()) for part in word.split(",")]
    wanted = ("s", "bit", "s")
    if len(matches) > len(wanted) or not all(m and m[2].endswith(w) for m, w in zip(matches, wanted, strict=False)):
        names = ", ".join(NETWORKS)
        raise ValueError(f"expected {names} or LATENCY,BANDWIDTH[,JITTER] such as 20ms,100mbit; came {text!r}")
    values = [float(m[1]) * _UNITS[m[2]] for m in matches if m]
    latency, bandwidth, jitter = (*values, math.inf, 0.0)[:3] if len(values) == 1 else (*values, 0.0)[:3]
    return Network(latency, bandwidth, jitter)


class Passage(NamedTuple):
    """When a piece of bytes is on a line: it starts, has left, arrives; and when its sender may go on."""

    starts: float
    leaves: float
    arrives: float
    frees: float


class Line:
    """One direction of a link: what is put on it goes one after the other and arrives in order.

    A piece of n bytes that is put on at time t occupies the line from s = max(t, when it is free) to s + n / bandwidth,
    and arrives at s + n / bandwidth + latency + jitter, never before what was put on earlier.

    Args:
        network: how long things take.
        jitter: where jitter comes from; needed if the network has any.
    """

    def __init__(self, network: Network, jitter: Jitter | None = None) -> None:
        if network.jitter and jitter is None:
            raise ValueError("a network with jitter needs a source of jitter, for instance seeded_jitter(seed)")
        self._network, self._jitter = network, jitter
        self._last = -math.inf
        self.free = -math.inf
        """When the line has taken all that was put on it."""

    def put(self, size: int, now: float) -> Passage:
        """Put `size` bytes on the line."""
        network = self._network
        starts = max(now, self.free)
        self.free = starts + size / network.bandwidth
        arrival = self.free + network.latency
        if self._jitter is not None:
            arrival += network.jitter * self._jitter()
        self._last = max(arrival, self._last)
        return Passage(starts, self.free, self._last, self.free)


def seeded_jitter(seed: bytes) -> Jitter:
    """Return numbers in [0, 1) that depend on `seed` alone: repeatable, and no secret."""
    numbers = _hashed(seed)
    return lambda: next(numbers)


def _hashed(seed: bytes) -> Iterator[float]:
    for count in itertools.count():
        digest = hashlib.sha256(seed + count.to_bytes(8, "big")).digest()
        yield int.from_bytes(digest[:6], "big") / 2**48
