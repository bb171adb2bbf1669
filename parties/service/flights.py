"""Queries under way at one party: how many there may be, until when each must be done, and what ends one early."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from pehealth.errors import Busy, Draining, MaterialError, PeerAborted
from transport.errors import PeerTimeout

REMEMBERED = 1024
"""Queries that others have given up before we began them."""


@dataclass
class Flight:
    """One query under way.

    Attributes:
        who: its submitter.
        began: on trio's clock.
        scope: ends what is done for it.
        why: who gave it up, and why.
    """

    who: str
    began: float
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    why: PeerAborted | None = None


class Flights:
    """Admission of one deployment.

    Args:
        name: the party, for messages.
        most, each: most at a time in all, and of one submitter.
        seconds: how long a query may take.
    """

    def __init__(self, name: str, *, most: int, each: int, seconds: float) -> None:
        self._name, self._most, self._each, self._seconds = name, most, each, seconds
        self._running: dict[int, Flight] = {}
        self._of: Counter[str] = Counter()
        self._given_up: OrderedDict[int, PeerAborted] = OrderedDict()
        self._changed = trio.Event()
        self.closed = ""
        """Why nothing new is taken."""

    def __len__(self) -> int:
        return len(self._running)

    def full(self, who: str) -> str:
        """Return why another query of `who` has to wait; nothing if it has not."""
        if len(self._running) >= self._most:
            return f"{self._name} has {self._most} queries under way, and no more"
        if self._of[who] >= self._each:
            return f"{self._name} has {self._each} queries under way for {who}, and no more"
        return ""

    def runs(self, index: int) -> bool:
        """True while a query is under way."""
        return index in self._running

    def check_open(self) -> None:
        """Raise Draining if nothing new is taken."""
        if self.closed:
            raise Draining(f"{self._name} takes no new queries: {self.closed}")

    @contextmanager
    def begin(self, index: int, who: str, *, beyond: bool = False) -> Iterator[Flight]:
        """Be under way with a query in the block; `beyond`: even if there are enough.

        Raises:
            Busy, Draining: it is not admitted.
            MaterialError: it is under way already.
            PeerTimeout: it was not done in time.
            PeerAborted: another party gave it up.
        """
        self.check_open()
        if index in self._running:
            raise MaterialError(f"{self._name}: query {index} is under way already: use a fresh index")
        if (full := self.full(who)) and not beyond:
            raise Busy(full)
        if index in self._given_up:
            raise self._given_up.pop(index)
        began = trio.current_time()
        flight = self._running[index] = Flight(who, began)
        flight.scope.deadline = began + self._seconds
        self._of[who] += 1
        try:
            with flight.scope:
                yield flight
        finally:
            del self._running[index]
            self._of[who] -= 1
            if not self._of[who]:
                del self._of[who]
            self._changed.set()
            self._changed = trio.Event()
        if flight.scope.cancelled_caught:
            raise flight.why or PeerTimeout(f"{self._name}: query {index} was not done within {self._seconds:g} s")

    def give_up(self, index: int, origin: str, reason: str) -> None:
        """End a query because another party has; one that has not begun yet will end as it begins."""
        why = PeerAborted(origin, reason)
        flight = self._running.get(index)
        if flight is not None:
            flight.why = flight.why or why
            flight.scope.cancel()
            return
        self._given_up[index] = why
        if len(self._given_up) > REMEMBERED:
            self._given_up.popitem(last=False)

    async def wait_change(self) -> None:
        """Wait until a query has ended."""
        await self._changed.wait()

    async def drain(self, why: str, seconds: float) -> None:
        """Take nothing new, and wait for what is under way; what is not done in time is given up."""
        self.closed = self.closed or why
        with trio.move_on_after(seconds):
            while self._running:
                await self.wait_change()
        for index in list(self._running):
            self.give_up(index, self._name, why)
        while self._running:
            await self.wait_change()
