"""All deployments at one party: read at the start, opened, committed, retired; each has its folder in the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgpack
import trio

from parties.failure import sentence
from parties.kept import MODEL_PART
from parties.service.roles import model_of
from parties.service.rooms import Around, ModelRoom
from parties.service.spec import SPEC_PART, Spec
from pehealth.config import Party
from pehealth.errors import ConfigError, MaterialError, PehealthError
from pehealth.nets.weights import QuantizedModel
from pehealth.store.deployment import Deployment, wipe_folder

Make = Callable[[Around, Spec, Path, QuantizedModel | None], ModelRoom]
"""Makes a party's room of a deployment; HC's needs the model."""
_PAUSE = 1.0


class Deployments:
    """What is deployed at one party.

    Args:
        around: the party's.
        folder: the store.
        make: see `Make`.
        nursery: runs what each deployment does in the background.
    """

    def __init__(self, around: Around, folder: Path, make: Make, nursery: trio.Nursery) -> None:
        self.rooms: dict[str, ModelRoom] = {}
        """Those that this party holds its part of: id -> room."""
        self.loaded = trio.Event()
        """Set once what the store holds was taken up."""
        self._around, self._folder, self._make, self._nursery = around, folder, make, nursery
        self._scopes: dict[str, trio.CancelScope] = {}
        self._made: set[ModelRoom] = set()

    def folder_of(self, name: str) -> Path:
        """Return where a deployment is kept."""
        return self._folder / name

    async def on_disk(self, function: Callable[..., object], *args: object) -> None:
        """Run what waits for the disk."""
        if self._around.inline:
            function(*args)
        else:
            await trio.to_thread.run_sync(function, *args)

    async def load(self) -> None:
        """Take up what the store holds. What cannot be used is reported, and the rest is served."""
        for folder in sorted(self._folder.iterdir()):
            if not folder.is_dir():
                continue
            try:
                await self._load(folder)
            except (PehealthError, OSError) as error:
                self._around.report(f"{self._around.name}: {folder} is not served: {sentence(error)}")
        self.loaded.set()

    async def _load(self, folder: Path) -> None:
        name = self._around.name
        found = Deployment.find(folder, name)
        if found is None or not found.whole:
            if found is not None:
                found.close()
            await self.on_disk(wipe_folder, folder)  # a crash came before there was anything
            return
        try:
            committed = found.committed
            if not committed and Party(name) is Party.HC:  # nobody was told to use it
                found.close()
                await self.on_disk(wipe_folder, folder)
                return
            spec = Spec.from_wire(msgpack.unpackb(found.part(SPEC_PART)))
            model = model_of(found.part(MODEL_PART), spec.network) if Party(name) is Party.HC else None
        finally:
            found.close()
        room = self._make_room(spec, folder, model)
        try:
            await room.role.take_up()
        except BaseException:
            await room.close("its part of the deployment cannot be read")
            raise
        self.rooms[spec.id] = room
        if committed:
            self._begin(room)

    def open(self, spec: Spec, model: QuantizedModel | None = None) -> ModelRoom:
        """Open the room of a new deployment, of which nothing is kept yet."""
        return self._make_room(spec, self.folder_of(spec.id), model)

    async def keep(self, room: ModelRoom) -> None:
        """Take part in a deployment, and keep what this party is to keep, as pending."""
        parts = await room.role.setup()
        await room.role.keep({**parts, SPEC_PART: msgpack.packb(room.spec.to_wire())})
        self.rooms[room.spec.id] = room

    async def commit(self, name: str) -> None:
        """Begin to serve a deployment of which every party has its part; one that is served already is left so.

        Raises:
            ConfigError: it is not here.
        """
        room = self.rooms.get(name)
        if room is None:
            raise ConfigError(f"{self._around.name} has no deployment {name[:40]!r}")
        if not room.committed.is_set():
            await room.role.commit()
            self._begin(room)

    async def retire(self, name: str, why: str) -> int:
        """Drain a deployment, close its room, and delete its files; return how many queries it has answered.

        One that is not here is retired already.
        """
        room = self.rooms.get(name)
        if room is None:
            return 0
        await room.drain(why, self._around.settings.service.drain_seconds)
        if self.rooms.pop(name, None) is None:  # somebody else did it meanwhile
            return 0
        return await self.remove(room, why)

    async def remove(self, room: ModelRoom, why: str) -> int:
        """Close a room and delete its files, whatever state it is in."""
        with trio.CancelScope(shield=True):
            try:
                used = await room.used()
            except (PehealthError, OSError):
                used = 0
            if room.spec.id in self._scopes:
                self._scopes.pop(room.spec.id).cancel()
            await room.close(why)
            self._made.discard(room)
            await self.on_disk(_remove, room.folder)
        if room.committed.is_set():
            spec = room.spec
            self._around.operation.retired(spec.id, spec.model, spec.version, used)
        return used

    def check_room(self, spec: Spec) -> None:
        """Raise ConfigError if a deployment is one too many, or too large."""
        limits, name = self._around.settings.service, self._around.name
        if spec.id in self.rooms:
            raise ConfigError(f"{name} has a deployment {spec.id} already")
        if len(self.rooms) >= limits.models:
            raise ConfigError(f"{name} has {len(self.rooms)} deployments and takes no more: retire one")
        party = Party(name)
        if party in (Party.E1, Party.E2) and spec.model_bytes(party) > limits.parameters_bytes:
            raise ConfigError(
                f"{name}: its part of {spec.title} has {spec.model_bytes(party)} bytes, and [limits] parameters_bytes "
                f"= {limits.parameters_bytes}"
            )

    async def close(self) -> None:
        """Let go of all files, once all links have ended and nobody uses them any more."""
        for room in list(self._made):
            try:
                await room.let_go()
            except (MaterialError, OSError) as error:
                self._around.report(f"{self._around.name}: closing {room.spec.title}: {error}")

    def _make_room(self, spec: Spec, folder: Path, model: QuantizedModel | None) -> ModelRoom:
        room = self._make(self._around, spec, folder, model)
        self._made.add(room)
        return room

    def _begin(self, room: ModelRoom) -> None:
        room.committed.set()
        spec = room.spec
        self._around.operation.deployed(spec.id, spec.model, spec.version)
        self._scopes[spec.id] = trio.CancelScope()
        self._nursery.start_soon(self._background, room, self._scopes[spec.id])

    async def _background(self, room: ModelRoom, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                try:
                    await room.run()
                except Exception as error:  # noqa: BLE001 - one deployment's fault must not end the party
                    self._around.report(f"{self._around.name}: in the background of {room.spec.title}: {error!r}")
                    await trio.sleep(_PAUSE)


def _remove(folder: Path) -> None:
    wipe_folder(folder)
    shutil.rmtree(folder, ignore_errors=True)
