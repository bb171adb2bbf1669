"""The control room: what the centre tells the other parties to deploy, and what clients ask the centre first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from parties.service.deployments import Deployments
from parties.service.fields import Fields
from parties.service.requests import LONG_BYTES, Handler
from parties.service.rooms import Around, LineRoom, ModelRoom
from parties.service.spec import Spec
from parties.settings import NEEDED
from parties.start import role_of
from pehealth.config import Party
from pehealth.errors import ConfigError, PehealthError
from transport.errors import TransportError


@dataclass
class Begun:
    """A deployment that the centre has announced, of which nothing is kept yet.

    Attributes:
        room: its room.
        scope: ends its installation.
        over: set once its installation has ended, however; None: it has not begun.
    """

    room: ModelRoom
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: trio.Event | None = None


class ControlRoom(LineRoom):
    """E1's, E2's or DEALER's.

    Args:
        around: the party's.
        deployments: what is deployed here.
        nursery: removes what the centre began and did not finish.
    """

    def __init__(self, around: Around, deployments: Deployments, nursery: trio.Nursery) -> None:
        self._deployments, self._nursery = deployments, nursery
        self._begun: dict[str, Begun] = {}
        peers = [peer for peer in around.settings.peers if not peer.startswith(Party.HMS)]
        super().__init__(around, around.settings.deployment, {}, peers, most={Party.HC: LONG_BYTES})

    def handlers(self, peer: str) -> Mapping[str, Handler]:
        """The centre alone says what is deployed."""
        if peer != Party.HC:
            return {}
        return {
            "deploy": self._deploy,
            "install": self._install,
            "commit": self._commit,
            "retire": self._retire,
            "deployments": self._list,
        }

    def unlinked(self, peer: str) -> None:
        """What the centre has begun and not had kept ends with its link."""
        if peer == Party.HC:
            for name, begun in list(self._begun.items()):
                if begun.over is None:  # else its installation, which ends with the link, sees to it
                    del self._begun[name]
                    self._nursery.start_soon(self._drop, begun.room)

    async def _deploy(self, _who: str, f: Fields) -> Mapping[str, Any]:
        spec = Spec.from_wire(f.table("spec"))
        f.finish()
        await self._deployments.loaded.wait()
        self._deployments.check_room(spec)
        if spec.id in self._begun:
            raise ConfigError(f"{self.name} has begun with deployment {spec.id} already")
        missing = [name for name in spec.keepers if name not in (self.name, *self.around.settings.peers)]
        if missing or self.name not in spec.keepers:
            raise ConfigError(
                f"{self.name} takes no part in {spec.title}: its [peers] lack {', '.join(missing) or '-'}"
            )
        self._begun[spec.id] = Begun(self._deployments.open(spec))
        return {}

    async def _install(self, _who: str, f: Fields) -> Mapping[str, Any]:
        name = f.text("id", 64)
        f.finish()
        begun = self._begun.get(name)
        if begun is None or begun.over is not None:
            raise ConfigError(f"{self.name} has not begun with a deployment {name!r}, or is at it")
        begun.over = trio.Event()
        try:
            with begun.scope:
                await self._take_part(begun.room)
                return {"kept": True}
        except BaseException:
            await self._drop(begun.room)
            raise
        finally:
            self._begun.pop(name, None)
            begun.over.set()
        await self._drop(begun.room)
        raise ConfigError(f"{self.name}: the deployment was given up")

    async def _take_part(self, room: ModelRoom) -> None:
        for peer in NEEDED[role_of(self.name)]:
            if peer in room.spec.keepers:
                await room.line(peer, self.around.settings.service.query_seconds)
        await self._deployments.keep(room)

    async def _drop(self, room: ModelRoom) -> None:
        self._deployments.rooms.pop(room.spec.id, None)
        try:
            await self._deployments.remove(room, "its deployment was given up")
        except (PehealthError, TransportError, OSError) as error:
            self.around.report(f"{self.name}: {room.folder} cannot be removed: {error}")

    async def _commit(self, _who: str, f: Fields) -> Mapping[str, Any]:
        name = f.text("id", 64)
        f.finish()
        await self._deployments.loaded.wait()
        await self._deployments.commit(name)
        return {}

    async def _retire(self, _who: str, f: Fields) -> Mapping[str, Any]:
        name = f.text("id", 64)
        f.finish()
        await self._deployments.loaded.wait()
        begun = self._begun.get(name)
        if begun is not None and begun.over is not None:
            begun.scope.cancel()
            await begun.over.wait()
        elif begun is not None:
            del self._begun[name]
            await self._drop(begun.room)
        return {"retired": True, "queries": await self._deployments.retire(name, "the model is being retired")}

    async def _list(self, _who: str, f: Fields) -> Mapping[str, Any]:
        f.finish()
        await self._deployments.loaded.wait()
        return {"deployments": [dict(await room.facts()) for room in list(self._deployments.rooms.values())]}
