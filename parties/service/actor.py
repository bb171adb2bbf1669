"""A party that works for months: what an `Actor` keeps of each query for a run's report is not kept here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import trio

from parties.actor import Actor, threaded
from pehealth.codec.packing import Words
from pehealth.engines.interface import Worked
from transport.interfaces import Clock, Phase

T = TypeVar("T")


@dataclass
class ServiceActor(Actor):
    """An actor that forgets.

    Attributes:
        inline: plain functions run at once, without a thread: under a virtual clock.
    """

    inline: bool = False

    async def on_disk(self, function: Callable[..., T], *args: object) -> T:
        """See `Actor.on_disk`."""
        if self.inline:
            await trio.lowlevel.checkpoint()
            return function(*args)
        return await trio.to_thread.run_sync(function, *args)

    def accept(self, query: int) -> None:
        """Nothing to remember: the store of material admits an index once, across crashes too."""

    def show(self, layer: int, share: Words) -> None:
        """Never."""

    def watch(self, query: int, layer: int, seconds: float) -> None:  # noqa: ARG002 - the actor's
        """Note where this party is, and no more."""
        self.places.enter(Phase.ONLINE, query, layer + 1)

    def spent(self, phase: Phase, seconds: float) -> None:
        """Not kept."""

    def worked(self, worked: Worked) -> None:
        """Not kept."""

    def seen(self, query: int, clock: Clock) -> None:
        """Raise a query's clock to that of its upload, which came before the query was admitted."""
        self._clocks.setdefault((Phase.ONLINE, query), Clock()).seen(clock.depth, clock.rounds)

    def rounds(self, query: int) -> int:
        """Return how many rounds between servers a query has taken online, by what this party has seen."""
        clock = self._clocks.get((Phase.ONLINE, query))
        return clock.rounds if clock is not None else 0

    def forget(self, query: int) -> None:
        """Drop all that is known of a query."""
        for phase in Phase:
            self._clocks.pop((phase, query), None)
            self.places.leave(phase, query)


async def at_once(function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - the function's
    """Run a plain function without a thread."""
    await trio.lowlevel.checkpoint()
    return function(*args)


def computing(*, inline: bool) -> Callable[..., Any]:
    """Return how plain functions are run."""
    return at_once if inline else threaded
