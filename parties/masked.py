"""The roles of the masked engines: centre, dealer, sensor and server."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parties.actor import Actor
from pehealth.codec.packing import Words, pack, packed_size, unpack
from pehealth.config import Party
from pehealth.crypto.prg import KEY_BYTES, Prg
from pehealth.crypto.ring import from_signed, to_signed
from pehealth.engines.catalog import masked_engine
from pehealth.engines.interface import Record, ring_mask
from pehealth.errors import ConfigError, MaterialError
from pehealth.nets.describe import Placed
from pehealth.nets.masked_material import deal_query, load_query
from pehealth.nets.plan import sensor_parts
from pehealth.nets.plan_masked import material_plan
from pehealth.nets.run_masked import Helpers, ReadyQuery, run_masked, silent
from pehealth.nets.stages import result_form
from pehealth.nets.weights import QuantizedModel
from pehealth.protocols.blob import receive_blob, send_blob
from pehealth.protocols.context import Context, SentBy, receive, send
from transport.interfaces import Phase, Tag

Parts = dict[str, bytes]
"""What a party holds of a deployment, by name: what a role that keeps its state writes to disk."""
COMMON_KEY = Tag(Phase.SETUP, 0, 0)
COMMON_PART = "common key"
SERVERS = (Party.E1, Party.E2)


class MaskedDealer:
    """Deals one-time material; HC's offline half, or a party of its own that never sees the model."""

    def __init__(self, actor: Actor) -> None:
        start = actor.start
        self._actor = actor
        self._engine = masked_engine(start.parameters)
        self._plan = material_plan(start.network, start.parameters, self._engine)
        self._secrets: dict[int, Any] = {}

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "setup" or "deal"."""
        if op == "setup":
            await self.setup()
        elif op == "deal":
            await self.deal(query)
        else:
            raise ConfigError(f"the dealer does not {op}")
        return {}

    async def setup(self) -> Parts:
        """Hear from the centre what the engine's dealer must know, and return it."""
        a, parts = self._actor, Parts()
        centre = a.endpoint(Party.HC, Phase.SETUP, 0)
        for placed in a.start.network.linear_layers:
            a.places.enter(Phase.SETUP, 0, placed.index)
            size = self._engine.secret_layout(placed.linear).size
            blob = await receive_blob(centre, Phase.SETUP, placed.index, size)
            with SentBy(centre, Tag(Phase.SETUP, placed.index)):
                self.learn(placed, blob)
            parts[secret_part(placed)] = blob
        return parts

    def learn(self, placed: Placed, blob: bytes) -> None:
        """Take what the engine's dealer must know of a layer."""
        secret = Record.unpack(self._engine.secret_layout(placed.linear), blob)
        self._secrets[placed.index] = self._engine.load_secret(placed.linear, secret)

    async def deal(self, query: int) -> None:
        """Deal one query's material to both servers."""
        for server, record in zip(SERVERS, await self.make(query), strict=True):
            await send_blob(self._actor.endpoint(server, Phase.OFFLINE, query), Phase.OFFLINE, 0, record)

    async def make(self, query: int) -> tuple[bytes, bytes]:
        """Return one query's records, for E1 and for E2."""
        a = self._actor
        began = a.now()
        records: tuple[bytes, bytes] = await a.compute(
            deal_query, self._plan, self._secrets, a.rng.child("deal", query)
        )
        a.spent(Phase.OFFLINE, a.now() - began)
        return records


