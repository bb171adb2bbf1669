"""A deployment at HC: it tells clients which indices to use, collects results, and keeps material dealt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from parties.masked import SERVERS
from parties.operation.interface import OK
from parties.service.cards import ModelCard
from parties.service.dealing import SLICE, deal_slice
from parties.service.fields import Fields
from parties.service.flights import Flights
from parties.service.requests import Handler, Line
from parties.service.roles import ServingCentre
from parties.service.rooms import Around, ModelRoom, is_client
from parties.service.spec import Spec
from parties.service.spool import Spool
from parties.service.stock import MOST_LEASED, Stock
from pehealth.config import Engine, Party
from pehealth.errors import MaterialError, PehealthError
from pehealth.nets.error_bound import error_bounds
from pehealth.nets.weights import QuantizedModel
from transport.errors import TransportError

_MOST, _EACH = 4096, 256
"""Queries that HC waits for the results of: many, since waiting costs little; the servers limit what is computed."""


class CentreRoom(ModelRoom):
    """One deployment at the centre.

    Args:
        around, spec, folder: as `ModelRoom`.
        model: its integers, the centre's secret.
        spool: where results are kept.
        marks: low and high water marks of material.
    """

    def __init__(
        self, around: Around, spec: Spec, folder: Path, model: QuantizedModel, spool: Spool, marks: tuple[int, int]
    ) -> None:
        limits = around.settings.service
        super().__init__(around, spec, folder)
        self.role: ServingCentre = ServingCentre(self.actor, model)
        self.flights = Flights(self.name, most=_MOST, each=_EACH, seconds=limits.query_seconds)
        self.stock = Stock(self, self.role, self._deal, *marks)
        self.card = card_of(spec, model, limits.in_flight_each)
        self._spool = spool
        self._seconds = limits.query_seconds

    def handlers(self, peer: str) -> Mapping[str, Handler]:
        """Clients lease and wait for results; servers say what has failed."""
        if is_client(peer):
            return {"lease": self._lease, "expect": self._expect, "give_up": self._client_gives_up}
        return {"give_up": self._server_gives_up} if peer in SERVERS else {}

    async def linked(self, line: Line) -> None:
        """A server or a dealer is back: look what there is."""
        if not is_client(line.peer):
            self.stock.look_again()

    def unlinked(self, peer: str) -> None:
        """A client that comes back is told again what it has not used."""
        if is_client(peer):
            self.stock.leave(peer)

    @property
    def in_flight(self) -> int:
        """Queries whose results are waited for."""
        return len(self.flights)

    async def facts(self) -> Mapping[str, Any]:
        """Say how much material is left, and between which marks it is kept."""
        return {**await super().facts(), "left": self.stock.left, "low": self.stock.low, "high": self.stock.high}

    async def drain(self, why: str, seconds: float) -> None:
        """See `ModelRoom.drain`."""
        await self.flights.drain(why, seconds)

    async def run(self) -> None:
        """Keep material dealt, and throw away what nobody takes, for as long as the deployment lasts."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.stock.keep)
            while True:
                await trio.sleep(self._seconds)
                for channel in list(self.room.links.values()):
                    channel.sweep()

    async def _deal(self, count: int) -> None:
        if not self.spec.dealer:
            await deal_slice(self, self.role.deals, count)
            return
        patience = self.around.settings.limits.deadline_seconds
        line = await self.line(Party.DEALER, self._seconds)
        await line.ask("deal", within=patience, count=min(count, SLICE))

    async def _lease(self, who: str, f: Fields) -> Mapping[str, Any]:
        count = f.number("count", 1, MOST_LEASED)
        f.text("id", default="")
        f.finish()
        self.flights.check_open()
        indices = await self.stock.lease(who, count)
        return {"spans": [list(span) for span in indices]}

    async def _expect(self, who: str, f: Fields) -> Mapping[str, Any]:
        """Wait for the result of a query, keep it, and tell the client what it may know."""
        index, request = f.index(), f.text("request", 64, default="")
        f.finish()
        await self._check_holder(index, who)
        began, flew = trio.current_time(), False
        try:
            with self.flights.begin(index, who):
                flew = True
                result = await self.role.collect(index)
                said = self._keep(index, who, request, result)
            self._done(index, who, began, OK)
        except (PehealthError, TransportError) as error:
            if flew:
                self._done(index, who, began, type(error).__name__)
                await self._fail(index, error)
            raise
        finally:
            if flew:
                self.actor.forget(index)
        told = self.around.settings.service.clients.get(who, "receipt")
        return said if told == "result" else {name: said[name] for name in ("query", "deployment", "model", "version")}

    def _keep(self, index: int, who: str, request: str, result: Mapping[str, Any]) -> dict[str, Any]:
        card = self.card
        said = {
            "query": index, "deployment": card.deployment, "model": card.model, "version": card.version,
            "digits": card.digits, "scale": str(card.scale), "error_bound": str(card.error_bound), **result,
        }  # fmt: skip
        try:
            self._spool.add(who, request, {**said, "labels": list(card.labels)})
        except OSError as error:
            raise MaterialError(f"HC: the result of query {index} cannot be kept: {error}") from error
        return said

    async def _check_holder(self, index: int, who: str) -> None:
        book = await self.role.book()
        if book.holder(index) != who:
            raise MaterialError(f"HC: {who} names index {index}, which is not leased to it: ask for a lease")

    async def _fail(self, index: int, error: Exception) -> None:
        """Leave nothing behind of a query that failed, and tell the servers that nobody waits for it any more."""
        origin, reason = getattr(error, "origin", self.name), getattr(error, "reason", str(error))[:1000]
        for server in SERVERS:
            line = self.line_now(server)
            if line is not None:
                line.channel.forget(index)
                if origin != server:
                    await line.tell("give_up", index=index, origin=origin, reason=reason)

    def _done(self, index: int, who: str, began: float, outcome: str) -> None:
        spec, seconds = self.spec, trio.current_time() - began
        self.around.operation.query_done(spec.id, spec.model, spec.version, index, who, outcome, seconds, 0)

    async def _client_gives_up(self, who: str, f: Fields) -> Mapping[str, Any]:
        index = f.index()
        f.finish()
        await self._check_holder(index, who)
        self.flights.give_up(index, who, "the client gave the query up")
        return {}

    async def _server_gives_up(self, _who: str, f: Fields) -> Mapping[str, Any]:
        index, origin, reason = f.index(), f.text("origin", 64), f.text("reason", 2000)
        f.finish()
        self.flights.give_up(index, origin, reason)
        return {}


def card_of(spec: Spec, model: QuantizedModel, in_flight: int) -> ModelCard:
    """Return what a client is told of a deployment."""
    p, network = spec.parameters, spec.network
    bound = error_bounds(model, 1 if p.engine is Engine.RLWE else 0)[-1]
    return ModelCard(
        spec.id, spec.model, spec.version, p.engine, network.input_shape, network.classes, model.ranges, p.digits,
        p.ring, p.batch, model.logit_scale, bound, p.reveal, spec.digest(), in_flight, model.last,
    )  # fmt: skip
