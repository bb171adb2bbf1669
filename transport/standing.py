"""One listener a process, open as long as it lives, and the standing links of all its rooms.

    async with open_host("E1", Tls(credentials), "0.0.0.0:7001", HostOptions(report=print)) as host:
        room = host.open_room(RoomSpec(Hello("E1", run="north-clinic"), inbound=["E2", "HC"]), serve)
        channel = await room.link("E2", within=30)

A room is named by `Hello.run`: the two ends of a link open one room each under the same name. Who is called may open
its room later than who calls: callers are refused until then, and call again. The same calls with a `MemoryHub` link
actors of one process.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from transport.carrier import Carrier, Listener, LocatedStream, caller
from transport.channel import Channel
from transport.errors import AddressUnusable, HandshakeMismatch, LinkClosed, TransportError
from transport.greeting import blame, greeting
from transport.handshake import PROTOCOL_VERSION, Hello, is_name
from transport.hosting import HostOptions, House
from transport.rooms import Room, RoomSpec
from transport.shake import Refused, respond
from transport.standing_link import OnLink, StandingLink
from transport.wire import Wire

__all__ = ["Channel", "Host", "HostOptions", "Room", "RoomSpec", "open_host"]

_ACCEPT_PAUSE = 0.05
_MOST_CLOSED = 64
"""Rooms that were closed and whose reason is still told to callers."""


class Host:
    """The rooms of one process, and the door to them; made by `open_host`."""

    def __init__(self, local: str, listener: Listener | None, house: House) -> None:
        self.local = local
        self.rooms: dict[str, Room] = {}
        """The rooms that are open: name -> room."""
        self._listener, self._house = listener, house
        self._closed: dict[str, str] = {}
        self._guests: Counter[str] = Counter()
        self._door = trio.CancelScope()

    @property
    def address(self) -> str:
        """Where we are called, with the port that was bound; empty if nobody can."""
        return self._listener.address if self._listener is not None else ""

    @property
    def refused(self) -> int:
        """Callers that were turned away so far."""
        return self._house.refused

    def open_room(self, spec: RoomSpec, on_link: OnLink | None = None) -> Room:
        """Open a room: callers are let in and peers called from now on, until it is closed or the host ends.

        Args:
            spec: who may be in it.
            on_link: is started for each link that comes up, in a task of its own, and cancelled when the link ends;
                never twice at a time for one peer. If it raises, its link is ended with that reason, and no other.

        Raises:
            ValueError: the room is open already, or is of another party than the host.
            LinkClosed: the host is ending.
        """
        if self._door.cancel_called:
            raise LinkClosed(f"{self.local}: no room can be opened any more: we are stopping")
        if spec.hello.local != self.local:
            raise ValueError(f"{self.local} cannot open a room as {spec.hello.local}")
        if spec.hello.run in self.rooms:
            raise ValueError(f"{self.local}: the room {spec.hello.run!r} is open already")
        self._closed.pop(spec.hello.run, None)
        room = self.rooms[spec.hello.run] = Room(self._house, spec, on_link, self._forget)
        return room

    async def recheck(self, second_look: float = 1.0) -> list[str]:
        """End each link whose peer's certificate has expired or was revoked since; return whose and why.

        The list of revoked certificates is read again. One that cannot be used speaks against every peer, as it does
        in a handshake; a second look so many seconds later sees to a list that is just being copied.
        """
        objections = await self._objections(self._links())
        if objections:
            await trio.sleep(second_look)
            objections = await self._objections([link for link, _ in objections])
        async with trio.open_nursery() as nursery:
            for link, why in objections:
                self._house.report(f"ended the link to {link.channel.peer}: {why}")
                nursery.start_soon(link.leave, self.local, why)
        return [why for _, why in objections]

    def _links(self) -> list[StandingLink]:
        return [link for room in self.rooms.values() for link in room.standing()]

    async def _objections(self, links: list[StandingLink]) -> list[tuple[StandingLink, str]]:
        found = []
        for link in links:
            try:
                proof = await link.channel.prove()
            except TransportError:
                continue  # It has ended by itself.
            if proof is None:
                continue
            expired = proof.until < self._house.options.now()
            why = proof.objection or ("its certificate has expired: issue a new one" if expired else "")
            if why:
                found.append((link, f"TLS with {link.channel.peer}: {why}"))
        return found

    def _forget(self, room: Room, why: str) -> None:
        del self.rooms[room.name]
        self._closed[room.name] = why
        if len(self._closed) > _MOST_CLOSED:
            del self._closed[next(iter(self._closed))]

    # What runs as long as the host.

    async def receive_callers(self) -> None:
        """Let callers in until the door is closed."""
        if self._listener is None:
            return
        with self._door:
            async with trio.open_nursery() as guests:
                await self._accept(self._listener, guests)

    async def part(self, origin: str, reason: str) -> None:
        """Close the door and every room; without a reason all peers are told goodbye."""
        self._door.cancel()
        async with trio.open_nursery() as nursery:
            for room in list(self.rooms.values()):
                nursery.start_soon(room.part, origin, reason)

    async def _accept(self, listener: Listener, guests: trio.Nursery) -> None:
        options, places = self._house.options, trio.Semaphore(self._house.options.guests)
        while True:
            await places.acquire()
            try:
                stream = await listener.accept()
            except OSError as error:
                # Too many open files, or a caller that was gone again: others may still be let in.
                places.release()
                self._house.refuse("a caller", f"accepting failed: {error}")
                await trio.sleep(_ACCEPT_PAUSE)
                continue
            where = _neighbourhood(stream.remote) if isinstance(stream, LocatedStream) else ""
            if where and self._guests[where] >= options.guests_each:
                places.release()
                self._house.refuse(where, f"{options.guests_each} callers from {where} are greeting already")
                await stream.aclose()
                continue
            self._guests[where] += 1
            guests.start_soon(self._welcome, stream, where, places)

    async def _welcome(self, stream: trio.abc.Stream, where: str, places: trio.Semaphore) -> None:
        wire = self._house.wire(stream, caller(stream))
        rude = False

        def failed(error: TransportError) -> None:
            self._house.refuse(wire.peer, str(error))

        try:
            async with greeting(wire, self.local, self._house.options.handshake_seconds, failed):
                theirs = await respond(wire, lambda theirs: self._answer(theirs, wire))
                self._room(theirs.run).add(theirs.local, wire)
        except (Refused, HandshakeMismatch):
            pass
        except TransportError:
            rude = True
        except Exception as error:  # noqa: BLE001  (whatever a caller brings about, others may still be let in)
            self._house.mistake(error)
            rude = True
        finally:
            places.release()
        if rude and where:
            # Who does not greet cannot call again and again: its address keeps the place for a moment.
            await trio.sleep(self._house.options.rude_seconds)
        self._guests[where] -= 1
        if not self._guests[where]:
            del self._guests[where]

    def _answer(self, theirs: Hello, wire: Wire) -> Hello:
        """Return our greeting for a caller. Raises Refused."""
        if theirs.version != PROTOCOL_VERSION or theirs.wanted != self.local:
            return Hello(self.local).to(theirs.local)  # The comparison that follows says what differs.
        return self._room(theirs.run).answer(theirs, wire.proof)

    def _room(self, name: str) -> Room:
        """Return an open room. Raises Refused."""
        shown = name if is_name(name) else repr(name)
        if name in self._closed:
            raise Refused(f"{self.local} has closed {shown}: {self._closed[name]}")
        if name not in self.rooms:
            raise Refused(f"{self.local} has no deployment {shown}")
        return self.rooms[name]


def _neighbourhood(remote: str) -> str:
    """Return what counts as one caller's address: one of IPv4, or the 64 bits of IPv6 that one customer has."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