class MaskedCentre:
    """HC: owns the model; deploys, gets the result; deals unless a dealer is a party of the run."""

    def __init__(self, actor: Actor, model: QuantizedModel) -> None:
        self._actor, self._model = actor, model
        self._engine = masked_engine(actor.start.parameters)
        self._dealer = MaskedDealer(actor) if Party.DEALER not in actor.start.everyone else None

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "setup", "deal" or "collect"."""
        if op == "setup":
            await self.setup()
            return {}
        if op == "deal" and self._dealer is not None:
            await self._dealer.deal(query)
            return {}
        if op == "collect":
            return await self._collect(query)
        raise ConfigError(f"the centre does not {op}")

    async def setup(self) -> Parts:
        """Give the servers their halves of the model and the dealer its secret; return what the centre holds."""
        a, engine = self._actor, self._engine
        key = engine.keygen(a.rng.child("key"))
        parts = {"key": key.pack(engine.key_layout())}
        layers = zip(a.start.network.linear_layers, self._model.weights, self._model.biases, strict=True)
        for placed, w, b in layers:
            layer = placed.linear
            halves = await a.compute(engine.encrypt, layer, w, b, key, a.rng.child("encrypt", placed.index))
            for server, half in zip(SERVERS, halves, strict=True):
                blob = half.pack(engine.model_layout(layer, server))
                await send_blob(a.endpoint(server, Phase.SETUP, 0), Phase.SETUP, placed.index, blob)
            secret = engine.secret(layer, w, key).pack(engine.secret_layout(layer))
            if self._dealer is not None:
                self._dealer.learn(placed, secret)
                parts[secret_part(placed)] = secret
            else:
                await send_blob(a.endpoint(Party.DEALER, Phase.SETUP, 0), Phase.SETUP, placed.index, secret)
        return parts

    async def _collect(self, query: int) -> Mapping[str, Any]:
        a, p, network = self._actor, self._actor.start.parameters, self._actor.start.network
        shape, bits = result_form(network, p)
        tag = Tag(Phase.ONLINE, len(network.placed) + 1)
        total = np.zeros(shape, np.uint64)
        for server in SERVERS:
            link = a.endpoint(server, Phase.ONLINE, query)
            payload = await receive(link, tag, packed_size(total.size, bits))
            with SentBy(link, tag):
                total += unpack(payload, shape, bits)
        at = a.now()
        total &= ring_mask(bits)
        if p.reveal == "class":
            return {"classes": total.tolist(), "at": at}
        return {"logits": to_signed(total, p.ring).tolist(), "at": at}


class MaskedSensor:
    """HMS: shares its readings mod 2^k; E1's share is a seed. Holds no key."""

    def __init__(self, actor: Actor, readings: NDArray[np.int64]) -> None:
        self._actor, self._readings = actor, readings

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "setup" or "submit"."""
        if op == "setup":
            return {}
        if op != "submit":
            raise ConfigError(f"a sensor does not {op}")
        a, p = self._actor, self._actor.start.parameters
        at = self._place(query) * p.batch
        batch = self._readings[at : at + p.batch]
        began = a.now()
        key = a.rng.key()
        second = (from_signed(batch, p.ring) - first_share(key, batch.shape, p.ring)) & ring_mask(p.ring)
        tag = Tag(Phase.ONLINE, 0)
        await send(a.endpoint(Party.E1, Phase.ONLINE, query), tag, key)
        await send(a.endpoint(Party.E2, Phase.ONLINE, query), tag, pack(second, p.ring))
        return {"at": began}

    def _place(self, query: int) -> int:
        """Return the place among this run's queries, from 0."""
        return query - 1


def secret_part(placed: Placed) -> str:
    """Return the name of what the dealer must know of a layer."""
    return f"secret/{placed.index}"


def model_part(placed: Placed) -> str:
    """Return the name of a server's half of a layer."""
    return f"model/{placed.index}"


def first_share(key: bytes, shape: tuple[int, ...], ring: int) -> Words:
    """Return E1's share of readings from the seed that a sensor sent it."""
    return Prg(key).child("readings").ring(shape, ring)


