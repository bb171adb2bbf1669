"""HC, E1 and E2 as a sensor sees them, over real links: they share out numbers, and HC learns the sum of the shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np
import pytest
import trio

from parties.masked import first_share
from pehealth.codec.packing import packed_size, unpack
from pehealth.crypto.prg import KEY_BYTES
from pehealth.data.ranges import Ranges
from pehealth.sensor.conversation import REPLIES, REQUESTS
from transport.carrier import Carrier
from transport.channel import Channel
from transport.errors import PeerAbort, TransportError
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.shake import Refused, respond, turn_away
from transport.tcp import Tcp
from transport.wire import Wire

REQUEST, REPLY, UPLOAD = Tag(Phase.SETUP, 0, 16), Tag(Phase.SETUP, 0, 17), Tag(Phase.ONLINE, 0)
ROOM = "0123456789abcdef"
BATCH, INPUTS, RING = 2, 3, 40
CARD: dict[str, Any] = {
    "deployment": ROOM,
    "model": "clinic",
    "version": 3,
    "engine": "rlwe",
    "input_shape": [INPUTS],
    "labels": ["well", "ill", "unsure"],
    "ranges": Ranges(("pulse",), (0.0,), (200.0,)).to_json(),
    "digits": 4,
    "ring": RING,
    "batch": BATCH,
    "scale": "10000",
    "error_bound": "5",
    "reveal": "logits",
    "settings": "ab" * 16,
    "in_flight": 8,
}
Refuse = Callable[[str, str, int], tuple[str, str] | None]
"""(party, ask, index) -> kind and text of an error, or None."""


@dataclass
class Service:
    """What the three have seen."""

    card: dict[str, Any] = field(default_factory=lambda: dict(CARD))
    deployment: str = "north-clinic"
    refuse: Refuse = lambda _party, _ask, _index: None
    addresses: dict[str, str] = field(default_factory=dict)
    shares: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    callers: list[str] = field(default_factory=list)
    arrived: dict[int, trio.Event] = field(default_factory=dict)
    leased: int = 100
    tells: bool = True
    requests: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    def event(self, index: int) -> trio.Event:
        return self.arrived.setdefault(index, trio.Event())

    async def reply(self, party: str, channel: Channel, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        index = asked.get("index", 0)
        self.asked[party, asked["ask"]] += 1
        if asked["ask"] == "submit":
            share = await self.take(party, channel, index)
        if refused := self.refuse(party, asked["ask"], index):
            return {"n": asked["n"], "error": refused[1], "kind": refused[0], "code": 3}
        if asked["ask"] == "submit":
            self.shares.setdefault(index, {})[party] = share
            if len(self.shares[index]) == 2:
                self.event(index).set()
            return {"n": asked["n"], "ok": {"done": index}}
        if asked["ask"] == "models":
            return {"n": asked["n"], "ok": {"models": [self.card]}}
        if asked["ask"] == "lease":
            first, self.leased = self.leased, self.leased + asked["count"]
            return {"n": asked["n"], "ok": {"spans": [[first, self.leased]]}}
        if asked["ask"] == "give_up":
            return {"n": asked["n"], "ok": {}}
        self.requests.append(asked["request"])
        await self.event(index).wait()
        total = sum(self.shares[index].values()) & np.uint64(2**RING - 1)
        return {"n": asked["n"], "ok": {"logits": total.tolist()} if self.tells else {"query": index}}

    async def take(self, party: str, channel: Channel, index: int) -> Any:
        shape, ring = (BATCH, INPUTS), RING
        size = packed_size(shape[0] * shape[1], ring)
        data = await channel.receive(UPLOAD, index, Clock(), most=max(size, KEY_BYTES))
        return first_share(data, shape, ring) if party == "E1" else unpack(data, shape, ring)


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Return `run_service`."""
    return run_service


@pytest.fixture
def new_service() -> type[Service]:
    """Return `Service`."""
    return Service


@asynccontextmanager
async def run_service(service: Service, carriers: Mapping[str, Carrier] | None = None) -> AsyncIterator[Service]:
    """Run the three until the block ends."""
    async with trio.open_nursery() as nursery:
        for party, carrier in (carriers or dict.fromkeys(("HC", "E1", "E2"), Tcp())).items():
            listener = await carrier.listen("127.0.0.1:0")
            service.addresses[party] = listener.address
            nursery.start_soon(_accept, nursery, service, party, listener)
        yield service
        nursery.cancel_scope.cancel()


async def _accept(nursery: trio.Nursery, service: Service, party: str, listener: Any) -> None:
    try:
        while True:
            nursery.start_soon(_attend, service, party, await listener.accept())
    finally:
        await listener.aclose()


async def _attend(service: Service, party: str, stream: trio.abc.Stream) -> None:
    wire = Wire(stream, "a caller")
    try:
        await _converse(service, party, wire)
    finally:
        await wire.aclose()


async def _converse(service: Service, party: str, wire: Wire) -> None:

    def choose(theirs: Hello) -> Hello:
        card = service.card
        fields = {"model": card["model"], "version": str(card["version"]), "settings": card["settings"]}
        rooms = {service.deployment: {}, card["deployment"]: fields}
        if theirs.run not in rooms:
            raise Refused(f"{party} has no deployment {theirs.run}")
        return Hello(party, party, theirs.run, rooms[theirs.run], theirs.local)

    try:
        theirs = await respond(wire, choose)
    except TransportError as error:
        if not isinstance(error, PeerAbort):
            await turn_away(wire, party, str(error))
        return
    service.callers.append(f"{theirs.local} to {party}")
    channel = Channel(wire, party, theirs.local)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        nursery.start_soon(_answer, nursery, service, party, channel)
        await channel.wait_end()
        nursery.cancel_scope.cancel()


async def _answer(nursery: trio.Nursery, service: Service, party: str, channel: Channel) -> None:
    lock = trio.Lock()

    async def one(asked: dict[str, Any]) -> None:
        reply = await service.reply(party, channel, asked)
        if reply is not None and party not in service.silent:
            async with lock:
                with suppress(TransportError):
                    await channel.send(REPLY, msgpack.packb(reply), REPLIES, Clock())

    while True:
        try:
            data = await channel.receive(REQUEST, REQUESTS, Clock(), most=1 << 16)
        except TransportError:
            return
        nursery.start_soon(one, msgpack.unpackb(data))
