"""The roles of the masked engines as long-running services use them: queries of many submitters, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgpack
import trio

from parties.actor import Actor
from parties.kept import MODEL_PART, KeptCentre, KeptDealer, KeptServer
from parties.masked import SERVERS, MaskedServer, Parts, first_share
from parties.private import unpack_model
from pehealth.codec.packing import Words, packed_size, unpack
from pehealth.config import Party
from pehealth.crypto.prg import KEY_BYTES
from pehealth.errors import ConfigError, MaterialError
from pehealth.nets.describe import Network
from pehealth.nets.masked_material import load_query
from pehealth.nets.weights import QuantizedModel
from pehealth.protocols.context import SentBy, receive
from pehealth.store.leases import Lease, LeaseBook
from pehealth.store.material import DEFAULT_BLOCK, MaterialStore
from pehealth.store.ranges import Ranges
from pehealth.store.state import StoreState
from transport.interfaces import Endpoint, Phase, Tag

INPUT = Tag(Phase.ONLINE, 0)


class ServingServer(KeptServer):
    """E1 or E2: any index of any submitter, if it is leased to it."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor)
        self._uploads: dict[int, Words] = {}

    async def keep(self, parts: Parts) -> None:
        """Write this server's part of a new deployment."""
        await self._custody.keep(parts)

    async def commit(self) -> None:
        """Note that every party has its part."""
        await self._custody.handle("commit")

    async def take_up(self) -> None:
        """Read this server's part of a deployment of earlier; open the store of material."""
        await self._custody.handle("open")
        await self.resume()
        await self._store()

    async def opened(self) -> MaterialStore:
        """Return the store of material."""
        return await self._store()

    async def state(self) -> StoreState:
        """Return what the other server must know of the store."""
        store = await self._store()
        return await self._actor.on_disk(store.state)

    @property
    def still(self) -> trio.Lock:
        """Held while the two servers tell each other what is spent: nothing may be reserved meanwhile."""
        return self._loading

    async def agree(self, theirs: StoreState, ours: StoreState) -> None:
        """Take the other server's state; what it has spent is spent here, and what was made ready of it is dropped.

        Raises:
            MaterialError: its store cannot go with ours.
        """
        store = await self._store()
        await self._actor.on_disk(store.agree, theirs, ours)
        for index in [index for index in self._ready if not store.is_open(index)]:
            del self._ready[index]

    async def usable(self) -> Ranges:
        """Return which indices can still serve a query here."""
        store = await self._store()
        return await self._actor.on_disk(lambda: store.usable)

    async def grant(self, leases: Iterable[Lease]) -> None:
        """Note what the centre leased."""
        store = await self._store()
        for lease in leases:
            await self._actor.on_disk(store.grant, lease)

    async def check_lease(self, index: int, who: str) -> None:
        """Raise MaterialError unless the index is leased to `who`."""
        store = await self._store()
        store.check_lease(index, who)

    def is_ready(self, index: int) -> bool:
        """True for a query whose material is loaded."""
        return index in self._ready

    async def make_ready(self, index: int, who: str) -> None:
        """Reserve, read and prepare one query's material, unless that was done. Errors as `MaterialStore.take`."""
        store = await self._store()
        async with self._loading:
            if index in self._ready:
                return
            if not store.is_open(index):
                block = Ranges(((index, index + DEFAULT_BLOCK),))
                await self._actor.on_disk(store.reserve, DEFAULT_BLOCK, who, block)
            await self.prepare(index, await self._actor.on_disk(store.take, index))

    async def prepare(self, query: int, record: bytes) -> None:
        """Load one query's material; whoever dealt it need not be linked now."""
        if self._common is None:
            raise ConfigError("a server prepares queries after it was set up")
        common = self._common.child("query", query)
        self._ready[query] = await self._actor.compute(
            load_query, self._plan, self._actor.party, record, self._models, common
        )

    async def receive_upload(self, link: Endpoint) -> Words:
        """Take a submitter's share of a batch of readings, (batch, inputs) mod 2^k."""
        p, network = self._actor.start.parameters, self._actor.start.network
        shape = (p.batch, network.inputs)
        if self._actor.party is Party.E1:
            return first_share(await receive(link, INPUT, KEY_BYTES), shape, p.ring)
        payload = await receive(link, INPUT, packed_size(shape[0] * shape[1], p.ring))
        with SentBy(link, INPUT):
            return unpack(payload, shape, p.ring)

    async def walk(self, index: int, who: str, upload: Words) -> None:
        """Admit a query, once, and answer it; its material is ready.

        Raises:
            MaterialError: the index is not the submitter's, or was used or burnt.
        """
        store = await self._store()
        store.accept(index, who)
        self._uploads[index] = upload
        try:
            await MaskedServer.answer(self, index)
        finally:
            self._uploads.pop(index, None)
        store.met(index)

    async def _take_upload(self, query: int) -> Words:
        return self._uploads.pop(query)

    def drop(self, indices: Iterable[int]) -> None:
        """Give up queries that were made ready."""
        dropped = [index for index in indices if self._ready.pop(index, None) is not None]
        if self._kept_store is not None:
            self._kept_store.drop(dropped)

    async def store_records(self, first: int, count: int) -> None:
        """Take records of material from the dealer into the store."""
        async with trio.open_nursery() as nursery:
            for index in range(first, first + count):
                nursery.start_soon(self.store, index)

    async def used(self) -> int:
        """Return how many records were used, ever."""
        store = await self._store()
        await self._actor.on_disk(store.sweep)
        return await self._actor.on_disk(lambda: store.used)

    async def sweep(self) -> None:
        """Delete used records from the disk."""
        if self._kept_store is not None:
            await self._actor.on_disk(self._kept_store.sweep)


