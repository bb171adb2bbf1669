"""What a party computes under a virtual clock counts as if it had a core of its own.

Virtual time moves only while everybody sleeps. So a task that has computed sleeps for as long before it sends or waits:
for the processor time that it took, which other programs on the machine do not change.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import TypeVar
from weakref import WeakKeyDictionary

import trio

from transport.interfaces import Endpoint, Tag

T = TypeVar("T")


class Stopwatch:
    """Charges every task of one party for what it computed since it last waited.

    Where nothing waits in between, this is what a party computes for itself: no other task ran.
    """

    def __init__(self) -> None:
        self._since: WeakKeyDictionary[trio.lowlevel.Task, float] = WeakKeyDictionary()

    def resume(self) -> None:
        """Count from now on."""
        self._since[trio.lowlevel.current_task()] = thread_time()

    def now(self) -> float:
        """Return the virtual time of this task: what it has not been charged for yet has passed, too."""
        return trio.current_time() + self._pending()

    async def charge(self) -> None:
        """Let virtual time advance by what this task has computed."""
        await trio.sleep(self._pending())
        self.resume()

    async def compute(self, function: Callable[..., T], *args: object) -> T:
        """Run a plain function here, not in a thread: while a thread computes, virtual time would jump."""
        self._since.setdefault(trio.lowlevel.current_task(), thread_time())
        result = function(*args)
        await self.charge()
        return result

    def watch(self, link: Endpoint) -> Endpoint:
        """Return `link`, with every message charged for what was computed before it."""
        return _WatchedEnd(link, self)

    def _pending(self) -> float:
        now = thread_time()
        return now - self._since.get(trio.lowlevel.current_task(), now)


class _WatchedEnd:
    """An `Endpoint` whose user computes between its calls."""

    __slots__ = ("_link", "_watch")

    def __init__(self, link: Endpoint, watch: Stopwatch) -> None:
        self._link, self._watch = link, watch

    @property
    def local(self) -> str:
        """Our party's name."""
        return self._link.local

    @property
    def peer(self) -> str:
        """The other party's name."""
        return self._link.peer

    def describe(self, tag: Tag) -> str:
        """See `Endpoint.describe`."""
        return self._link.describe(tag)

    async def send(self, tag: Tag, payload: bytes | bytearray | memoryview) -> None:
        """See `Endpoint.send`."""
        await self._watch.charge()
        await self._link.send(tag, payload)
        self._watch.resume()

    async def receive(self, tag: Tag, *, most: int) -> bytes:
        """See `Endpoint.receive`."""
        await self._watch.charge()
        payload = await self._link.receive(tag, most=most)
        self._watch.resume()
        return payload
