"""Both servers of a protocol over a real link, with their meters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import trio
import trio.testing

from pehealth.config import Engine, Parameters, Party
from pehealth.crypto.prg import Prg
from pehealth.protocols.context import Context
from pehealth.protocols.cost import Cost, Ops
from transport.interfaces import Clock, Phase
from transport.memory import memory_pair
from transport.meter import Meter, MeterReport
from transport.testing import open_local

QUERY = 7
LAYER = 3
PAIRS = {"memory": memory_pair, "lockstep": trio.testing.lockstep_stream_pair}

Body = Callable[[Context], Awaitable[Any]]


async def at_once(function: Callable[..., Any], *args: object) -> Any:
    await trio.lowlevel.checkpoint()
    return function(*args)


@dataclass
class Ran:
    """What both servers returned, and what they counted."""

    first: Any
    second: Any
    report: MeterReport
    ops: Ops
    opened: dict[str, list[bytes]]

    def assert_cost(self, cost: Cost) -> None:
        """Measured == declared, to the byte and the round."""
        self.report.check_conserved()
        assert self.report.links(Phase.ONLINE) == dict(cost.links)
        assert self.report.server_rounds(Phase.ONLINE) == cost.server_rounds
        assert self.report.depth(Phase.ONLINE) == cost.depth
        assert dict(self.ops) == dict(cost.ops)


class Recorder:
    """An endpoint that remembers what arrived: a server's view."""

    def __init__(self, inner: Any, seen: list[bytes]) -> None:
        self._inner, self._seen = inner, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def receive(self, tag: Any, *, most: int) -> bytes:
        payload = await self._inner.receive(tag, most=most)
        self._seen.append(payload)
        return payload


async def run_servers(
    body: Callable[[Context], Awaitable[Any]], *, ring: int = 32, link: str = "memory", common: Prg | None = None
) -> Ran:
    """Run `body` as E1 and as E2 at once."""
    parameters = Parameters(Engine.DEALT, 4, ring)
    shared = common or Prg.insecure_seed(1)
    meters = {str(p): Meter(str(p)) for p in (Party.E1, Party.E2)}
    results: dict[Party, Any] = {}
    seen: dict[str, list[bytes]] = {"E1": [], "E2": []}
    total: Ops = Ops()
    async with open_local(["E1", "E2"], meters=meters, make_pair=PAIRS[link]) as links:

        async def be(party: Party) -> None:
            end = links[party][party.other].endpoint(QUERY, Clock())
            ctx = Context(party, Recorder(end, seen[party]), parameters, shared, at_once, QUERY).at(LAYER)
            results[party] = await body(ctx)
            for counted in ctx.ops.values():
                total.update(counted)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(be, Party.E1)
            nursery.start_soon(be, Party.E2)
    report = MeterReport.merge(m.report() for m in meters.values())
    return Ran(results[Party.E1], results[Party.E2], report, total, seen)


@pytest.fixture(params=sorted(PAIRS))
def link(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def servers() -> Callable[..., Awaitable[Ran]]:
    return run_servers
