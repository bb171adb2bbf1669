"""A room: the standing links of one party for one run or deployment, those it is called on and those it calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import trio

from transport.carrier import Proof
from transport.channel import Channel
from transport.errors import HandshakeMismatch, LinkClosed, PeerLost, PeerTimeout, TlsFailed, TransportError
from transport.greeting import greeting
from transport.handshake import Hello
from transport.hosting import FIRST_PAUSE, LONGEST_PAUSE, House
from transport.interfaces import Describe, describe_plainly
from transport.limits import Limits
from transport.meter import Meter
from transport.observe import Observer
from transport.shake import Refused, initiate
from transport.standing_link import OnLink, StandingLink
from transport.wire import Wire

_MOST_REMEMBERED = 256
"""Peers of a room whose last error is kept."""
_LEAST_SECONDS = 1.0
_REPLACED = "replaced by a newer link of the same party"


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """What a room is.

    Attributes:
        hello: our greeting; `run` names the room.
        inbound: who may call us here: names, or a predicate of a name for those who come and go.
        outbound: peer -> address: whom we call, and call again whenever its link has ended.
        meter: counts all links of the room, one after the other.
        servers: whose links count as rounds between servers.
        observer: is told of each message.
        describe: says what a tag of a query is, for errors.
        limits: peer -> limits of its channel; None: the host's for all.
    """

    hello: Hello
    inbound: Collection[str] | Callable[[str], bool] = ()
    outbound: Mapping[str, str] = field(default_factory=dict)
    meter: Meter | None = None
    servers: Collection[str] = ("E1", "E2")
    observer: Observer | None = None
    describe: Describe = describe_plainly
    limits: Callable[[str], Limits] | None = None

    def __post_init__(self) -> None:
        own = self.hello.local
        if own in self.outbound or any(self.expects(peer) for peer in (own, *self.outbound)):
            raise ValueError(f"{own}: a peer either calls or is called, and is not ourselves")

    def expects(self, peer: str) -> bool:
        """Say whether `peer` may call us."""
        return self.inbound(peer) if callable(self.inbound) else peer in self.inbound


class Room:
    """One room of a host; made by `Host.open_room`."""

    def __init__(
        self, house: House, spec: RoomSpec, on_link: OnLink | None, closed: Callable[[Room, str], None]
    ) -> None:
        self.spec = spec
        self._house, self._on_link, self._tell_closed = house, on_link, closed
        self._standing: dict[str, StandingLink] = {}
        self._ending: set[StandingLink] = set()
        self.links: Mapping[str, Channel] = _Links(self, self._standing)
        """The links that stand now: peer -> channel. A peer that is not linked raises PeerLost."""
        self._errors: dict[str, str] = {}
        self._changed = trio.Event()
        self._closed = ""
        self._calling = trio.CancelScope()
        if spec.outbound:
            house.nursery.start_soon(self._call_all)

    @property
    def name(self) -> str:
        """The run or deployment that this room is for."""
        return self.spec.hello.run

    async def link(self, peer: str, within: float) -> Channel:
        """Return the link to `peer`; waits until it stands.

        Raises:
            PeerTimeout: it does not stand within so many seconds; names the last error.
            LinkClosed: the room is closed.
        """
        with trio.move_on_after(within):
            await trio.lowlevel.checkpoint()
            while peer not in self.links and not self._closed:
                await self._changed.wait()
        if self._closed:
            raise LinkClosed(f"{self.spec.hello.local}: the room {self.name} is closed: {self._closed}")
        if peer in self.links:
            return self.links[peer]
        raise PeerTimeout(f"{self.missing(peer)}; waited {within:g} s")

    async def close(self, reason: str = "") -> None:
        """Turn away whoever calls from now on, end all links, and wait until they have ended.

        Args:
            reason: is told to the peers, whose waits then raise PeerAbort; without one they are told goodbye.

        A task that serves a link of this very room is cancelled by the call, as all of them are.
        """
        await self.part(self.spec.hello.local, reason)

    async def part(self, origin: str, reason: str) -> None:
        """Close as `close` does, naming another party as the first that failed."""
        if not self._closed:
            self._closed = reason or "we said goodbye"
            self._calling.cancel()
            self._tell_closed(self, self._closed)
            self._wake()
        links = [*self._standing.values(), *self._ending]
        async with trio.open_nursery() as nursery:
            for link in links:
                nursery.start_soon(link.leave, origin, reason)
        for link in links:
            await link.over.wait()

    def missing(self, peer: str) -> str:
        """Say that a peer is not linked, and what is known about it."""
        last = self._errors.get(peer, "")
        if not last and peer not in self.spec.outbound:
            last = self._house.last_refusal
        known = f"last error: {last}" if last else "it has not called" if self.spec.expects(peer) else "nobody calls it"
        where = f" ({self.spec.outbound[peer]})" if peer in self.spec.outbound else ""
        return f"{self.spec.hello.local}: {peer}{where} is not linked now: {known}"

    # For the host.

    def answer(self, theirs: Hello, proof: Proof | None) -> Hello:
        """Return our greeting for a caller. Raises Refused."""
        own, peer, options = self.spec.hello.local, theirs.local, self._house.options
        if peer != own and not self.spec.expects(peer):
            raise Refused(f"{own} does not expect a call from {peer} in {self.name}")
        old = self._standing.get(peer)
        if old is not None and proof is None and old.channel.silence < 2 * old.channel.limits.keepalive_seconds:
            raise Refused(f"{own} is linked to a {peer} already: is it running twice?")
        if self._house.held[peer] >= options.links_each:
            raise Refused(f"{own} has {options.links_each} links to {peer} already, and no more at a time")
        if old is None and self._house.held.total() >= options.links:
            raise Refused(f"{own} has {options.links} links already, and no more at a time")
        return self.spec.hello.to(peer)

    def add(self, peer: str, wire: Wire) -> StandingLink:
        """Take over a link after its handshake; one of the same peer is replaced. Raises Refused as `answer`."""
        own, spec = self.spec.hello.local, self.spec
        if self._closed:
            raise Refused(f"{own} has closed {self.name}: {self._closed}")
        old = self._standing.get(peer)
        if old is not None:
            old.end(_REPLACED)
            self._house.nursery.start_soon(old.leave, own, _REPLACED)
        server = own in spec.servers and peer in spec.servers
        channel = Channel(
            wire,
            own,
            peer,
            limits=self._house.options.limits if spec.limits is None else spec.limits(peer),
            meter=spec.meter.link(peer, server=server) if spec.meter is not None else None,
            server_link=server,
            observer=spec.observer,
            describe=spec.describe,
        )
        before = [link for link in self._ending if link.channel.peer == peer]
        link = self._standing[peer] = StandingLink(channel, self._on_link, self._house, self._lose)
        self._house.held[peer] += 1
        self._errors.pop(peer, None)
        if self._house.options.link_up is not None:
            self._house.options.link_up(self.name, peer)
        self._house.nursery.start_soon(self._keep, link, before)
        self._wake()
        return link

    def standing(self) -> list[StandingLink]:
        """Return the links that stand now."""
        return list(self._standing.values())

    async def _keep(self, link: StandingLink, before: Collection[StandingLink]) -> None:
        """Keep one link to its end. It takes up its place for a moment at least: nobody can link all the time."""
        peer, held, until = link.channel.peer, self._house.held, trio.current_time() + _LEAST_SECONDS
        try:
            await link.keep(before)
        finally:
            self._ending.discard(link)
        await trio.sleep_until(until)
        held[peer] -= 1
        if not held[peer]:
            del held[peer]

    def _lose(self, link: StandingLink) -> None:
        """Forget a link that has just ended."""
        peer = link.channel.peer
        if self._standing.get(peer) is link:
            del self._standing[peer]
        self._ending.add(link)
        self._note(peer, link.why)
        if self._house.options.link_down is not None:
            self._house.options.link_down(self.name, peer, link.why)
        self._wake()

    async def _call_all(self) -> None:
        with self._calling:
            async with trio.open_nursery() as nursery:
                for peer, address in self.spec.outbound.items():
                    nursery.start_soon(self._keep_calling, peer, address)

    async def _keep_calling(self, peer: str, address: str) -> None:
        """Keep a link to `peer`, for ever: what it refuses today it may take tomorrow."""
        house, pause = self._house, FIRST_PAUSE
        while True:
            began = trio.current_time()
            try:
                link = await self._call(peer, address)
                await link.over.wait()
                if trio.current_time() - began > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
            except (HandshakeMismatch, TlsFailed):
                pause = LONGEST_PAUSE
            except TransportError:
                pass
            except Exception as error:  # noqa: BLE001  (whatever it is, we call again)
                house.mistake(error)
            await trio.sleep(house.pause(pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _call(self, peer: str, address: str) -> StandingLink:
        """Call once and greet. Raises TransportError, once it is noted and the other end knows."""
        house = self._house

        def failed(error: TransportError) -> None:
            if self._note(peer, str(error)):
                house.report(f"no link to {peer} ({address}) in {self.name}, calling again: {error}")

        try:
            wire = house.wire(await self._connect(address), peer)
        except TransportError as error:
            failed(error)
            raise
        async with greeting(wire, house.local, house.options.handshake_seconds, failed):
            await initiate(wire, self.spec.hello.to(peer))
            return self.add(peer, wire)

    async def _connect(self, address: str) -> trio.abc.Stream:
        seconds = self._house.options.handshake_seconds
        try:
            with trio.fail_after(seconds):
                return await self._house.carrier.connect(address)
        except trio.TooSlowError as error:
            raise PeerTimeout(f"{address} did not answer within {seconds:g} s") from error
        except (OSError, ValueError) as error:
            raise PeerLost(f"{address} cannot be called: {error}") from error

    def _note(self, peer: str, why: str) -> bool:
        """Keep the last error of a peer; say if it is another than before."""
        before = self._errors.pop(peer, "")
        self._errors[peer] = why
        if len(self._errors) > _MOST_REMEMBERED:
            del self._errors[next(iter(self._errors))]
        return why != before

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class NotLinked(PeerLost, KeyError):
    """A peer has no link in a room now; a KeyError too, so that a room's links are a mapping like any other."""

    __str__ = Exception.__str__


class _Links(Mapping[str, Channel]):
    """The links of a room that stand now."""

    def __init__(self, room: Room, standing: Mapping[str, StandingLink]) -> None:
        self._room, self._standing = room, standing

    def __getitem__(self, peer: str) -> Channel:
        if peer not in self._standing:
            raise NotLinked(self._room.missing(peer))
        return self._standing[peer].channel

    def __iter__(self) -> Iterator[str]:
        return iter(self._standing)

    def __len__(self) -> int:
        return len(self._standing)
