"""The roles of the masked engines when parties keep their state: nothing is dealt, leased or used twice.

Material is dealt ahead into the servers' stores. The centre leases indices to the sensors of a session; a query's
number is its index. A server reserves a block durably, then loads record after record ahead, so that neither a commit,
nor a read, nor parsing lies on a query's path.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import trio
from numpy.typing import NDArray

from parties.actor import Actor
from parties.custody import OWN_OPERATIONS, Custody
from parties.masked import (
    COMMON_PART,
    SERVERS,
    MaskedCentre,
    MaskedDealer,
    MaskedSensor,
    MaskedServer,
    Parts,
    model_part,
    secret_part,
)
from parties.notes import NOTE_BYTES, pack_leases, pack_stock, unpack_leases, unpack_stock
from parties.private import pack_model
from pehealth.codec.material_file import DIGEST_BYTES, check_tied, tied
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from pehealth.errors import ConfigError, MaterialError
from pehealth.nets.weights import QuantizedModel
from pehealth.protocols.blob import receive_blob, send_blob
from pehealth.protocols.context import SentBy, receive, send
from pehealth.store.leases import LeaseBook
from pehealth.store.material import DEFAULT_BLOCK, MaterialStore
from pehealth.store.ranges import Ranges
from pehealth.store.state import STATE_BYTES, StoreState
from transport.interfaces import Phase, Tag

STATE, STOCK, LEASE = (Tag(Phase.SETUP, 0, step) for step in (1, 2, 3))
GROUP = str(Party.HMS)
"""The submitter to whom this session's indices are leased: its sensors together."""
MODEL_PART, MODEL_DIGEST = "model", "model digest"


class KeptDealer(MaskedDealer):
    """Deals ahead; binds each record to its index, server and deployment."""

    def __init__(self, actor: Actor, custody: Custody | None = None) -> None:
        super().__init__(actor)
        self._custody = custody or Custody(actor)
        self._dealing = trio.Lock()

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "open", "setup", "commit", "resume", "allot" (`query` of them) or "deal"."""
        if op in OWN_OPERATIONS:
            return await self._custody.handle(op)
        if op == "setup":
            await self._custody.keep(await self.setup())
        elif op == "resume":
            await self.resume()
        elif op == "allot":
            return await self.allot(query)
        else:
            return await super().handle(op, query)
        return {}

    async def resume(self) -> None:
        """Take up what was learned at deployment."""
        layers = self._actor.start.network.linear_layers
        parts = await self._custody.take_up(map(secret_part, layers))
        for placed in layers:
            self.learn(placed, parts[secret_part(placed)])

    async def allot(self, count: int) -> Mapping[str, Any]:
        """Take `count` indices that were never dealt."""
        indices = await self._actor.on_disk(self._custody.deployment.allot, count)
        return {"first": indices.start}

    async def deal(self, query: int) -> None:
        """Deal one query's material to both servers, one query after the other."""
        async with self._dealing:
            records = await self.make(query)
        for server, record in zip(SERVERS, records, strict=True):
            frame = tied(self._custody.deployment.digest, server, query, record)
            await send_blob(self._actor.endpoint(server, Phase.OFFLINE, query), Phase.OFFLINE, 0, frame)


class KeptCentre(MaskedCentre):
    """Deploys once; leases indices that both servers have."""

    def __init__(self, actor: Actor, model: QuantizedModel) -> None:
        super().__init__(actor, model)
        self._custody = Custody(actor)
        self._kept_dealer = KeptDealer(actor, self._custody) if self._dealer is not None else None
        self._dealer = self._kept_dealer
        self._book: LeaseBook | None = None
        self._stock = Ranges()

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do what a centre does, or "open", "commit", "resume", "allot", "stock", "lease" (`query` indices)."""
        if op in OWN_OPERATIONS:
            return await self._custody.handle(op)
        if op == "setup":
            await self._custody.keep(await self.setup() | self._model_parts())
        elif op == "resume":
            await self._resume()
        elif op == "allot" and self._kept_dealer is not None:
            return await self._kept_dealer.allot(query)
        elif op == "stock":
            return await self._take_stock()
        elif op == "lease":
            return await self._lease(query)
        else:
            return await super().handle(op, query)
        return {}

    def _model_parts(self) -> Parts:
        return {MODEL_PART: msgpack.packb(pack_model(self._model)), MODEL_DIGEST: self._model.digest()}

    async def _resume(self) -> None:
        parts = await self._custody.take_up([MODEL_DIGEST])
        if parts[MODEL_DIGEST] != self._model.digest():
            raise ConfigError(
                f"HC: another model is deployed in {Path(self._actor.start.state).parent} than "
                f"{self._model.network.name} now has: take another --state directory, or the model of old"
            )
        if self._kept_dealer is not None:
            await self._kept_dealer.resume()

    async def _take_stock(self) -> Mapping[str, Any]:
        """Hear what each server has; an index serves only if both do."""
        a = self._actor
        if self._book is None:
            self._book = await a.on_disk(self._custody.open_book)
        both = []
        for server in SERVERS:
            link = a.endpoint(server, Phase.SETUP, 0)
            note = await receive(link, STOCK, NOTE_BYTES)
            with SentBy(link, STOCK):
                both.append(unpack_stock(note))
        self._stock = both[0] & both[1]
        return {"usable": len(self._book.usable(GROUP, self._stock))}

    async def _lease(self, count: int) -> Mapping[str, Any]:
        """Lease indices to the sensors, and tell them and both servers."""
        a = self._actor
        if self._book is None:
            raise ConfigError("HC: nothing is leased before the servers have said what they have")
        indices = await a.on_disk(self._book.lease, GROUP, count, self._stock)
        note = pack_leases(self._book.covering(indices), indices)
        for name in a.start.everyone:
            if name in SERVERS or name.startswith(GROUP):
                await send(a.endpoint(name, Phase.SETUP, 0), LEASE, note)
        return {"indices": [list(span) for span in indices]}


class KeptSensor(MaskedSensor):
    """Names the indices of its lease, one after the other."""

    def __init__(self, actor: Actor, readings: NDArray[np.int64]) -> None:
        super().__init__(actor, readings)
        self._places: dict[int, int] = {}

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do what a sensor does, or "resume" or "lease"."""
        if op == "resume":
            return {}
        if op != "lease":
            return await super().handle(op, query)
        centre = self._actor.endpoint(Party.HC, Phase.SETUP, 0)
        note = await receive(centre, LEASE, NOTE_BYTES)
        with SentBy(centre, LEASE):
            _, indices = unpack_leases(note)
        self._places = {index: place for place, index in enumerate(indices.indices)}
        return {}

    def _place(self, query: int) -> int:
        if query not in self._places:
            raise MaterialError(f"{self._actor.start.name}: index {query} is not leased to us: ask HC for a lease")
        return self._places[query]


