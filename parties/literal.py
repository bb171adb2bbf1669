"""The roles of engine `paper`: centre, sensor and server, on Protocols 1 to 3 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gmpy2
import numpy as np
from numpy.typing import NDArray

from parties.actor import Actor
from pehealth.codec.packing import pack, packed_size, unpack
from pehealth.config import Party
from pehealth.crypto.elgamal import KeyPair, PublicKey, keygen
from pehealth.crypto.groups import Group
from pehealth.crypto.linear import Ints, LinearMap
from pehealth.crypto.prg import KEY_BYTES, Prg
from pehealth.crypto.ring import to_signed
from pehealth.crypto.triples import bit_triples_e1, bit_triples_e2, deal_bit_triples
from pehealth.engines import paper, paper_codec
from pehealth.engines.paper import LayerModel, PairShare
from pehealth.errors import ConfigError, MaterialError, PeerProtocolError
from pehealth.nets.plan import sensor_parts
from pehealth.nets.plan_literal import has_key_bits, plan_group, triples_wanted
from pehealth.nets.run_literal import run_literal
from pehealth.nets.weights import QuantizedModel
from pehealth.protocols.blob import receive_blob, send_blob
from pehealth.protocols.context import Context, SentBy, receive, send
from pehealth.protocols.tape import TripleTape
from transport.interfaces import Phase, Tag

COMMON_KEY = Tag(Phase.SETUP, 0, 0)
SENSOR_KEY = Tag(Phase.SETUP, 0, 1)
UPLOAD = Tag(Phase.ONLINE, 0)


class LiteralCentre:
    """HC: owns the model and sk; deploys, deals triples, gets the result."""

    def __init__(self, actor: Actor, model: QuantizedModel) -> None:
        self._actor, self._model = actor, model

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "setup", "deal" or "collect"."""
        if op == "setup":
            await self._deploy()
            return {}
        if op == "deal":
            await self._deal(query)
            return {}
        if op == "collect":
            return await self._collect(query)
        raise ConfigError(f"the centre does not {op}")

    async def _deploy(self) -> None:
        """SecSetup (Protocol 1): 1 + l ciphertexts a weight, shares of b and sk*b; sk to the sensors."""
        a, start = self._actor, self._actor.start
        key = keygen(group_of(a).name, a.rng.child("sk"))
        for name in start.everyone:
            if name.startswith(Party.HMS):
                await send(a.endpoint(name, Phase.SETUP, 0), SENSOR_KEY, secret_to_bytes(key))
        weights = zip(start.network.linear_layers, self._model.weights, self._model.biases, strict=True)
        for placed, w, b in weights:
            rng = a.rng.child("encrypt", placed.index)
            bits = has_key_bits(start.network, placed)
            blobs = await a.compute(encrypt_packed, placed.linear, w, b, key, rng, bits)
            for server, blob in zip((Party.E1, Party.E2), blobs, strict=True):
                await send_blob(a.endpoint(server, Phase.SETUP, 0), Phase.SETUP, placed.index, blob)

    async def _deal(self, query: int) -> None:
        """The dealer half: bit triples for SecCmp, from two seeds; E2's c is explicit."""
        a, start = self._actor, self._actor.start
        seed1, seed2 = a.rng.key(), a.rng.key()
        size = packed_size(triples_wanted(start.network, start.parameters), 1)
        c2 = await a.compute(deal_bit_triples, (size,), Prg(seed1), Prg(seed2))
        await send_blob(a.endpoint(Party.E1, Phase.OFFLINE, query), Phase.OFFLINE, 0, seed1)
        await send_blob(a.endpoint(Party.E2, Phase.OFFLINE, query), Phase.OFFLINE, 0, seed2 + c2.tobytes())

    async def _collect(self, query: int) -> Mapping[str, Any]:
        a, p, network = self._actor, self._actor.start.parameters, self._actor.start.network
        shape = (p.batch, len(network.classes))
        tag = Tag(Phase.ONLINE, len(network.placed) + 1)
        total = np.zeros(shape, np.uint64)
        for server in (Party.E1, Party.E2):
            link = a.endpoint(server, Phase.ONLINE, query)
            payload = await receive(link, tag, packed_size(total.size, p.ring))
            with SentBy(link, tag):
                total += unpack(payload, shape, p.ring)
        return {"logits": to_signed(total, p.ring).tolist(), "at": a.now()}


