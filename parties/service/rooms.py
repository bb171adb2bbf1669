"""A room whose links carry requests, and one deployment at one party: its room, its folder, its role."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

from parties.masked import Parts
from parties.operation.interface import Operation
from parties.service.actor import ServiceActor, computing
from parties.service.requests import REQUEST_BYTES, Handler, Line, Report
from parties.service.spec import Spec
from parties.settings import Settings
from parties.steps import step_names
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from transport.channel import Channel
from transport.errors import LinkClosed
from transport.handshake import Hello
from transport.interfaces import Describe, describe_plainly
from transport.limits import Limits
from transport.meter import Meter
from transport.standing import Host, RoomSpec

_CLIENT_BYTES = 2**20
"""Of a client's messages that wait, beside its uploads."""


@dataclass(frozen=True)
class Around:
    """What everything at one party shares.

    Attributes:
        settings: the party's.
        host: its links.
        rng: its randomness.
        operation: its operator.
        report: is told a line of text about what an operator may want to read.
        inline: no threads: under a virtual clock.
    """

    settings: Settings
    host: Host
    rng: Prg
    operation: Operation
    report: Report
    inline: bool = False

    @property
    def name(self) -> str:
        """Who we are."""
        return self.settings.party


def is_client(name: str) -> bool:
    """Say whether a party's name is a client's."""
    return name.startswith(Party.HMS)


class LineRoom:
    """A room on whose links both ends ask.

    Args:
        around: the party's.
        run: names the room.
        fields: what both ends of each link have in common.
        peers: whom we are linked to, whoever calls.
        most: peer -> greatest request that is taken from it.
        limits: peer -> limits of its link; a client's are small unless said.
        describe: says what a tag is.
    """

    def __init__(
        self,
        around: Around,
        run: str,
        fields: Mapping[str, str],
        peers: Collection[str],
        *,
        most: Mapping[str, int] | None = None,
        limits: Mapping[str, Limits] | None = None,
        describe: Describe = describe_plainly,
    ) -> None:
        self.around, self.name = around, around.name
        self.meter = Meter(self.name)
        self._most = most or {}
        self._limits = limits or {Party.HMS: _client_limits(around.settings, 0)}
        self._lines: dict[str, Line] = {}
        self._changed = trio.Event()
        self._closed = ""
        inbound, outbound = around.settings.links([p for p in peers if p in around.settings.peers])
        takes_clients = Party(self.name) is not Party.DEALER
        role = Party.HMS if is_client(self.name) else self.name
        self.room = around.host.open_room(
            RoomSpec(
                Hello(self.name, role=role, run=run, fields=fields),
                lambda peer: peer in inbound or (takes_clients and is_client(peer)),
                outbound,
                meter=self.meter,
                describe=describe,
                limits=self._limits_of,
            ),
            self._serve,
        )
        around.operation.watch_meter(run, self.meter)

    def handlers(self, peer: str) -> Mapping[str, Handler]:
        """Return what is done for a peer, by the name of the request."""
        raise NotImplementedError

    async def linked(self, line: Line) -> None:
        """Do what is to be done as long as a link stands."""

    def unlinked(self, peer: str) -> None:
        """Note that a link has ended."""

    async def line(self, peer: str, within: float) -> Line:
        """Return the line to a peer; waits until its link stands.

        Raises:
            PeerTimeout: it does not in time; names the last error.
            LinkClosed: the room is closed.
        """
        with trio.move_on_after(within):
            while peer not in self._lines and not self._closed:
                await self._changed.wait()
        if self._closed:
            raise LinkClosed(f"{self.name}: the room {self.room.name} is closed: {self._closed}")
        if peer not in self._lines:
            await self.room.link(peer, 0.0)  # raises, with the last error
        return self._lines[peer]

    @property
    def linked_peers(self) -> list[str]:
        """Who is linked here now, clients left out."""
        return sorted(peer for peer in self._lines if not is_client(peer))

    def line_now(self, peer: str) -> Line | None:
        """Return the line to a peer, if its link stands."""
        return self._lines.get(peer)

    async def ask(self, peer: str, op: str, *, within: float, **fields: object) -> Mapping[str, Any]:
        """Ask a peer for something, as soon as its link stands. Errors as `line` and `Line.ask`."""
        began = trio.current_time()
        line = await self.line(peer, within)
        return await line.ask(op, within=max(0.0, began + within - trio.current_time()), **fields)

    async def close(self, reason: str = "") -> None:
        """End all links, and refuse whoever calls."""
        self._closed = reason or "we said goodbye"
        self._wake()
        await self.room.close(reason)

    def _limits_of(self, peer: str) -> Limits:
        limits = self.around.settings.limits
        return self._limits.get(Party.HMS if is_client(peer) else peer, limits)

    async def _serve(self, channel: Channel) -> None:
        peer = channel.peer
        line = Line(
            channel,
            self.handlers(peer),
            at_once=self.around.settings.service.requests,
            most=self._most.get(peer, REQUEST_BYTES),
            report=self.around.report,
        )
        self._lines[peer] = line
        self._wake()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.run)
                nursery.start_soon(self.linked, line)
        finally:
            del self._lines[peer]
            self.unlinked(peer)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class KeepingRole(Protocol):
    """What every role that keeps a deployment does."""

    async def setup(self) -> Parts:
        """Take part in the deployment; return what this party is to keep."""

    async def keep(self, parts: Parts) -> None:
        """Write it, as pending."""

    async def commit(self) -> None:
        """Note that every party has its part."""

    async def take_up(self) -> None:
        """Read it again."""


