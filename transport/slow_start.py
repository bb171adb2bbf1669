"""TCP's slow start on a line: how much of a message may be under way before the first acknowledgements are back.

A sender that has been idle puts ten segments on the line and waits; each acknowledgement lets it send two segments
for one [RFC 5681, RFC 6928]. Nothing is lost here, so the window only grows; after an idle time it is halved for each
timeout that went by, as Linux does. Left out: congestion control after slow start, delayed acknowledgements, the
receiver's window, and the headers of IP and TCP. No event loop here.
"""

from __future__ import annotations

import math
from collections import deque

from transport.network import Jitter, Line, Network, Passage

SEGMENT = 1448
"""Bytes of a full segment on links with packets of 1500 bytes."""
INITIAL_WINDOW = 10 * SEGMENT
LEAST_TIMEOUT = 0.2
"""Seconds that Linux adds to the round trip for its retransmission timeout, at least."""


class SlowStartLine:
    """A `Line` whose sender keeps to TCP's window.

    A sender goes on when the kernel has taken its bytes, which it does up to two windows ahead of acknowledgements.

    Args:
        network: how long things take; acknowledgements take its latency.
        jitter: where jitter comes from; needed if the network has any.
    """

    def __init__(self, network: Network, jitter: Jitter | None = None) -> None:
        self._line = Line(network, jitter)
        self._latency = network.latency
        self._timeout = 2 * network.latency + LEAST_TIMEOUT
        self._window = INITIAL_WINDOW
        self._most = 0
        self._under_way = 0
        self._acknowledged: deque[tuple[float, int]] = deque()
        self._last = -math.inf

    @property
    def free(self) -> float:
        """When the line has taken all that was put on it."""
        return self._line.free

    def put(self, size: int, now: float) -> Passage:
        """Put `size` bytes on the line, segment by segment."""
        self._hear(now)
        self._rest(now)
        at = goes_on = now
        held = False
        passage = Passage(now, now, now, now)
        for begin in range(0, max(size, 1), SEGMENT):
            part = min(SEGMENT, size - begin)
            while self._under_way and self._under_way + part > self._window:
                at = max(at, self._acknowledged[0][0])
                self._hear(at)
            full = size - begin + self._under_way > 2 * self._window
            if held and not full:
                goes_on = at
            held = full
            passage = self._line.put(part, at)
            self._under_way += part
            self._most = max(self._most, self._under_way)
            self._acknowledged.append((passage.arrives + self._latency, part))
        self._last = passage.leaves
        return Passage(now, passage.leaves, passage.arrives, passage.leaves if held else goes_on)

    def _hear(self, now: float) -> None:
        """Take the acknowledgements that are back; a window that was not made use of does not grow."""
        while self._acknowledged and self._acknowledged[0][0] <= now:
            _, part = self._acknowledged.popleft()
            self._under_way -= part
            if self._window < 2 * self._most:
                self._window += part

    def _rest(self, now: float) -> None:
        """Make the window smaller after an idle time."""
        if self._under_way:
            return
        self._most = 0
        timeouts = (now - self._last) / self._timeout if now > self._last > -math.inf else 0.0
        self._window = max(INITIAL_WINDOW, round(self._window * 0.5 ** math.floor(min(timeouts, 64.0))))


AnyLine = Line | SlowStartLine


def line_of(network: Network, jitter: Jitter | None = None) -> AnyLine:
    """Return a line of this network, with TCP's slow start if the network has it."""
    return SlowStartLine(network, jitter) if network.slow_start else Line(network, jitter)