class KeptServer(MaskedServer):
    """Keeps its half of the model, the servers' common key, and its store of material."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        self._custody = Custody(actor)
        self._kept_store: MaterialStore | None = None
        self._opening, self._writing, self._loading = trio.Lock(), trio.Lock(), trio.Lock()
        self._arrived: dict[int, bytes] = {}
        """Dealt, and not written yet."""
        self._session, self._reserved = Ranges(), set[int]()

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do what a server does, or "open", "commit", "resume", "join", "stock", "lease" or "store"."""
        if op in OWN_OPERATIONS:
            return await self._custody.handle(op)
        if op == "setup":
            await self._custody.keep(await self.setup())
        elif op == "prepare":
            return await self._prepare_ahead(query)
        elif op == "store":
            await self.store(query)
        elif op in (steps := {"resume": self.resume, "join": self.join, "stock": self.stock, "lease": self.lease}):
            await steps[op]()
        else:
            return await super().handle(op, query)
        return {}

    async def resume(self) -> None:
        """Take up half of the model and the common key."""
        layers = self._actor.start.network.linear_layers
        parts = await self._custody.take_up([COMMON_PART, *map(model_part, layers)])
        self._common = Prg(parts[COMMON_PART])
        for placed in layers:
            await self._actor.compute(self._learn, placed, parts[model_part(placed)])

    async def _store(self) -> MaterialStore:
        async with self._opening:
            if self._kept_store is None:
                self._kept_store = await self._actor.on_disk(self._custody.open_store)
            return self._kept_store

    async def join(self) -> None:
        """Tell the other server what is spent, and hear it: whatever either has spent is spent for both.

        Raises:
            MaterialError: the other's store is of another deployment, or was put back from an older copy.
        """
        a, store = self._actor, await self._store()
        link = a.endpoint(a.party.other, Phase.SETUP, 0)
        ours = await a.on_disk(store.state)
        await send(link, STATE, ours.pack())
        told = await receive(link, STATE, STATE_BYTES)
        with SentBy(link, STATE):
            theirs = StoreState.unpack(told)
        await a.on_disk(store.agree, theirs, ours)

    async def stock(self) -> None:
        """Tell the centre which indices are there and unused."""
        store = await self._store()
        note = pack_stock(await self._actor.on_disk(lambda: store.stock))
        await send(self._actor.endpoint(Party.HC, Phase.SETUP, 0), STOCK, note)

    async def lease(self) -> None:
        """Hear from the centre which indices are whose, and which are this session's."""
        store, centre = await self._store(), self._actor.endpoint(Party.HC, Phase.SETUP, 0)
        note = await receive(centre, LEASE, NOTE_BYTES)
        with SentBy(centre, LEASE):
            leases, self._session = unpack_leases(note)
        for lease in leases:
            await self._actor.on_disk(store.grant, lease)

    async def store(self, query: int) -> None:
        """Take one query's record from the dealer into the store; what waits meanwhile is written in one go."""
        a, store = self._actor, await self._store()
        link = a.endpoint(self._source, Phase.OFFLINE, query)
        size = self._plan.record_bytes(a.party) + DIGEST_BYTES
        frame = await receive_blob(link, Phase.OFFLINE, 0, size)
        self._arrived[query] = check_tied(self._custody.deployment.digest, a.party, query, frame, self._source)
        async with self._writing:
            batch, self._arrived = self._arrived, {}
            if batch:
                await a.on_disk(store.add, sorted(batch.items()))

    async def _prepare_ahead(self, query: int) -> Mapping[str, Any]:
        """Reserve, read and prepare one query's material."""
        a, store = self._actor, await self._store()
        store.check_lease(query, GROUP)
        async with self._loading:
            began = a.now()
            if query not in self._reserved:
                self._reserved.update(await a.on_disk(store.reserve, DEFAULT_BLOCK, GROUP, self._session))
            await self.prepare(query, await a.on_disk(store.take, query))
            return {"seconds": a.now() - began}

    async def answer(self, query: int) -> None:
        """Admit a query, once, and walk the network with it."""
        store = await self._store()
        # Without a thread: an index that was reserved ahead is looked up in memory.
        store.accept(query, GROUP)
        await super().answer(query)
        store.met(query)
