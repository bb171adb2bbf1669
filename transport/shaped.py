"""Latency, bandwidth and jitter on any link: bytes are delayed where they are sent.

A piece of n bytes that is sent at time t occupies its direction of the link from s = max(t, when the link is free) to
s + n / bandwidth, and arrives at s + n / bandwidth + latency + jitter, never before what was sent earlier. The sender
is held until the link has taken the piece, that is until s + n / bandwidth; pieces that travel do not hold it. Under a
virtual clock this costs no real time and is exact. With real time, waits are absolute, so errors do not add up.

Left out: TCP's own behaviour (slow start, acknowledgements, loss) and the headers of IP and TCP.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

Jitter = Callable[[], float]
"""Returns the next number in [0, 1): how much of the greatest jitter a piece gets."""

_MOST_TRAVELLING = 256 * 2**20
"""Bytes on one direction of a link above which a sender waits for the receiver, so that memory stays bounded."""
_SPIN_SECONDS = 0.0015
"""Shorter waits are spun: the system's timer of an event loop has steps of a millisecond."""


@dataclass(frozen=True, slots=True)
class Network:
    """What lies between two parties, the same in both directions.

    Attributes:
        latency: seconds that a byte travels one way; half of what `ping` shows.
        bandwidth: bytes a second in each direction of each link; infinite takes no time.
        jitter: seconds that are added at most.
    """

    latency: float = 0.0
    bandwidth: float = math.inf
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.latency < math.inf and 0 <= self.jitter < math.inf and self.bandwidth > 0):
            raise ValueError(f"a network needs latency and jitter of at least 0 and a bandwidth above 0: {self}")

    def seconds(self, size: int) -> float:
        """Return how long `size` bytes take over an idle link, without jitter."""
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
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|kbit|mbit|gbit)", re.ASCII)


def parse_network(text: str) -> Network:
    """Return the network behind a name or "LATENCY[,BANDWIDTH[,JITTER]]", for instance "20ms,100mbit".

    Latency and jitter are one way, in us, ms or s; bandwidth in kbit, mbit or gbit a second, powers of ten.

    Raises:
        ValueError: saying what would be understood.
    """
    word = text.strip().lower()
    if word in NETWORKS:
        return NETWORKS[word]
    matches = [_QUANTITY.fullmatch(part.strip()) for part in word.split(",")]
    wanted = ("s", "bit", "s")
    if len(matches) > len(wanted) or not all(m and m[2].endswith(w) for m, w in zip(matches, wanted, strict=False)):
        names = ", ".join(NETWORKS)
        raise ValueError(f"expected {names} or LATENCY,BANDWIDTH[,JITTER] such as 20ms,100mbit; came {text!r}")
    values = [float(m[1]) * _UNITS[m[2]] for m in matches if m]
    return Network(*values)


def seeded_jitter(seed: bytes) -> Jitter:
    """Return numbers in [0, 1) that depend on `seed` alone: repeatable, and no secret."""
    numbers = _hashed(seed)
    return lambda: next(numbers)


def _hashed(seed: bytes) -> Iterator[float]:
    for count in itertools.count():
        digest = hashlib.sha256(seed + count.to_bytes(8, "big")).digest()
        yield int.from_bytes(digest[:6], "big") / 2**48


class ShapedStream(trio.abc.HalfCloseableStream):
    """A stream whose sent bytes are delayed; what it receives was delayed by the other end.

    Args:
        stream: the real link; it belongs to this one from now on.
        network: how long things take.
        nursery: runs the task that delivers; it ends when the stream is closed.
        jitter: where jitter comes from; needed if the network has any.
    """

    def __init__(
        self, stream: trio.abc.Stream, network: Network, nursery: trio.Nursery, jitter: Jitter | None = None
    ) -> None:
        if network.jitter and jitter is None:
            raise ValueError("a network with jitter needs a source of jitter, for instance seeded_jitter(seed)")
        self._stream, self._network, self._jitter = stream, network, jitter
        self._free = self._last = -math.inf
        self._travelling, self._arrivals = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        self._broken: trio.BrokenResourceError | None = None
        self._delivered = trio.Event()
        self._size = 0
        self._shrunk = trio.lowlevel.ParkingLot()
        nursery.start_soon(self._deliver)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Put bytes on the link; returns when it has taken them."""
        if self._broken is not None:
            raise trio.BrokenResourceError(str(self._broken)) from self._broken
        network = self._network
        self._free = max(trio.current_time(), self._free) + len(data) / network.bandwidth
        arrival = self._free + network.latency
        if self._jitter is not None:
            arrival += network.jitter * self._jitter()
        self._last = max(arrival, self._last)
        self._travelling.send_nowait((self._last, bytes(data)))
        self._size += len(data)
        await sleep_until(self._free)
        while self._size > _MOST_TRAVELLING and self._broken is None:
            await self._shrunk.park()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the link is free."""
        await sleep_until(self._free)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return the next bytes that have arrived."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """Say that we send no more, once all has been delivered."""
        self._travelling.close()
        await self._delivered.wait()
        if self._broken is None and isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the link once what was sent has been delivered."""
        self._travelling.close()
        try:
            await self._delivered.wait()
        finally:
            await self._stream.aclose()

    async def _deliver(self) -> None:
        try:
            async with self._arrivals:
                async for arrival, data in self._arrivals:
                    await sleep_until(arrival)
                    await self._stream.send_all(data)
                    self._size -= len(data)
                    self._shrunk.unpark_all()
        except (OSError, trio.ClosedResourceError) as error:
            self._broken = trio.BrokenResourceError(str(error))
        except trio.BrokenResourceError as error:
            self._broken = error
        finally:
            self._delivered.set()
            self._shrunk.unpark_all()


async def sleep_until(deadline: float) -> None:
    """Sleep until `deadline` on the running clock, more exactly than the event loop's timer: the last bit is spun."""
    early = deadline - _SPIN_SECONDS
    now = trio.current_time()
    if now < early:
        await trio.sleep_until(early)
        now = trio.current_time()
    while now < deadline:
        await trio.lowlevel.checkpoint()
        before, now = now, trio.current_time()
        if now == before:
            # A virtual clock moves only while everyone sleeps.
            await trio.sleep_until(deadline)
            return
