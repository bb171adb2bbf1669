"""A deployment at E1 or E2: it admits queries, keeps a few ready ahead, and answers them with the other server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from parties.operation.interface import OK
from parties.service.ahead import MOST_EXPECTED, Ahead
from parties.service.fields import MOST_SPANS, Fields
from parties.service.flights import Flights
from parties.service.requests import Handler, Line
from parties.service.roles import ServingServer
from parties.service.rooms import Around, ModelRoom, is_client
from parties.service.spec import Spec
from pehealth.config import Party
from pehealth.errors import Busy, ConfigError, Draining, MaterialError, PeerProtocolError, PehealthError
from pehealth.store.leases import Lease
from pehealth.store.state import STATE_BYTES, StoreState
from transport.errors import PeerTimeout, TransportError
from transport.interfaces import Clock

MOST_DEALT = 256
_AGAIN_SECONDS = 0.2
"""Between two attempts to meet a server that has not committed yet."""


class ServerRoom(ModelRoom):
    """One deployment at one of the two servers."""

    def __init__(self, around: Around, spec: Spec, folder: Path) -> None:
        super().__init__(around, spec, folder)
        self.role: ServingServer = ServingServer(self.actor)
        limits = around.settings.service
        self._seconds = limits.query_seconds
        self.flights = Flights(
            self.name, most=limits.in_flight, each=limits.in_flight_each, seconds=limits.query_seconds
        )
        self._ahead = Ahead(self.role, self.flights, limits.prepared, self._wait_met)
        self._other = str(Party(self.name).other)
        self._met, self._apart = trio.Event(), ""
        self._storing: dict[int, trio.CancelScope] = {}

    def handlers(self, peer: str) -> Mapping[str, Handler]:
        """Say who may ask for what."""
        known: dict[str, Handler] = {}
        if peer == Party.HC:
            known |= {"grant": self._grant, "stock": self._stock, "give_up": self._give_up}
        if peer == self.spec.source:
            known |= {"store": self._store, "cease": self._cease}
        if peer == self._other:
            known |= {"meet": self._meet, "admitted": self._admitted, "give_up": self._give_up}
        if is_client(peer):
            known |= {"submit": self._submit, "give_up": self._client_gives_up}
        return known

    @property
    def in_flight(self) -> int:
        """Queries under way."""
        return len(self.flights)

    async def used(self) -> int:
        """Return how many queries this server has answered."""
        return await self.role.used()

    async def facts(self) -> Mapping[str, Any]:
        """Say what is there, and how much can be answered with what is on disk."""
        left = len(await self.role.usable()) if self.committed.is_set() else 0
        return {**await super().facts(), "left": left, "ready": self._ahead.count}

    async def drain(self, why: str, seconds: float) -> None:
        """See `ModelRoom.drain`."""
        await self.flights.drain(why, seconds)

    async def run(self) -> None:
        """Prepare ahead, and throw away what nobody takes, for as long as the deployment lasts."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ahead.run)
            while True:
                await trio.sleep(self._seconds)
                for channel in list(self.room.links.values()):
                    channel.sweep()
                await self.role.sweep()

    # ---- the other server

    async def linked(self, line: Line) -> None:
        """With every new link the two servers tell each other first what is spent; E1 begins."""
        if line.peer != self._other:
            return
        self._lose_touch()
        await self.committed.wait()
        while Party(self.name) is Party.E1:
            try:
                async with self.role.still:
                    ours = await self.role.state()
                    reply = await line.ask("meet", within=self._seconds, state=ours.pack())
                    await self.role.agree(_state_in(reply.get("state"), self._other), ours)
            except ConfigError:  # it has not committed yet
                await trio.sleep(_AGAIN_SECONDS)
            except MaterialError as error:
                self._part(error)
                return
            else:
                self._met.set()
                return

    def unlinked(self, peer: str) -> None:
        """What was agreed with the other server ends with the link; what is ready for a client, too."""
        if peer == self._other:
            self._lose_touch()
        elif is_client(peer):
            self._ahead.leave(peer)

    async def _meet(self, _who: str, f: Fields) -> Mapping[str, Any]:
        theirs = _state_in(f.octets("state", STATE_BYTES), self._other)
        f.finish()
        if not self.committed.is_set():
            raise ConfigError(f"{self.name}: {self.spec.title} is not committed here yet")
        try:
            async with self.role.still:
                ours = await self.role.state()
                await self.role.agree(theirs, ours)
        except MaterialError as error:
            self._part(error)
            raise
        self._met.set()
        return {"state": ours.pack()}

    def _lose_touch(self) -> None:
        before, self._met, self._apart = self._met, trio.Event(), ""
        before.set()  # who waits looks at the new one

    def _part(self, error: MaterialError) -> None:
        self._apart = str(error)
        self._met.set()
        self.around.report(f"{self.name}: {self.spec.title} cannot be used: {error}")

    async def _wait_met(self) -> None:
        while not self._met.is_set():
            await self._met.wait()
        if self._apart:
            raise MaterialError(self._apart)

    async def _admitted(self, _who: str, f: Fields) -> Mapping[str, Any]:
        index = f.index()
        f.finish()
        return {"admitted": self.flights.runs(index)}

    async def _give_up(self, _who: str, f: Fields) -> Mapping[str, Any]:
        index, origin, reason = f.index(), f.text("origin", 64), f.text("reason", 2000)
        f.finish()
        self.flights.give_up(index, origin, reason)
        return {}

    # ---- the centre and the dealer

    async def _grant(self, _who: str, f: Fields) -> Mapping[str, Any]:
        client, spans = f.text("client", 64), f.spans("spans")
        f.finish()
        if not is_client(client):
            raise PeerProtocolError(f"request 'grant': {client!r} is no client")
        if len(spans) > MOST_EXPECTED:
            raise PeerProtocolError(f"request 'grant': {len(spans)} indices at once; {MOST_EXPECTED} are taken")
        await self.role.grant(Lease(client, first, until - first) for first, until in spans)
        self._ahead.expect(client, spans)
        return {}

    async def _stock(self, _who: str, f: Fields) -> Mapping[str, Any]:
        f.finish()
        await self._within(self.committed.wait, "the deployment to be committed")
        usable = await self.role.usable()
        return {"spans": [list(span) for span in usable.spans[:MOST_SPANS]]}

    async def _store(self, _who: str, f: Fields) -> Mapping[str, Any]:
        first, count = f.index("first"), f.number("count", 1, MOST_DEALT)
        f.finish()
        await self._within(self.committed.wait, "the deployment to be committed")
        scope = self._storing[first] = trio.CancelScope()
        try:
            with scope:
                await self.role.store_records(first, count)
        finally:
            del self._storing[first]
            for index in range(first, first + count):
                self.actor.forget(index)
        if scope.cancelled_caught:
            for index in range(first, first + count):
                self._forget_at(self.spec.source, index)
            raise MaterialError(f"{self.name}: the dealer gave up dealing indices {first} to {first + count - 1}")
        return {}

    async def _cease(self, _who: str, f: Fields) -> Mapping[str, Any]:
        first = f.index("first")
        f.finish()
        if first in self._storing:
            self._storing[first].cancel()
        return {}

    # ---- clients

    async def _submit(self, who: str, f: Fields) -> Mapping[str, Any]:
        """Answer one query: its upload follows the request on the same link."""
        index = f.index()
        f.finish()
        clock = Clock()
        with trio.move_on_after(self._seconds) as waited:
            upload = await self.role.receive_upload(self.room.links[who].endpoint(index, clock))
        if waited.cancelled_caught:
            raise PeerTimeout(f"{self.name}: {who} announced query {index} and sent no readings for it")
        began = trio.current_time()
        await self.role.check_lease(index, who)
        flew = False
        try:
            with self.flights.begin(index, who, beyond=await self._beyond(index, who)):
                flew = True
                self.actor.seen(index, clock)
                await self._wait_met()
                await self.role.make_ready(index, who)
                self._ahead.wake()
                await self.role.walk(index, who, upload)
                self._done(index, who, began, OK)
        except (PehealthError, TransportError) as error:
            if flew or isinstance(error, Draining):
                self._done(index, who, began, type(error).__name__)
                await self._fail(index, who, error)
            raise
        finally:
            if flew:
                self.actor.forget(index)
                self._ahead.wake()
        return {"done": index}

    async def _client_gives_up(self, who: str, f: Fields) -> Mapping[str, Any]:
        """End a query of the client's own, of which it has heard that another party failed."""
        index = f.index()
        f.finish()
        await self.role.check_lease(index, who)
        self.flights.give_up(index, who, "the client gave the query up")
        return {}

    async def _beyond(self, index: int, who: str) -> bool:
        """E2 takes more than its limit of what E1 has admitted: else each could be full of what the other refuses."""
        full = self.flights.full(who)
        if not full or Party(self.name) is Party.E1:
            return False
        line = self.line_now(self._other)
        if line is None:
            raise Busy(full)
        reply = await line.ask("admitted", within=self._seconds, index=index)
        return reply.get("admitted") is True

    def _done(self, index: int, who: str, began: float, outcome: str) -> None:
        spec, seconds = self.spec, trio.current_time() - began
        rounds = self.actor.rounds(index)
        self.around.operation.query_done(spec.id, spec.model, spec.version, index, who, outcome, seconds, rounds)

    async def _fail(self, index: int, who: str, error: Exception) -> None:
        """Leave nothing behind of a query that failed, and tell those who wait for us in it."""
        self.role.drop([index])
        for peer in (self._other, who):
            self._forget_at(peer, index)
        origin = getattr(error, "origin", self.name)
        for peer in (self._other, str(Party.HC)):
            line = self.line_now(peer)
            if line is not None and origin != peer:
                reason = getattr(error, "reason", str(error))[:1000]
                await line.tell("give_up", index=index, origin=origin, reason=reason)

    def _forget_at(self, peer: str, index: int) -> None:
        line = self.line_now(peer)
        if line is not None:
            line.channel.forget(index)

    async def _within(self, wait: Any, what: str) -> None:  # noqa: ANN401 - a coroutine function
        with trio.move_on_after(self._seconds) as scope:
            await wait()
        if scope.cancelled_caught:
            raise PeerTimeout(f"{self.name}: waited {self._seconds:g} s for {what}")


def _state_in(data: object, peer: str) -> StoreState:
    if not isinstance(data, bytes) or len(data) > STATE_BYTES:
        raise PeerProtocolError(f"{peer} sent a store's state that is none")
    return StoreState.unpack(data)
