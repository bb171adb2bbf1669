"""Tasks that wait for messages of one channel, and the one watch that ends the waits that last too long.

One watch a channel instead of a cancel scope a wait: a receive costs a dictionary entry.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from transport.errors import PeerTimeout
from transport.framing import Frame
from transport.interfaces import Describe, Tag, describe_plainly
from transport.limits import Limits

_LATE_SECONDS = 1.0
"""A watch that wakes later than this was kept from running by our own process: not the peer's fault."""


class _Waiter:
    """A task that waits for one message."""

    __slots__ = ("frame", "query", "since", "tag", "task", "timeout")

    def __init__(self, query: int, tag: Tag, since: float) -> None:
        self.task = trio.lowlevel.current_task()
        self.query, self.tag, self.since = query, tag, since
        self.frame: Frame | None = None
        self.timeout: PeerTimeout | None = None


class Waits:
    """The waits of one channel, at most one for each query and phase.

    Args:
        local: our name.
        peer: the other party's name.
        limits: how long a wait may last, and how long the peer may be silent.
        describe: says what a tag of a query is.
    """

    def __init__(self, local: str, peer: str, limits: Limits, describe: Describe = describe_plainly) -> None:
        self.heard = trio.current_time()
        """When anything at all came from the peer."""
        self.stopped: str = ""
        """Why we do not read at present; silence is then our own doing."""
        self._local, self._peer, self._limits, self._describe = local, peer, limits, describe
        self._waiters: dict[int, _Waiter] = {}

    async def wait_frame(self, key: int, query: int, tag: Tag, since: float) -> Frame | None:
        """Wait for the next message under `key`; None if the link ends first. Raises PeerTimeout."""
        if key in self._waiters:
            raise RuntimeError(f"{self._local}: two tasks wait for messages of query {query} from {self._peer}: {tag}")
        waiter = self._waiters[key] = _Waiter(query, tag, since)

        def stop_waiting(_: object) -> trio.lowlevel.Abort:
            del self._waiters[key]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(stop_waiting)
        if waiter.timeout is not None:
            raise waiter.timeout
        return waiter.frame

    def deliver(self, key: int, frame: Frame) -> bool:
        """Give a message to whoever waits for it; False if nobody does."""
        waiter = self._waiters.pop(key, None)
        if waiter is None:
            return False
        waiter.frame = frame
        trio.lowlevel.reschedule(waiter.task)
        return True

    def end_all(self) -> None:
        """Wake every waiting task with nothing: the link has ended."""
        for waiter in self._waiters.values():
            trio.lowlevel.reschedule(waiter.task)
        self._waiters.clear()

    async def watch(self, lost: Callable[[float], None]) -> None:
        """End waits at their deadlines; call `lost` with the seconds once the peer was silent too long, and return.

        Wakes at least once in the shorter of the two limits, so a wait that begins later is never overlooked.
        """
        while True:
            planned = self._next_deadline()
            await trio.sleep_until(planned)
            late = trio.current_time() - planned
            if late > _LATE_SECONDS:
                self._forgive(late)
                continue
            # What arrived while we slept is read before anyone is blamed.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            now = trio.current_time()
            if not self.stopped and now >= self.heard + self._limits.silence_seconds:
                lost(now - self.heard)
                return
            self._expire(now)

    def _next_deadline(self) -> float:
        limits = self._limits
        times = [trio.current_time() + min(limits.silence_seconds, limits.deadline_seconds)]
        if not self.stopped:
            times.append(self.heard + limits.silence_seconds)
        times += [waiter.since + limits.deadline_seconds for waiter in self._waiters.values()]
        return min(times)

    def _forgive(self, late: float) -> None:
        """Do not count the time in which our own process did not let us run: the peer may have, or had to, wait too."""
        self.heard = trio.current_time()
        for waiter in self._waiters.values():
            waiter.since += late

    def _expire(self, now: float) -> None:
        for key, waiter in list(self._waiters.items()):
            if now >= waiter.since + self._limits.deadline_seconds:
                del self._waiters[key]
                waiter.timeout = self._timeout(waiter, now)
                trio.lowlevel.reschedule(waiter.task)

    def _timeout(self, waiter: _Waiter, now: float) -> PeerTimeout:
        missing = f"{self._describe(waiter.tag, waiter.query)} from {self._peer}"
        told = f"{self._local}: no {missing}, waited {now - waiter.since:.1f} s"
        if self.stopped:
            return PeerTimeout(f"{told}; we have stopped reading from {self._peer}: {self.stopped}")
        return PeerTimeout(f"{told}; last heard {now - self.heard:.1f} s ago: it is alive, but late or stuck")