class ModelRoom(LineRoom):
    """One deployment at one party.

    Args:
        around: the party's.
        spec: the deployment.
        folder: where this party keeps its part.
    """

    role: KeepingRole

    def __init__(self, around: Around, spec: Spec, folder: Path) -> None:
        self.spec, self.folder = spec, folder
        self.committed = trio.Event()
        fields = {"model": spec.model, "version": str(spec.version), "settings": spec.digest()}
        upload = -(-spec.parameters.batch * spec.network.inputs * spec.parameters.ring // 8)
        super().__init__(
            around, spec.id, fields, [name for name in spec.keepers if name != around.name],
            limits={Party.HMS: _client_limits(around.settings, upload)}, describe=step_names(spec.network),
        )  # fmt: skip
        start = spec.start(self.name, folder)
        self.actor = ServiceActor(
            start, self.room.links, self.meter, around.rng.child("deployment", spec.id, self.name),
            trio.current_time, computing(inline=around.inline), inline=around.inline,
        )  # fmt: skip

    async def run(self) -> None:
        """Do what is to be done in the background, once the deployment is committed, for ever."""
        await trio.sleep_forever()

    @property
    def in_flight(self) -> int:
        """Queries under way."""
        return 0

    async def facts(self) -> Mapping[str, Any]:
        """Return what is told of this deployment here, for who asks what is deployed."""
        return {
            "id": self.spec.id,
            "model": self.spec.model,
            "version": self.spec.version,
            "committed": self.committed.is_set(),
            "in_flight": self.in_flight,
            "links": self.linked_peers,
            "clients": sum(map(is_client, self._lines)),
        }

    async def drain(self, why: str, seconds: float) -> None:
        """Take nothing new, and wait for what is under way."""

    async def used(self) -> int:
        """Return how many queries were answered with it, ever, by what this party knows."""
        return 0

    async def close(self, reason: str = "") -> None:
        """End all links, and let go of the files."""
        await super().close(reason)
        await self.let_go()

    async def let_go(self) -> None:
        """Close the files; they are not used any more."""
        with trio.CancelScope(shield=True):
            await self.actor.on_disk(self.actor.closing.close)


def _client_limits(settings: Settings, upload: int) -> Limits:
    """Return what a client's link may cost: its uploads and a little more."""
    limits, service = settings.limits, settings.service
    frame = min(limits.frame_bytes, max(upload, REQUEST_BYTES))
    buffered = min(limits.buffered_bytes, _CLIENT_BYTES + 2 * service.in_flight_each * (frame + 1024))
    return Limits(frame, buffered, limits.silence_seconds, limits.deadline_seconds, limits.keepalive_seconds)