class ServingDealer(KeptDealer):
    """DEALER."""

    async def keep(self, parts: Parts) -> None:
        """Write what the dealer knows of a new deployment."""
        await self._custody.keep(parts)

    async def commit(self) -> None:
        """Note that every party has its part."""
        await self._custody.handle("commit")

    async def take_up(self) -> None:
        """Read what the dealer knows of a deployment of earlier."""
        await self._custody.handle("open")
        await self.resume()


class ServingCentre(KeptCentre):
    """HC: deploys, deals unless a dealer does, receives results."""

    def __init__(self, actor: Actor, model: QuantizedModel) -> None:
        super().__init__(actor, model)
        self._opening = trio.Lock()

    async def keep(self, parts: Parts) -> None:
        """Write what the centre holds of a new deployment, the model with it."""
        await self._custody.keep(parts | self._model_parts())

    async def commit(self) -> None:
        """Note that every party has its part."""
        await self._custody.handle("commit")

    async def take_up(self) -> None:
        """Read what the centre holds of a deployment of earlier."""
        await self._custody.handle("open")
        await self._resume()

    async def book(self) -> LeaseBook:
        """Return the book of leases."""
        async with self._opening:
            if self._book is None:
                self._book = await self._actor.on_disk(self._custody.open_book)
            return self._book

    @property
    def deals(self) -> KeptDealer:
        """The centre's offline half.

        Raises:
            MaterialError: a dealer is a party of its own.
        """
        if self._kept_dealer is None:
            raise MaterialError("HC does not deal: DEALER is a party of its own")
        return self._kept_dealer

    async def collect(self, index: int) -> Mapping[str, Any]:
        """Return the logits or classes of a query, once both servers have sent their shares."""
        result = dict(await self._collect(index))
        del result["at"]
        return result


def model_of(part: bytes, network: Network) -> QuantizedModel:
    """Return the model that the centre keeps under `MODEL_PART`."""
    return unpack_model(msgpack.unpackb(part), network)


__all__ = ["MODEL_PART", "SERVERS", "ServingCentre", "ServingDealer", "ServingServer", "model_of"]
