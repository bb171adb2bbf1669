"""The centre's control room: it deploys and retires, and sees to it that every party ends up with the same.

HC decides: its own part is committed first, once everybody has theirs. What a party holds as pending it is told to
commit or to delete whenever it is linked again, so a crash of anybody at any time leaves nothing half deployed.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import trio

from parties.masked import SERVERS
from parties.request import RunRequest
from parties.service.catalog import Catalog
from parties.service.centre_room import CentreRoom
from parties.service.dealing import SLICE
from parties.service.deployments import Deployments
from parties.service.fields import Fields
from parties.service.requests import Handler, Line
from parties.service.rooms import Around, LineRoom, is_client
from parties.service.spec import ENGINES, Spec
from parties.settle_masked import settle_masked
from pehealth.config import Party
from pehealth.errors import ConfigError, PehealthError
from pehealth.nets.weights import Model, QuantizedModel
from transport.errors import TransportError
from transport.handshake import is_name

_UNDO_SECONDS = 10.0
Tell = Callable[[str], None]
"""Is told how far an operator's command is, in words."""


class CentreControl(LineRoom):
    """HC's control room.

    Args:
        around: HC's.
        deployments: what is deployed here.
        catalog: what HC remembers beside.
    """

    def __init__(self, around: Around, deployments: Deployments, catalog: Catalog) -> None:
        self._deployments, self._catalog = deployments, catalog
        self._deploying: set[str] = set()
        self._changing = trio.Lock()
        self._patience = around.settings.limits.deadline_seconds
        self._seconds = around.settings.service.query_seconds
        super().__init__(around, around.settings.deployment, {}, list(around.settings.peers))

    @property
    def keepers(self) -> tuple[str, ...]:
        """The other parties that hold a part of what is deployed."""
        dealer = (str(Party.DEALER),) if Party.DEALER in self.around.settings.peers else ()
        return (*map(str, SERVERS), *dealer)

    @property
    def rooms(self) -> list[CentreRoom]:
        """What is served, the newest versions first."""
        rooms = [room for room in self._deployments.rooms.values() if isinstance(room, CentreRoom)]
        ready = [room for room in rooms if room.committed.is_set()]
        return sorted(ready, key=lambda room: (room.spec.model, -room.spec.version))

    def handlers(self, peer: str) -> Mapping[str, Handler]:
        """Clients ask what there is."""
        return {"models": self._models} if is_client(peer) else {}

    async def linked(self, line: Line) -> None:
        """Bring a party that is back to what was decided; it may have missed it."""
        if line.peer in self.keepers:
            await self._deployments.loaded.wait()
            try:
                await self._reconcile(line)
            except PehealthError as error:
                self.around.report(f"HC: {line.peer} could not be brought up to date: {error}")

    async def _models(self, _who: str, f: Fields) -> Mapping[str, Any]:
        f.finish()
        await self._deployments.loaded.wait()
        return {"models": [room.card.to_wire() for room in self.rooms if not room.flights.closed]}

    # ---- deploying

    async def deploy(self, model: Model, request: RunRequest, tell: Tell, version: int | None = None) -> CentreRoom:
        """Deploy a model as its next version, beside those that are deployed.

        Args:
            model: with its weights; its network's name is the model's.
            request: engine, digits, ring, batch, reveal; the rest is not looked at.
            tell: is told how far it is.
            version: refused if the next version is another; None: whatever comes next.

        Raises:
            ConfigError, RangeError: it cannot be deployed so; or a party does not take it.
            TransportError: a party is not there, or was lost; nothing is deployed.
        """
        name = model.network.name
        if request.engine not in ENGINES:
            raise ConfigError(
                f"engine {request.engine} does not run as a service: its material cannot be dealt ahead and kept; "
                f"deploy with --engine {' or '.join(ENGINES)}"
            )
        if not is_name(name):
            raise ConfigError(
                f"a model is named by at most 64 letters, digits, '_', '.' and '-': {name[:80]!r} cannot be"
            )
        async with self._changing:
            following = self._catalog.versions.get(name, 0) + 1
            if version is not None and version != following:
                raise ConfigError(f"the next version of {name} is {following}, not {version}: versions are counted")
            dealer = Party.DEALER in self.around.settings.peers
            tell("settling digits, ring and bounds")
            quantised, plan = await self._compute(settle_masked, replace(request, dealer=dealer), model, None)
            spec = Spec(secrets.token_hex(8), name, following, model.network, plan.parameters, dealer)
            spec.check()
            self._deployments.check_room(spec)
            self._deploying.add(spec.id)
            try:
                return await self._deploy(spec, quantised, tell)
            finally:
                self._deploying.discard(spec.id)

    async def _compute(self, function: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - the function's
        return function(*args) if self.around.inline else await trio.to_thread.run_sync(function, *args)

    async def _deploy(self, spec: Spec, model: QuantizedModel, tell: Tell) -> CentreRoom:
        tell(f"announcing {spec.title} to {', '.join(self.keepers)}")
        room: CentreRoom | None = None
        try:
            await self._ask_all("deploy", spec=spec.to_wire())
            made = self._deployments.open(spec, model)
            assert isinstance(made, CentreRoom)  # noqa: S101 - our own
            room = made
            tell("sending every party its part")
            async with trio.open_nursery() as nursery:
                for peer in self.keepers:
                    nursery.start_soon(self._install, peer, spec)
                for peer in self.keepers:
                    await room.line(peer, self._seconds)
                await self._deployments.keep(room)
            self._catalog.next_version(spec.model)
            await self._deployments.commit(spec.id)  # the decision
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._undo(spec, room)
            raise
        tell("every party has its part")
        for peer in self.keepers:
            try:
                await self.ask(peer, "commit", within=self._seconds, id=spec.id)
            except (PehealthError, TransportError) as error:
                tell(f"{peer} begins with it as soon as it is linked again: {error}")
        return room

    async def _install(self, peer: str, spec: Spec) -> None:
        await self.ask(peer, "install", within=self._patience, id=spec.id)

    async def _ask_all(self, op: str, **fields: object) -> None:
        async def ask(peer: str) -> None:
            await self.ask(peer, op, within=self._seconds, **fields)

        async with trio.open_nursery() as nursery:
            for peer in self.keepers:
                nursery.start_soon(ask, peer)

    async def _undo(self, spec: Spec, room: CentreRoom | None) -> None:
        if room is not None:
            self._deployments.rooms.pop(spec.id, None)
            await self._deployments.remove(room, "the deployment failed")

        async def ask(peer: str) -> None:
            line = self.line_now(peer)
            if line is not None:
                with suppress(PehealthError, TransportError):  # who does not hear it will be told when it is linked
                    await line.ask("retire", within=_UNDO_SECONDS, id=spec.id)

        async with trio.open_nursery() as nursery:
            for peer in self.keepers:
                nursery.start_soon(ask, peer)

    # ---- retiring, and parties that are back

    async def retire(self, name: str, version: int | None, tell: Tell) -> dict[str, int]:
        """Retire every version of a model, or one: drain it, and delete it at all parties.

        Returns:
            What each party has confirmed: how many queries it had answered.

        Raises:
            ConfigError: there is none.
            PehealthError, TransportError: a party has not confirmed; it will be asked again as soon as it is linked.
        """
        async with self._changing:
            rooms = [r for r in self.rooms if r.spec.model == name and version in (None, r.spec.version)]
            waiting = [one for one, title in self._catalog.retiring.items() if _titled(title, name, version)]
            if not rooms and not waiting:
                known = ", ".join(room.spec.title for room in self.rooms) or "nothing"
                raise ConfigError(f"{name}{f'@{version}' if version else ''} is not deployed: there is {known}")
            for room in rooms:
                self._catalog.retiring[room.spec.id] = room.spec.title
            self._catalog.save()
            said: dict[str, int] = {}
            for one in [*(room.spec.id for room in rooms), *waiting]:
                title = self._catalog.retiring.get(one, one)
                tell(f"retiring {title}: no new queries, waiting for those under way")
                for party, used in (await self._retire(one, tell)).items():
                    said[party] = said.get(party, 0) + used
            return said

    async def _retire(self, one: str, tell: Tell) -> dict[str, int]:
        """Retire one deployment everywhere; HC deletes its own part last."""
        said: dict[str, int] = {}
        failures: list[PehealthError | TransportError] = []
        within = self.around.settings.service.drain_seconds + self._patience
        room = self._deployments.rooms.get(one)
        if room is not None:
            await room.drain("the model is being retired", self.around.settings.service.drain_seconds)

        async def ask(peer: str) -> None:
            try:
                line = await self.line(peer, self._seconds)
                reply = await line.ask("retire", within=within, id=one)
            except (PehealthError, TransportError) as error:
                failures.append(error)
                tell(f"{peer} has not confirmed: {error}")
                return
            said[peer] = reply["queries"] if type(reply.get("queries")) is int else 0
            tell(f"{peer} has deleted its part")

        async with trio.open_nursery() as nursery:
            for peer in self.keepers:
                nursery.start_soon(ask, peer)
        await self._deployments.retire(one, "the model is being retired")
        said[str(Party.HC)] = 0
        if failures:
            raise failures[0]
        self._catalog.retiring.pop(one, None)
        self._catalog.save()
        return said

    async def _reconcile(self, line: Line) -> None:
        reply = await line.ask("deployments", within=self._seconds)
        listed = reply.get("deployments")
        for entry in listed if isinstance(listed, list) else []:
            one, committed = (entry.get("id"), entry.get("committed")) if isinstance(entry, dict) else (None, None)
            if not isinstance(one, str) or one in self._deploying:
                continue
            room = self._deployments.rooms.get(one)
            if one in self._catalog.retiring or (room is None and committed is False):
                await line.ask("retire", within=self._patience, id=one)
                self.around.report(f"HC: {line.peer} has deleted deployment {one}, which it had missed")
            elif room is not None and committed is False:
                await line.ask("commit", within=self._seconds, id=one)
            elif room is None:
                self.around.report(
                    f"HC: {line.peer} serves deployment {one}, which HC does not know: was HC's store lost? "
                    "Nobody can use it; deploy again"
                )
        await self._settle_retired()

    async def _settle_retired(self) -> None:
        """Forget what every party has confirmed to have deleted."""
        for one in list(self._catalog.retiring):
            if one in self._deployments.rooms or not all(self.line_now(peer) for peer in self.keepers):
                continue
            for peer in self.keepers:
                await self.ask(peer, "retire", within=self._patience, id=one)
            self._catalog.retiring.pop(one, None)
            self._catalog.save()

    # ---- material

    async def keep(self, count: int) -> tuple[int, int]:
        """Keep material for `count` queries of every model, from now on; return the water marks."""
        marks = (count, count + max(16, count // 2))
        self._catalog.keep = marks
        await self._deployments.on_disk(self._catalog.save)
        for room in self.rooms:
            room.stock.low, room.stock.high = marks
            room.stock.look_again()
        return marks

    @property
    def marks(self) -> tuple[int, int]:
        """The water marks of new deployments."""
        service = self.around.settings.service
        return self._catalog.keep or (service.low, service.high)

    async def deal(self, name: str, count: int, progress: Callable[[int, int], Awaitable[None]]) -> CentreRoom:
        """Deal material for `count` queries more of a model's newest version.

        Raises:
            ConfigError: which model is not said, or there is none.
            PehealthError, TransportError: a party is not there.
        """
        room = self.find(name)
        done = 0
        while done < count:
            part = min(SLICE, count - done)
            await room.stock.deal(part)
            done += part
            await progress(done, count)
        return room

    def find(self, name: str) -> CentreRoom:
        """Return a model's newest version, or the version that is named after "@"; without a name the only model's.

        Raises:
            ConfigError: there is none.
        """
        model, _, number = name.partition("@")
        found = [room for room in self.rooms if not model or room.spec.model == model]
        if number:
            found = [room for room in found if str(room.spec.version) == number]
        if not found or len({room.spec.model for room in found}) > 1:
            known = ", ".join(room.spec.title for room in self.rooms) or "nothing"
            raise ConfigError(f"{name or 'a model must be named'}: there is {known}")
        return found[0]


def _titled(title: str, name: str, version: int | None) -> bool:
    model, _, number = title.rpartition("@")
    return model == name and version in (None, int(number))
