"""How one party's links come about: who calls and who is called, strangers, disagreement, and the time it may take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from transport.carrier import Carrier, Listener, caller
from transport.channel import Channel
from transport.errors import (
    AddressUnusable,
    HandshakeMismatch,
    PeerTimeout,
    TlsFailed,
    TransportError,
)
from transport.framing import CONTROL_LIMIT
from transport.greeting import blame, greeting
from transport.handshake import Hello
from transport.interfaces import Describe, describe_plainly
from transport.limits import Limits
from transport.meter import Meter
from transport.network import NETWORKS, Jitter, Network
from transport.observe import Observer
from transport.shake import Refused, initiate, respond
from transport.shaped import ShapedStream
from transport.wire import Wire

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_MOST_GUESTS = 64
"""Connections whose handshake is under way at one time; more wait in the system's queue."""


@dataclass(frozen=True, slots=True)
class MeshOptions:
    """How a party gathers and keeps its links.

    Attributes:
        limits: of every channel.
        join_seconds: until when all links must stand.
        handshake_seconds: how long one caller may take to greet.
        network: latency and bandwidth that are put on every link, handshake included.
        jitter: where the jitter of `network` comes from.
        servers: whose links count as rounds between servers.
        meter: counts all links of this party.
        observer: is told of each message.
        report: is given a line of text a second while peers are missing, and one for each caller turned away.
        bound: is given the address we listen on, once the port is known.
        describe: says what a tag of a query is, for errors.
    """

    limits: Limits = field(default_factory=Limits)
    join_seconds: float = 60.0
    handshake_seconds: float = 10.0
    network: Network = NETWORKS["none"]
    jitter: Jitter | None = None
    servers: Collection[str] = ("E1", "E2")
    meter: Meter | None = None
    observer: Observer | None = None
    report: Callable[[str], None] | None = None
    bound: Callable[[str], None] | None = None
    describe: Describe = describe_plainly


class Links(dict[str, Channel]):
    """Peer -> channel. `refused` counts the callers that were turned away while the links were gathered."""

    refused: int = 0