@asynccontextmanager
async def open_host(
    local: str, carrier: Carrier, listen: str = "", options: HostOptions | None = None
) -> AsyncIterator[Host]:
    """Keep one party's standing links as long as the block.

    At the end of the block every peer is told goodbye. If the block fails or is cancelled, every peer is told who
    failed first and why, and the exception goes on as it is. A link that fails never ends the block.

    Args:
        local: our name.
        carrier: the network.
        listen: where we are called; empty: nowhere.
        options: limits and reports.

    Raises:
        AddressUnusable: the address to listen on cannot be used.
    """
    options = options or HostOptions()
    try:
        listener = await carrier.listen(listen) if listen else None
    except AddressUnusable as error:
        raise AddressUnusable(f"{local}: {error}") from error
    if listener is not None and options.bound is not None:
        options.bound(listener.address)
    failure: BaseException | None = None
    async with trio.open_nursery() as outer:
        stop = trio.CancelScope(shield=True)
        host: Host = await outer.start(_run, local, carrier, listener, options, stop)
        try:
            yield host
            await host.part(local, "")
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await host.part(local, "cancelled")
            raise
        except BaseException as error:  # noqa: BLE001  (raised again below, outside the nursery and so ungrouped)
            failure = error
            with trio.CancelScope(shield=True):
                await host.part(*blame(error, local))
        finally:
            stop.cancel()
    if failure is not None:
        raise failure


async def _run(
    local: str,
    carrier: Carrier,
    listener: Listener | None,
    options: HostOptions,
    stop: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[Host],
) -> None:
    """Run everything of a host until it is stopped; a block that is cancelled still has it to part in order."""
    try:
        with stop:
            async with trio.open_nursery() as nursery:
                host = Host(local, listener, House(local, carrier, options, nursery))
                nursery.start_soon(host.receive_callers)
                task_status.started(host)
                await trio.sleep_forever()
    finally:
        if listener is not None:
            with trio.CancelScope(shield=True):
                await listener.aclose()
