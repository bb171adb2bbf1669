"""The conductor: tells parties what to do and when, and gathers what they report.

It stands outside the protocol: nothing that it sends or hears is metered, and no party needs it to be right.
In one run it drives set-up, then query after query; several queries may be in flight.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from pehealth.config import Party

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""


class Crew(Protocol):
    """The parties of a run, wherever they live."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parties."""
        ...

    async def send(self, name: str, command: Mapping[str, Any]) -> None:
        """Send a command to one party."""
        ...

    async def event(self) -> tuple[str, Mapping[str, Any]]:
        """Wait for the next event of any party; a party that failed ends the wait with the cause."""
        ...


@dataclass
class Outcome:
    """What a run gave.

    Attributes:
        logits: by query, the centre's integers (batch, classes) as nested lists.
        classes: by query, the class of each sample, where the centre received that alone.
        submitted, collected: by query, when the first sensor sent and when the centre had the result.
        deployed: the model was deployed in this session; else what was deployed before was taken up.
        stocktakings: how often the servers told the centre what they have in store.
        dealt: queries whose material was dealt in this session; None: all that ran.
        deal_seconds: what that took.
        setup_seconds: from the first set-up message to the last party's readiness.
        offline_seconds: by query, from the order to deal to both servers' readiness.
        reports: by party, `Actor.report`.
    """

    logits: dict[int, list[list[int]]] = field(default_factory=dict)
    classes: dict[int, list[int]] = field(default_factory=dict)
    submitted: dict[int, float] = field(default_factory=dict)
    collected: dict[int, float] = field(default_factory=dict)
    deployed: bool = True
    stocktakings: int = 0
    dealt: range | None = None
    deal_seconds: float = 0.0
    setup_seconds: float = 0.0
    offline_seconds: dict[int, float] = field(default_factory=dict)
    reports: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class Conductor:
    """Drives one run over a crew."""

    def __init__(self, crew: Crew, now: Callable[[], float], progress: Progress) -> None:
        self._crew, self._now, self._progress = crew, now, progress
        self._done: dict[int, dict[tuple[str, str], Mapping[str, Any]]] = {}
        self._news = trio.lowlevel.ParkingLot()
        self.outcome = Outcome()

    def _named(self, *roles: Party) -> tuple[str, ...]:
        return tuple(n for n in self._crew.names if any(n.startswith(r) for r in roles))

    async def _order(self, op: str, names: tuple[str, ...], query: int = 0) -> None:
        for name in names:
            await self._crew.send(name, {"op": op, "query": query})

    async def _listen(self) -> None:
        """Sort what parties report by query, for whoever waits for it."""
        while True:
            name, event = await self._crew.event()
            if "progress" in event:
                self._progress(f"{name} {event['progress']}", event["at"], event["of"])
                continue
            self._done.setdefault(event["query"], {})[name, event["done"]] = event
            self._news.unpark_all()

    async def _wait(self, expected: set[tuple[str, str]], query: int) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Wait until each (party, op) of `expected` is done for `query`."""
        done = self._done.setdefault(query, {})
        while expected - done.keys():
            await self._news.park()
        return {key: done.pop(key) for key in expected}

    async def setup(self) -> None:
        """Deploy the model; every party takes part."""
        self._progress("deploying the encrypted model", 0, 1)
        began = self._now()
        names = self._crew.names
        await self._order("setup", names)
        await self._wait({(n, "setup") for n in names}, 0)
        self.outcome.setup_seconds = self._now() - began
        self._progress("deploying the encrypted model", 1, 1)

    async def offline(self, query: int) -> None:
        """Deal and load the material of one query."""
        servers = self._named(Party.E1, Party.E2)
        dealers = self._named(Party.DEALER) or self._named(Party.HC)
        began = self._now()
        await self._order("prepare", servers, query)
        await self._order("deal", dealers, query)
        await self._wait({(n, "prepare") for n in servers} | {(n, "deal") for n in dealers}, query)
        self.outcome.offline_seconds[query] = self._now() - began

    async def online(self, query: int) -> None:
        """Run one query from the sensors' messages to the centre's result."""
        sensors, centre = self._named(Party.HMS), self._named(Party.HC)
        servers = self._named(Party.E1, Party.E2)
        await self._order("answer", servers, query)
        await self._order("collect", centre, query)
        await self._order("submit", sensors, query)
        expected = (
            {(n, "submit") for n in sensors} | {(n, "collect") for n in centre} | {(n, "answer") for n in servers}
        )
        done = await self._wait(expected, query)
        result = done[centre[0], "collect"]
        if "classes" in result:
            self.outcome.classes[query] = result["classes"]
        else:
            self.outcome.logits[query] = result["logits"]
        self.outcome.collected[query] = result["at"]
        self.outcome.submitted[query] = min((done[n, "submit"]["at"] for n in sensors), default=math.nan)

    async def finish(self) -> None:
        """Let every party say what it counted, and go."""
        names = self._crew.names
        await self._order("finish", names)
        done = await self._wait({(n, "finish") for n in names}, 0)
        self.outcome.reports = {name: event["report"] for (name, _), event in done.items()}

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[None]:
        """Take what parties report, as long as the block lasts."""
        async with trio.open_nursery() as listening:
            listening.start_soon(self._listen)
            yield
            listening.cancel_scope.cancel()

    async def run(self, queries: int, in_flight: int = 1) -> Outcome:
        """Set up, run `queries` queries, and gather the reports.

        With `in_flight` above 1 as many queries are dealt, and then run at once over the same links.
        """
        async with self.hearing():
            await self.setup()
            for first in range(1, queries + 1, in_flight):
                group = range(first, min(first + in_flight, queries + 1))
                for query in group:
                    await self.offline(query)
                await self.together(group)
                self._progress("queries", group[-1], queries)
            await self.finish()
        return self.outcome

    async def together(self, group: Iterable[int]) -> None:
        """Run prepared queries at once."""
        async with trio.open_nursery() as nursery:
            for query in group:
                nursery.start_soon(self.online, query)
