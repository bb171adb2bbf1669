"""Whole deployments in one process: every party a service of its own over links in memory, with stores on disk."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trio
from numpy.typing import NDArray

from parties.request import RunRequest
from parties.service.cards import Answer
from parties.service.centre_room import CentreRoom
from parties.service.client import Client
from parties.service.party import PartyService, open_party
from parties.settings import Settings
from parties.settings_service import ServiceSettings
from pehealth.config import Engine
from pehealth.crypto.prg import Prg
from pehealth.data.ranges import Ranges
from pehealth.nets.describe import Dense, Network, Relu
from pehealth.nets.oracle import ideal
from pehealth.nets.weights import Model
from pehealth.store.audit import problems, read_marks
from pehealth.store.shelf import Happened
from transport.limits import Limits
from transport.memory import MemoryHub

READINGS = ("pulse", "temperature", "pressure", "oxygen", "glucose")


def make_model(name: str = "tiny", seed: int = 2, hidden: int = 3) -> Model:
    """A network of two dense layers on five readings from 0 to 100."""
    network = Network(name, (5,), (Dense(hidden), Relu(), Dense(2)), ("well", "ill"))
    rng = Prg.insecure_seed(seed)
    weights = tuple(rng.ring(shape, 20).astype(float) / 2**19 - 1 for shape in ((hidden, 5), (2, hidden)))
    biases = tuple(rng.ring(size, 20).astype(float) / 2**20 for size in (hidden, 2))
    return Model(network, weights, biases, Ranges(READINGS, (0.0,) * 5, (100.0,) * 5))


def samples(count: int, seed: int = 5) -> NDArray[np.float64]:
    """Readings in their own units, (count, 5)."""
    return Prg.insecure_seed(seed).below((count, 5), 10_001).astype(np.float64) / 100


def drop_files(role: Any) -> None:
    """Make a party's files end as in a crash: let go of at its end, and nothing more written."""

    def abandon() -> None:
        store, book, kept = getattr(role, "_kept_store", None), getattr(role, "_book", None), role._custody._deployment
        if store is not None:
            with store._disk:
                store._shelf.database.abandon()
        for each in (book, kept):
            if each is not None:
                with each._lock:
                    each._database.abandon()

    role._actor.closing.pop_all()
    role._actor.closing.callback(abandon)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on at present."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds; the test's own deadline ends it."""
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - of no event
            await trio.sleep(0.005)


@dataclass
class Clinic:
    """A deployment under test.

    Attributes:
        folder: the parties' stores.
        hub: the network.
        service: limits and habits of every party.
        dealer: DEALER is a party.
        parties: those that run.
        said: what they reported.
    """

    folder: Path
    hub: MemoryHub = field(default_factory=MemoryHub)
    service: ServiceSettings = field(default_factory=lambda: ServiceSettings(low=8, high=24, query_seconds=10.0))
    limits: Limits = field(default_factory=lambda: Limits(deadline_seconds=30.0))
    dealer: bool = True
    results: bool = True
    parties: dict[str, PartyService] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    models: dict[tuple[str, int], Model] = field(default_factory=dict)
    _stops: dict[str, trio.Event] = field(default_factory=dict)
    _scopes: dict[str, trio.CancelScope] = field(default_factory=dict)
    _gone: dict[str, trio.Event] = field(default_factory=dict)
    nursery: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        return ("E1", "E2", "HC", *(("DEALER",) if self.dealer else ()))

    def settings(self, name: str) -> Settings:
        service = self.service
        if name == "HC" and self.results:
            service = dataclasses.replace(service, clients={f"HMS{i}": "result" for i in range(1, 20)})
        peers = {p: p for p in self.names if p != name and not (name.startswith("HMS") and p == "DEALER")}
        return Settings(
            name, "clinic", "" if name.startswith("HMS") else name, peers, None, self.folder / name, self.limits, 20.0,
            5.0, self.folder / f"{name}.toml", service,
        )  # fmt: skip

    def carrier(self, name: str) -> Any:
        """What carries a party's links."""
        return self.hub

    def patient(self, seconds: float, **limits: int) -> ServiceSettings:
        """Return the settings of parties that give a query so many seconds."""
        return dataclasses.replace(self.service, query_seconds=seconds, **limits)

    async def start(self, *names: str) -> None:
        """Start parties that do not run."""
        for name in names or self.names:
            await self.nursery.start(self._run, name)

    async def _run(self, name: str, task_status: trio.TaskStatus[None]) -> None:
        stop, gone = self._stops[name], self._gone[name] = trio.Event(), trio.Event()
        try:
            with trio.CancelScope() as scope:
                self._scopes[name] = scope
                async with open_party(
                    self.settings(name), carrier=self.carrier(name), report=self.said.append
                ) as party:
                    self.parties[name] = party
                    task_status.started()
                    await stop.wait()
                    await party.drain()
        finally:
            self.parties.pop(name, None)
            gone.set()

    async def kill(self, name: str) -> None:
        """End a party in the middle of whatever it does; its files are dropped, not closed."""
        kept = [room.role for room in self.parties[name].deployments.rooms.values()]
        for role in kept:
            drop_files(role)
        self._scopes[name].cancel()
        await self._gone[name].wait()

    async def stop(self, name: str) -> None:
        """Stop a party in order."""
        self._stops[name].set()
        await self._gone[name].wait()

    async def deploy(self, model: Model | None = None, **settings: Any) -> CentreRoom:
        model = model or make_model()
        request = RunRequest(**{"engine": Engine.DEALT, "samples": settings.get("batch", 1), **settings}).checked()
        room = await self.parties["HC"].centre.deploy(model, request, self.said.append)
        self.models[room.spec.id, 0] = model
        return room

    @asynccontextmanager
    async def client(self, name: str = "HMS1", **wanted: Any) -> AsyncIterator[Client]:
        async with Client.connect(self.settings(name), carrier=self.carrier(name), **wanted) as client:
            yield client

    def check(self, answers: list[Answer], readings: NDArray[np.float64]) -> None:
        """Compare answers with the ideal network."""
        assert sum(answer.samples for answer in answers) == len(readings)
        at = 0
        for answer in answers:
            room = self.parties["HC"].deployments.rooms[answer.deployment]
            model = self.models[answer.deployment, 0].quantise(answer.digits, room.role._model.arithmetic)
            part = readings[at : at + answer.samples]
            ideal_logits = ideal(model, model.encode_input(model.ranges.normalise(part))).logits
            if answer.logits is not None:
                assert np.abs(answer.logits - np.asarray(ideal_logits, np.int64)).max() <= answer.error_bound
            at += answer.samples

    def audit(self) -> int:
        """Prove that no index served twice, in any deployment; return how many served. No party may run."""
        used = 0
        for path in self.folder.glob("E1/*/material.db"):
            one = read_marks(path)
            two = read_marks(self.folder / "E2" / path.parent.name / "material.db")
            found = problems(one, two)
            assert found == (), found
            used += len(one.of(Happened.USED) | two.of(Happened.USED))
        return used
