"""Latency, bandwidth and jitter on any link: bytes are delayed where they are sent.

`Line` says when a piece leaves and arrives. The sender is held until the line has taken the piece; pieces that travel
do not hold it. Under a virtual clock this costs no real time and is exact. With real time, waits are absolute, so
errors do not add up.

Left out: TCP's own behaviour (acknowledgements, loss; slow start unless the network asks for it) and the headers of
IP and TCP.
"""

from __future__ import annotations

import math

import trio

from transport.carrier import Proof, prove
from transport.network import NETWORKS, Jitter, Network, parse_network, seeded_jitter
from transport.slow_start import line_of

__all__ = ["NETWORKS", "Jitter", "Network", "ShapedStream", "parse_network", "seeded_jitter", "sleep_until"]

_MOST_TRAVELLING = 256 * 2**20
"""Bytes on one direction of a link above which a sender waits for the receiver, so that memory stays bounded."""
_SPIN_SECONDS = 0.0015
"""Shorter waits are spun: the system's timer of an event loop has steps of a millisecond."""


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
        self._stream, self._line = stream, line_of(network, jitter)
        self._travelling, self._arrivals = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        self._broken: trio.BrokenResourceError | None = None
        self._delivered = trio.Event()
        self._size = 0
        self._shrunk = trio.lowlevel.ParkingLot()
        nursery.start_soon(self._deliver)

    async def prove(self) -> Proof | None:
        """Find out who is at the other end."""
        return await prove(self._stream)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Put bytes on the link; returns when it has taken them."""
        if self._broken is not None:
            raise trio.BrokenResourceError(str(self._broken)) from self._broken
        passage = self._line.put(len(data), trio.current_time())
        self._travelling.send_nowait((passage.arrives, bytes(data)))
        self._size += len(data)
        await sleep_until(passage.frees)
        while self._size > _MOST_TRAVELLING and self._broken is None:
            await self._shrunk.park()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the link is free."""
        await sleep_until(self._line.free)

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