class Gathering:
    """The links of one party while they are being made."""

    def __init__(
        self,
        hello: Hello,
        carrier: Carrier,
        listen: str,
        inbound: Collection[str],
        outbound: Mapping[str, str],
        options: MeshOptions,
    ) -> None:
        if inbound and not listen:
            raise ValueError(f"{hello.local} expects {', '.join(inbound)} to call and has no address to listen on")
        if set(inbound) & set(outbound) or hello.local in {*inbound, *outbound}:
            raise ValueError(f"{hello.local}: a peer either calls or is called, and is not ourselves")
        self.links = Links()
        self._hello = hello
        self._carrier = carrier
        self._listen = listen
        self._inbound = tuple(inbound)
        self._outbound = dict(outbound)
        self._options = options
        self._errors: dict[str, str] = {}
        self._reached: set[str] = set()
        self._last_refusal = ""
        self._fatal: TransportError | None = None
        self._done = trio.Event()

    async def gather(self, nursery: trio.Nursery) -> None:
        """Make all links; their channels run in `nursery`."""
        self._nursery = self._joiners = nursery
        self._began = trio.current_time()
        try:
            listener = await self._carrier.listen(self._listen) if self._listen else None
        except AddressUnusable as error:
            raise AddressUnusable(f"{self._hello.local}: {error}") from error
        try:
            if listener is not None and self._options.bound is not None:
                self._options.bound(listener.address)
            self._finish_if_complete()
            with trio.move_on_after(self._options.join_seconds) as scope:
                await self._join(listener)
        finally:
            if listener is not None:
                with trio.CancelScope(shield=True):
                    await listener.aclose()
        if self._fatal is not None:
            raise self._fatal
        if scope.cancelled_caught:
            raise PeerTimeout("; ".join(self._lines()) + self._remedy())

    async def part(self, failure: BaseException | None) -> None:
        """Tell every peer goodbye, or what went wrong."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for channel in self.links.values():
                    if failure is None:
                        nursery.start_soon(channel.aclose)
                    else:
                        nursery.start_soon(channel.abort, *blame(failure, self._hello.local))

    async def _join(self, listener: Listener | None) -> None:
        async with trio.open_nursery() as joiners:
            self._joiners = joiners
            if listener is not None:
                joiners.start_soon(self._accept, listener, joiners)
            for peer, address in self._outbound.items():
                joiners.start_soon(self._dial, peer, address)
            joiners.start_soon(self._tell)
            await self._done.wait()
            joiners.cancel_scope.cancel()

    async def _accept(self, listener: Listener, joiners: trio.Nursery) -> None:
        places = trio.Semaphore(_MOST_GUESTS)
        while True:
            await places.acquire()
            try:
                stream = await listener.accept()
            except OSError as error:
                # Too many open files, or a caller that was gone again: others may still join.
                self._refuse(f"accepting failed: {error}")
                await trio.sleep(_FIRST_PAUSE)
                places.release()
                continue
            joiners.start_soon(self._welcome, stream, places)

    async def _welcome(self, stream: trio.abc.Stream, places: trio.Semaphore) -> None:
        try:
            wire = self._wire(stream, caller(stream))
            async with self._handshake(wire, self._refuse):
                theirs = await respond(wire, self._choose)
                self._add(theirs.local, wire)
        except TransportError:
            return
        finally:
            places.release()

    def _choose(self, theirs: Hello) -> Hello:
        """Return the greeting for a caller. Raises Refused."""
        own = self._hello.local
        if theirs.local != own and theirs.local not in self._inbound:
            expected = ", ".join(self._inbound) or "nobody"
            version = f" (protocol version {theirs.version}, ours {self._hello.version})"
            raise Refused(f"{own} does not expect a call from {theirs.local}{version}, only from {expected}")
        if theirs.local in self.links:
            raise Refused(f"{own} is linked to a {theirs.local} already: is it running twice?")
        return self._hello.to(theirs.local)

    async def _dial(self, peer: str, address: str) -> None:
        def note(why: str) -> None:
            self._errors[peer] = why

        pause = _FIRST_PAUSE
        while peer not in self.links:
            try:
                self._reached.discard(peer)
                stream = await self._carrier.connect(address)
                self._reached.add(peer)
                wire = self._wire(stream, peer)
                async with self._handshake(wire, note):
                    await initiate(wire, self._hello.to(peer))
                    self._add(peer, wire)
            except TlsFailed as error:
                self._stop(TlsFailed(f"{self._hello.local}: {error}"))
                return
            except TransportError as error:
                note(str(error))
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _wire(self, stream: trio.abc.Stream, name: str) -> Wire:
        network, jitter = self._options.network, self._options.jitter
        if network.shapes:
            stream = ShapedStream(stream, network, self._nursery, jitter)
        return Wire(stream, name, frame_bytes=CONTROL_LIMIT)

    @asynccontextmanager
    async def _handshake(self, wire: Wire, note: Callable[[str], None]) -> AsyncIterator[None]:
        """Do a handshake in the block; a HandshakeMismatch ends the gathering: who does not agree will not later."""

        def failed(error: TransportError) -> None:
            if not isinstance(error, HandshakeMismatch):
                note(str(error))

        try:
            async with greeting(wire, self._hello.local, self._options.handshake_seconds, failed):
                yield
        except HandshakeMismatch as error:
            # Not before the other end was told: it should hear of this, not of a party that has left.
            self._stop(error)
            raise

    def _add(self, peer: str, wire: Wire) -> None:
        own, options = self._hello.local, self._options
        server = own in options.servers and peer in options.servers
        channel = Channel(
            wire,
            own,
            peer,
            limits=options.limits,
            meter=options.meter.link(peer, server=server) if options.meter is not None else None,
            server_link=server,
            observer=options.observer,
            describe=options.describe,
        )
        self.links[peer] = channel
        self._nursery.start_soon(channel.run)
        self._joiners.start_soon(self._mourn, channel)
        self._finish_if_complete()

    async def _mourn(self, channel: Channel) -> None:
        """Stop waiting for others when a link that stood has ended: this run will not come about."""
        self._stop(await channel.wait_end())

    def _stop(self, error: TransportError) -> None:
        if self._fatal is None:
            self._fatal = error
        self._done.set()

    def _finish_if_complete(self) -> None:
        if len(self.links) == len(self._inbound) + len(self._outbound):
            self._done.set()

    def _refuse(self, why: str) -> None:
        self.links.refused += 1
        self._last_refusal = why
        if self._options.report is not None:
            self._options.report(f"{self._hello.local}: turned a caller away: {why}")

    async def _tell(self) -> None:
        while self._options.report is not None:
            await trio.sleep(1)
            for line in self._lines():
                self._options.report(line)

    def _lines(self) -> list[str]:
        """Say for each missing peer how long we have waited and what went wrong last."""
        waited = f"{trio.current_time() - self._began:.0f} s of {self._options.join_seconds:g} s"
        lines = []
        for peer in self._missing():
            last = self._errors.get(peer, "")
            where = f" ({self._outbound[peer]})" if peer in self._outbound else " to call"
            lines.append(
                f"{self._hello.local}: waiting for {peer}{where}, {waited}" + (f", last error: {last}" if last else "")
            )
        if self._last_refusal and not all(peer in self._outbound for peer in self._missing()):
            lines.append(f"{self._hello.local}: the last caller was turned away: {self._last_refusal}")
        return lines

    def _missing(self) -> list[str]:
        return [peer for peer in (*self._inbound, *self._outbound) if peer not in self.links]

    def _remedy(self) -> str:
        """Say what to do if nobody that was reached has said what is wrong."""
        if self._last_refusal or any(peer in self._reached for peer in self._missing()):
            return ""
        return ": start the missing parties, or check the addresses"
