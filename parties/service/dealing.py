"""Dealing for the stores of running servers: a slice of indices at a time, from DEALER or from HC's offline half."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from parties.kept import KeptDealer
from parties.masked import SERVERS
from parties.service.fields import Fields
from parties.service.requests import Handler
from parties.service.roles import ServingDealer
from parties.service.rooms import Around, ModelRoom
from parties.service.spec import Spec
from pehealth.config import Party

SLICE = 16
"""Queries that are dealt in one go: servers write them together."""


async def deal_slice(room: ModelRoom, dealer: KeptDealer, count: int) -> range:
    """Deal material for `count` queries to both servers, and return the indices.

    What fails leaves indices that are never dealt again; those that one server alone has are not leased.

    Raises:
        PehealthError, TransportError: a server is not there, or did not take it.
    """
    patience = room.around.settings.limits.deadline_seconds
    lines = [await room.line(server, room.around.settings.service.query_seconds) for server in SERVERS]
    first = int((await dealer.allot(count))["first"])
    indices = range(first, first + count)

    async def store(server: int) -> None:
        await lines[server].ask("store", within=patience, first=first, count=count)

    async def deal() -> None:
        for index in indices:
            await dealer.deal(index)
            room.actor.forget(index)

    try:
        async with trio.open_nursery() as nursery:
            for server in range(len(SERVERS)):
                nursery.start_soon(store, server)
            nursery.start_soon(deal)
    except BaseException:
        with trio.move_on_after(1) as scope:
            scope.shield = True
            for line in lines:
                await line.tell("cease", first=first)
        raise
    finally:
        for index in indices:
            room.actor.forget(index)
    return indices


class DealerRoom(ModelRoom):
    """A deployment at DEALER, which deals when HC says so."""

    def __init__(self, around: Around, spec: Spec, folder: Any) -> None:  # noqa: ANN401 - a path
        super().__init__(around, spec, folder)
        self.role: ServingDealer = ServingDealer(self.actor)
        self._dealing = trio.Lock()
        self._dealt = 0

    def handlers(self, peer: str) -> Mapping[str, Handler]:
        """HC alone may ask, for material."""
        return {"deal": self._deal} if peer == Party.HC else {}

    async def used(self) -> int:
        """Nobody tells the dealer what its material was used for."""
        return 0

    async def _deal(self, _who: str, f: Fields) -> Mapping[str, Any]:
        count = f.number("count", 1, SLICE)
        f.finish()
        async with self._dealing:
            indices = await deal_slice(self, self.role, count)
        return {"first": indices.start, "count": len(indices)}
