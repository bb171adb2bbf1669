"""Progress of long computations: from the worker thread that computes to the launcher, a few times a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import trio

PAUSE_SECONDS = 0.25
WAITING = 16
"""Events that wait to be sent; more are dropped: the next one says more."""


class Listener(Protocol):
    """Who hears of progress."""

    async def send(self, event: Mapping[str, Any]) -> None:
        """Take an event."""
        ...


class Reporter:
    """Called with what is being computed, how much is done, and of how much.

    From a worker thread it also ends the work of a task that was cancelled meanwhile: it raises there.
    """

    def __init__(self, listener: Listener, *, threads: bool) -> None:
        """Report to `listener`; `threads` is False where everything is computed on the event loop itself."""
        self._listener, self._threads = listener, threads
        self._send, self._receive = trio.open_memory_channel[Mapping[str, Any]](WAITING)
        self._last = float("-inf")

    def __call__(self, what: str, done: int, of: int) -> None:
        """Report, unless it was done just now."""
        if self._threads:
            trio.from_thread.check_cancelled()
        now = time.monotonic()
        if done < of and now - self._last < PAUSE_SECONDS:
            return
        self._last = now
        event = {"progress": what, "at": done, "of": of}
        if self._threads:
            trio.from_thread.run_sync(self._offer, event)
        else:
            self._offer(event)

    def _offer(self, event: Mapping[str, Any]) -> None:
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            return

    async def forward(self) -> None:
        """Send on what was reported, until `close`."""
        async for event in self._receive:
            await self._listener.send(event)

    def close(self) -> None:
        """Report no more."""
        self._send.close()
