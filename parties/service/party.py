"""One long-running party, from its settings to its last goodbye."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from parties.operation.interface import Operation, Silent
from parties.service.catalog import Catalog
from parties.service.centre import CentreControl
from parties.service.centre_room import CentreRoom
from parties.service.control import ControlRoom
from parties.service.dealing import DealerRoom
from parties.service.deployments import Deployments
from parties.service.rooms import Around, LineRoom, ModelRoom
from parties.service.server_room import ServerRoom
from parties.service.spec import Spec
from parties.service.spool import Spool
from parties.settings import NEEDED, Settings
from parties.start import role_of
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from pehealth.errors import ConfigError
from pehealth.nets.weights import QuantizedModel
from pehealth.store.deployment import private_folder
from transport.carrier import Carrier
from transport.standing import HostOptions, open_host

LOCK = "serve.lock"
RECHECK_SECONDS = 60.0
SYNC_SECONDS = 1.0


class PartyService:
    """One party at work. Make one with `open_party`.

    Attributes:
        settings: the party's.
        deployments: what is deployed here.
        control: its control room.
        address: where it is called, with the port that was bound.
    """

    def __init__(self, around: Around, deployments: Deployments, control: LineRoom, spool: Spool | None) -> None:
        self.settings, self.deployments, self.control = around.settings, deployments, control
        self.address = around.host.address
        self._around, self._spool = around, spool

    @property
    def centre(self) -> CentreControl:
        """HC's control room. Raises ConfigError at any other party."""
        if not isinstance(self.control, CentreControl):
            raise ConfigError(f"{self.settings.party} does not deploy: ask HC's service")
        return self.control

    @property
    def is_centre(self) -> bool:
        """True at HC."""
        return isinstance(self.control, CentreControl)

    @property
    def in_flight(self) -> int:
        """Queries under way."""
        return sum(room.in_flight for room in self.deployments.rooms.values())

    async def status(self) -> dict[str, Any]:
        """Return what is deployed here, what is left of it, and who is linked."""
        return {
            "party": self.settings.party,
            "deployment": self.settings.deployment,
            "address": self.address,
            "links": self.control.linked_peers,
            "lacking": self.lacking(),
            "deployments": [dict(await room.facts()) for room in list(self.deployments.rooms.values())],
        }

    def lacking(self) -> list[str]:
        """Return what a party needs to be of use and does not have now, a sentence each."""
        needed = [peer for peer in NEEDED[role_of(self.settings.party)] if peer != self.settings.party]
        return [f"{peer} is not linked" for peer in needed if self.control.line_now(peer) is None]

    async def drain(self, why: str = "it is being stopped") -> None:
        """Take nothing new, and wait for what is under way, as long as the settings say."""
        self._around.operation.stopping()
        seconds = self.settings.service.drain_seconds
        async with trio.open_nursery() as nursery:
            for room in list(self.deployments.rooms.values()):
                nursery.start_soon(room.drain, why, seconds)

    async def tend(self) -> None:
        """Do what is to be done now and then, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._recheck)
            if self._spool is not None:
                nursery.start_soon(self._sync, self._spool)

    async def _recheck(self) -> None:
        while True:
            await trio.sleep(RECHECK_SECONDS)
            await self._around.host.recheck()

    async def _sync(self, spool: Spool) -> None:
        while True:
            await trio.sleep(SYNC_SECONDS)
            await self.deployments.on_disk(spool.sync)


@asynccontextmanager
async def open_party(
    settings: Settings,
    *,
    carrier: Carrier | None = None,
    operation: Operation | None = None,
    rng: Prg | None = None,
    report: Callable[[str], None] | None = None,
    inline: bool = False,
) -> AsyncIterator[PartyService]:
    """Serve as one party for as long as the block lasts; then say goodbye to everyone.

    Args:
        settings: of E1, E2, HC or DEALER, with a store.
        carrier: what carries the links; by default what the settings say.
        operation: is told what happens.
        rng: this party's randomness; by default the system's.
        report: is told what an operator may want to read, a line each.
        inline: no threads: under a virtual clock.

    Raises:
        ConfigError: the settings are a client's, or name no store; another process serves it.
        AddressUnusable: the address cannot be listened on.
    """
    operation, rng = operation or Silent(), rng or Prg.system()
    say = report or (lambda _line: None)
    folder = _store_of(settings)
    options = HostOptions(
        limits=settings.limits, handshake_seconds=settings.greet_seconds, report=say, refused=operation.refused,
        link_up=operation.link_up, link_down=operation.link_down, chance=lambda: _chance(rng),
        links=settings.service.links, links_each=settings.service.links_each,
        guests=settings.service.guests, guests_each=settings.service.guests_each,
    )  # fmt: skip
    with _locked(folder), _spool_of(settings, folder) as spool:
        begun: list[Deployments] = []
        try:
            async with (
                open_host(settings.party, carrier or settings.carrier(), settings.listen, options) as host,
                trio.open_nursery() as nursery,
            ):
                around = Around(settings, host, rng, operation, say, inline)
                service = await _begin(around, folder, spool, nursery, begun)
                operation.watch_readiness(service.lacking)
                operation.started()
                nursery.start_soon(service.tend)
                yield service
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                for deployments in begun:
                    await deployments.close()


async def _begin(
    around: Around, folder: Path, spool: Spool | None, nursery: trio.Nursery, begun: list[Deployments]
) -> PartyService:
    catalog = Catalog(folder) if spool is not None else None

    def make(around: Around, spec: Spec, where: Path, model: QuantizedModel | None) -> ModelRoom:
        if model is not None and spool is not None and catalog is not None:
            service = around.settings.service
            return CentreRoom(around, spec, where, model, spool, catalog.keep or (service.low, service.high))
        kind = DealerRoom if Party(around.name) is Party.DEALER else ServerRoom
        return kind(around, spec, where)

    deployments = Deployments(around, folder, make, nursery)
    begun.append(deployments)
    control: LineRoom
    if catalog is not None:
        control = CentreControl(around, deployments, catalog)
    else:
        control = ControlRoom(around, deployments, nursery)
    await deployments.load()
    for one in [one for one in (catalog.retiring if catalog else ()) if one in deployments.rooms]:
        await deployments.retire(one, "the model is being retired")
    return PartyService(around, deployments, control, spool)


def _store_of(settings: Settings) -> Path:
    if role_of(settings.party) is Party.HMS:
        raise ConfigError(f"{settings.source}: {settings.party} is a client: it does not serve; see `pehealth infer`")
    if settings.store is None:
        raise ConfigError(f"{settings.source}: store is missing: a service keeps models and material in it")
    return private_folder(settings.store)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a store for this process alone."""
    handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{folder} is served by another process: stop that one first") from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _spool_of(settings: Settings, folder: Path) -> Iterator[Spool | None]:
    if Party(settings.party) is not Party.HC:
        yield None
        return
    spool = Spool(folder)
    try:
        yield spool
    finally:
        with suppress(OSError):
            spool.close()


def _chance(rng: Prg) -> float:
    """Return a number in [0, 1)."""
    return int.from_bytes(rng.key()[:6], "big") / 2**48
