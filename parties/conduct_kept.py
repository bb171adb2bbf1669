"""The conductor of parties that keep their state: it deploys once, deals ahead, and takes up where a crash left off.

It stands outside the protocol like its parent: what a party may do is checked by that party, from its own disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parties.conduct import Conductor, Crew, Outcome, Progress
from pehealth.config import Party
from pehealth.errors import ConfigError, MaterialError

SLICE = 16
"""Queries that are dealt before the next are ordered."""


class KeptConductor(Conductor):
    """Drives one session over a crew whose parties were given folders."""

    def __init__(
        self, crew: Crew, now: Callable[[], float], progress: Progress, deployed: Callable[[], None] | None = None
    ) -> None:
        super().__init__(crew, now, progress)
        self._deployed = deployed
        """Is called once the deployment stands."""
        self.outcome.dealt = range(0)
        self.remedy = ""
        """Where nothing may be dealt: what to say to whoever has too little."""
        self._keepers = tuple(n for n in crew.names if not n.startswith(Party.HMS))
        self._servers = self._named(Party.E1, Party.E2)
        self._dealers = self._named(Party.DEALER) or self._named(Party.HC)

    async def deploy(self) -> Outcome:
        """Deploy, or find that this was done, and gather the reports."""
        async with self.hearing():
            await self.found()
            await self.finish()
        return self.outcome

    async def deal_ahead(self, count: int) -> Outcome:
        """Deal material for `count` queries into both servers' stores, and gather the reports."""
        async with self.hearing():
            await self.found(deploy=False)
            await self.deal(count)
            await self.finish()
        return self.outcome

    async def run(self, queries: int, in_flight: int = 1) -> Outcome:
        """Take up the deployment, see that there is material, run `queries` queries, and gather the reports."""
        async with self.hearing():
            began = self._now()
            await self.found()
            await self._all("join", self._servers)
            indices = await self.lease(queries)
            self.outcome.setup_seconds = self._now() - began - self.outcome.deal_seconds
            await self.serve(indices, in_flight)
            await self.finish()
        return self.outcome

    async def _all(self, op: str, names: tuple[str, ...], number: int = 0) -> dict[str, Mapping[str, Any]]:
        """Have each party do `op`; return what each says."""
        await self._order(op, names, number)
        done = await self._wait({(name, op) for name in names}, number)
        return {name: done[name, op] for name in names}

    async def found(self, *, deploy: bool = True) -> None:
        """Deploy if nothing is deployed, else have every party take up its part.

        Raises:
            ConfigError: the parties' folders do not belong together; or nothing is deployed, and nothing may be.
        """
        began = self._now()
        standing = await self._all("open", self._keepers)
        names = {event["deployment"] for event in standing.values()}
        if any(event["committed"] for event in standing.values()):
            if len(names) > 1:
                raise ConfigError(_apart(standing))
            await self._all("resume", self._crew.names)
            self.outcome.deployed = False
        elif deploy:
            await self.setup()
        else:
            raise ConfigError("nothing is deployed in this --state directory: pehealth deploy first")
        await self._all("commit", self._keepers)
        if self._deployed is not None:
            self._deployed()
        self.outcome.setup_seconds = self._now() - began

    async def lease(self, queries: int) -> tuple[int, ...]:
        """Return the indices that the centre leases to this session's sensors; deal what is missing.

        Raises:
            MaterialError: material is missing, and nothing is to be dealt.
        """
        missing = queries - await self._stock()
        if missing > 0 and self.remedy:
            raise MaterialError(f"{queries} queries are to run, and material for {missing} is missing: {self.remedy}")
        if missing > 0:
            await self.deal(missing)
            await self._stock()
        names = (*self._named(Party.HC), *self._servers, *self._named(Party.HMS))
        said = await self._all("lease", names, queries)
        return tuple(i for first, end in said[Party.HC]["indices"] for i in range(first, end))

    async def _stock(self) -> int:
        """Have both servers tell the centre what they have; return how many queries its sensors can make."""
        self.outcome.stocktakings += 1
        said = await self._all("stock", (*self._named(Party.HC), *self._servers))
        return int(said[Party.HC]["usable"])

    async def deal(self, count: int) -> None:
        """Deal material for `count` queries."""
        began = self._now()
        said = await self._all("allot", self._dealers, count)
        first = int(said[self._dealers[0]]["first"])
        for start in range(first, first + count, SLICE):
            part = range(start, min(start + SLICE, first + count))
            for query in part:
                await self._order("store", self._servers, query)
                await self._order("deal", self._dealers, query)
            for query in part:
                expected = {(n, "store") for n in self._servers} | {(n, "deal") for n in self._dealers}
                await self._wait(expected, query)
            self._progress("dealing material", part[-1] - first + 1, count)
        self.outcome.dealt = range(first, first + count)
        self.outcome.deal_seconds = self._now() - began

    async def serve(self, queries: Sequence[int], in_flight: int) -> None:
        """Run queries, `in_flight` at once; the next are prepared in the gap, before anybody waits for them.

        Not beside those that are online: on two cores that doubled the median latency (docs/material.md).
        """
        groups = [queries[at : at + in_flight] for at in range(0, len(queries), in_flight)]
        await self._prepare(groups[0])
        for group, following in zip(groups, [*groups[1:], ()], strict=True):
            await self.together(group)
            await self._prepare(following)
            self._progress("queries", len(self.outcome.collected), len(queries))

    async def _prepare(self, group: Sequence[int]) -> None:
        for query in group:
            await self.offline(query)

    async def offline(self, query: int) -> None:
        """Have both servers load and prepare one query's material."""
        said = await self._all("prepare", self._servers, query)
        share = self.outcome.deal_seconds / max(1, len(self.outcome.dealt or ()))
        self.outcome.offline_seconds[query] = share + max(event["seconds"] for event in said.values())


def _apart(standing: Mapping[str, Mapping[str, Any]]) -> str:
    shown = ", ".join(f"{name} {event['deployment'][:8] or 'none'}" for name, event in standing.items())
    return (
        f"the parties' folders hold different deployments ({shown}): put back the folder that is missing or old, or "
        "take another --state directory and deploy again"
    )