class MaskedServer:
    """E1 or E2: holds a share of the model (and for `rlwe` its encryption), walks the network."""

    def __init__(self, actor: Actor) -> None:
        start = actor.start
        self._actor = actor
        self._engine = masked_engine(start.parameters)
        self._plan = material_plan(start.network, start.parameters, self._engine)
        self._models: dict[int, Any] = {}
        self._ready: dict[int, ReadyQuery] = {}
        self._common: Prg | None = None

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "setup", "prepare" or "answer"."""
        if op == "setup":
            await self.setup()
        elif op == "prepare":
            await self.prepare(query, await self._receive(query))
        elif op == "answer":
            await self.answer(query)
        else:
            raise ConfigError(f"a server does not {op}")
        return {}

    async def setup(self) -> Parts:
        """Agree on a key with the other server, hear this one's half of the model, and return both."""
        a = self._actor
        other = a.endpoint(a.party.other, Phase.SETUP, 0)
        if a.party is Party.E1:
            key = a.rng.key()
            await send(other, COMMON_KEY, key)
        else:
            key = await receive(other, COMMON_KEY, KEY_BYTES)
        self._common = Prg(key)
        parts = {COMMON_PART: key}
        centre = a.endpoint(Party.HC, Phase.SETUP, 0)
        for placed in a.start.network.linear_layers:
            a.places.enter(Phase.SETUP, 0, placed.index)
            size = self._engine.model_layout(placed.linear, a.party).size
            blob = await receive_blob(centre, Phase.SETUP, placed.index, size)
            with SentBy(centre, Tag(Phase.SETUP, placed.index)):
                await a.compute(self._learn, placed, blob)
            parts[model_part(placed)] = blob
        return parts

    def _learn(self, placed: Placed, blob: bytes) -> None:
        record = Record.unpack(self._engine.model_layout(placed.linear, self._actor.party), blob)
        self._models[placed.index] = self._engine.load(placed.linear, record)

    @property
    def _source(self) -> str:
        """Who deals."""
        return Party.DEALER if Party.DEALER in self._actor.start.everyone else Party.HC

    async def _receive(self, query: int) -> bytes:
        """Take one query's record from the dealer."""
        link = self._actor.endpoint(self._source, Phase.OFFLINE, query)
        return await receive_blob(link, Phase.OFFLINE, 0, self._plan.record_bytes(self._actor.party))

    async def prepare(self, query: int, record: bytes) -> None:
        """Load one query's material; nothing of this lies on the online path."""
        a = self._actor
        if self._common is None:
            raise ConfigError("a server prepares queries after it was set up")
        common = self._common.child("query", query)
        began = a.now()
        with SentBy(a.endpoint(self._source, Phase.OFFLINE, query), Tag(Phase.OFFLINE, 0)):
            self._ready[query] = await a.compute(load_query, self._plan, a.party, record, self._models, common)
        a.spent(Phase.OFFLINE, a.now() - began)

    async def answer(self, query: int) -> None:
        """Walk the network with one query; its share of the result goes to the centre."""
        a, network, p = self._actor, self._actor.start.network, self._actor.start.parameters
        a.accept(query)
        ready = self._ready.pop(query, None)
        if self._common is None or ready is None:
            raise MaterialError(f"{a.start.name}: query {query} has no material left; deal before asking")
        peer = a.endpoint(a.party.other, Phase.ONLINE, query)
        ctx = Context(a.party, peer, p, self._common, a.compute, query)
        began = a.now()
        share = await self._take_upload(query)
        helpers = Helpers(a.workers, a.progress or silent, a.worked)
        logits = await run_masked(
            ctx,
            self._engine,
            self._plan.stages,
            ready,
            share,
            a.now,
            partial(a.watch, query),
            a.show,
            helpers,
            began,
        )
        _, bits = result_form(network, p)
        result = result_share(logits, bits, self._common, query, a.party)
        tag = Tag(Phase.ONLINE, len(network.placed) + 1)
        await send(a.endpoint(Party.HC, Phase.ONLINE, query), tag, pack(result, bits))
        a.spent(Phase.ONLINE, a.now() - began)
        for layer, ops in ctx.ops.items():
            a.count(Phase.ONLINE, layer, ops)

    async def _take_upload(self, query: int) -> Words:
        a, p, network = self._actor, self._actor.start.parameters, self._actor.start.network
        sensors = [n for n in a.start.everyone if n.startswith(Party.HMS)]
        tag = Tag(Phase.ONLINE, 0)
        parts = []
        for name, part in zip(sensors, sensor_parts(network.inputs, p.sensors), strict=True):
            shape = (p.batch, part.stop - part.start)
            link = a.endpoint(name, Phase.ONLINE, query)
            if a.party is Party.E1:
                parts.append(first_share(await receive(link, tag, KEY_BYTES), shape, p.ring))
                continue
            payload = await receive(link, tag, packed_size(shape[0] * shape[1], p.ring))
            with SentBy(link, tag):
                parts.append(unpack(payload, shape, p.ring))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def result_share(logits: Words, bits: int, common: Prg, query: int, party: Party) -> Words:
    """Return a server's share of the result mod 2^bits, re-randomised by a pad that only the servers know.

    HC, as dealer, knows R and W_1: from the bare shares it would learn equations in the last hidden layer.
    """
    pad = common.child("result", "query", query).ring(logits.shape, bits)
    share: Words = (logits + pad if party is Party.E1 else logits - pad) & ring_mask(bits)
    return share