class LiteralSensor:
    """HMS: holds sk and its part of every reading; shares x and sk*x."""

    def __init__(self, actor: Actor, readings: Ints) -> None:
        self._actor, self._readings = actor, readings
        self._key: KeyPair | None = None

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "setup" or "submit"."""
        a, p = self._actor, self._actor.start.parameters
        if op == "setup":
            grp = group_of(a)
            centre = a.endpoint(Party.HC, Phase.SETUP, 0)
            blob = await receive(centre, SENSOR_KEY, secret_bytes(grp))
            with SentBy(centre, SENSOR_KEY):
                self._key = sensor_key(grp, blob)
            return {}
        if op != "submit" or self._key is None:
            raise ConfigError(f"a sensor does not {op} here")
        batch = self._readings[(query - 1) * p.batch : query * p.batch]
        rng = a.rng.child("share", query)
        began = a.now()
        halves = paper.share_inputs(batch, self._key, rng)
        for server, half in zip((Party.E1, Party.E2), halves, strict=True):
            payload = paper_codec.pack_pair(self._key.group, half)
            await send(a.endpoint(server, Phase.ONLINE, query), UPLOAD, payload)
        return {"at": began}


class LiteralServer:
    """E1 or E2: holds the encrypted model; walks the network."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._models: list[LayerModel] = []
        self._tapes: dict[int, TripleTape] = {}
        self._common: Prg | None = None

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do "setup", "prepare" or "answer"."""
        if op == "setup":
            await self._setup()
        elif op == "prepare":
            await self._prepare(query)
        elif op == "answer":
            await self._answer(query)
        else:
            raise ConfigError(f"a server does not {op}")
        return {}

    async def _setup(self) -> None:
        a, network = self._actor, self._actor.start.network
        other = a.endpoint(a.party.other, Phase.SETUP, 0)
        if a.party is Party.E1:
            key = a.rng.key()
            await send(other, COMMON_KEY, key)
        else:
            key = await receive(other, COMMON_KEY, KEY_BYTES)
        self._common = Prg(key)
        centre, grp = a.endpoint(Party.HC, Phase.SETUP, 0), group_of(a)
        for placed in network.linear_layers:
            bits = has_key_bits(network, placed)
            size = paper_codec.model_bytes(placed.linear, grp, keybits=bits)
            a.places.enter(Phase.SETUP, 0, placed.index)
            blob = await receive_blob(centre, Phase.SETUP, placed.index, size)
            with SentBy(centre, Tag(Phase.SETUP, placed.index)):
                self._models.append(await a.compute(unpack_model, blob, placed.linear, grp, bits))

    async def _prepare(self, query: int) -> None:
        a, p, network = self._actor, self._actor.start.parameters, self._actor.start.network
        count = triples_wanted(network, p)
        size = packed_size(count, 1)
        centre = a.endpoint(Party.HC, Phase.OFFLINE, query)
        extra = size if a.party is Party.E2 else 0
        blob = await receive_blob(centre, Phase.OFFLINE, 0, KEY_BYTES + extra)
        seed = Prg(blob[:KEY_BYTES])
        c2 = np.frombuffer(blob[KEY_BYTES:], np.uint8)
        packed = bit_triples_e2((size,), seed, c2) if extra else bit_triples_e1((size,), seed)
        parts = [np.unpackbits(part, count=count, bitorder="little") for part in (packed.a, packed.b, packed.c)]
        self._tapes[query] = TripleTape(*parts)

    async def _answer(self, query: int) -> None:
        a, network, p = self._actor, self._actor.start.network, self._actor.start.parameters
        a.accept(query)
        tape = self._tapes.pop(query, None)
        if self._common is None or tape is None:
            raise MaterialError(f"{a.start.name}: query {query} has no material left; deal before asking")
        peer = a.endpoint(a.party.other, Phase.ONLINE, query)
        ctx = Context(a.party, peer, p, self._common, a.compute, query)
        began = a.now()
        pair = await self._take_upload(query)
        watch = partial(a.watch, query)
        watch(0, a.now() - began)
        logits = await run_literal(ctx, network, self._models, pair, tape, a.now, watch, self._show)
        share = paper.result_share(logits, p.ring, self._common, ("query", query), a.party)
        tag = Tag(Phase.ONLINE, len(network.placed) + 1)
        await send(a.endpoint(Party.HC, Phase.ONLINE, query), tag, pack(share, p.ring))
        a.spent(Phase.ONLINE, a.now() - began)
        for layer, ops in ctx.ops.items():
            a.count(Phase.ONLINE, layer, ops)

    def _show(self, layer: int, pair: PairShare) -> None:
        if self._actor.start.check:
            self._actor.show(layer, pair.ring(self._actor.start.parameters.ring))

    async def _take_upload(self, query: int) -> PairShare:
        a, p, network = self._actor, self._actor.start.parameters, self._actor.start.network
        grp = group_of(a)
        sensors = [n for n in a.start.everyone if n.startswith(Party.HMS)]
        pairs = []
        for name, part in zip(sensors, sensor_parts(network.inputs, p.sensors), strict=True):
            shape = (p.batch, part.stop - part.start)
            link = a.endpoint(name, Phase.ONLINE, query)
            payload = await receive(link, UPLOAD, paper_codec.upload_bytes(grp, shape[0] * shape[1]))
            with SentBy(link, UPLOAD):
                pairs.append(paper_codec.unpack_pair(grp, payload, shape))
        skx = [pair.skx for pair in pairs if pair.skx is not None]
        return PairShare(np.concatenate([pair.x for pair in pairs], axis=1), np.concatenate(skx, axis=1))


def group_of(actor: Actor) -> Group:
    """Return the group that the settings name."""
    return plan_group(actor.start.parameters)


def secret_bytes(grp: Group) -> int:
    """Return the bytes that sk takes on its way to a sensor."""
    return (grp.key_bits + 7) // 8


def secret_to_bytes(key: KeyPair) -> bytes:
    """Return sk for a sensor."""
    return key.secret.to_bytes(secret_bytes(key.group), "little")


def sensor_key(grp: Group, blob: bytes) -> KeyPair:
    """Return the key pair behind what `secret_to_bytes` gave; a sensor needs sk to share sk*x."""
    secret = int.from_bytes(blob, "little")
    if not 0 < secret < grp.q:
        raise PeerProtocolError(f"a key of {grp.name} must lie between 1 and q - 1; another number came")
    return KeyPair(PublicKey(grp.name, int(gmpy2.powmod_sec(grp.g, secret, grp.p))), secret)


def encrypt_packed(
    layer: LinearMap, weights: NDArray[np.int64], bias: Ints, key: KeyPair, rng: Prg, keybits: bool
) -> tuple[bytes, bytes]:
    """Return one encrypted layer as each server gets it: the common ciphertexts, then its own bias shares."""
    first, second = paper.encrypt(layer, weights, bias, key, rng, keybits=keybits)
    ciphertexts = paper_codec.pack_ciphertexts(first)
    return ciphertexts + paper_codec.pack_bias(first), ciphertexts + paper_codec.pack_bias(second)


def unpack_model(blob: bytes, layer: LinearMap, grp: Group, keybits: bool) -> LayerModel:
    """Return the encrypted layer that `encrypt_packed` made for this server."""
    cut, view = paper_codec.ciphertext_bytes(layer, grp, keybits=keybits), memoryview(blob)
    return paper_codec.unpack_model(layer, grp.name, view[:cut], view[cut:], keybits=keybits)
