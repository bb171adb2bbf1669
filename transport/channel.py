"""One link between two parties: tags, queries, deadlines and orderly ends over any trio stream.

A channel has a reader task of its own, so two parties may send each other any amount at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import trio

from transport.carrier import Proof
from transport.errors import FrameError, LinkClosed, PeerLost, PeerTimeout, TransportError, UnexpectedMessage
from transport.framing import MAX_DEPTH, Frame, Kind
from transport.handshake import decode_abort, encode_abort
from transport.interfaces import Clock, Describe, Endpoint, Phase, Tag, describe_plainly
from transport.limits import Limits
from transport.mailbox import Mailboxes, key_of
from transport.meter import LinkMeter
from transport.observe import Observation, Observer
from transport.waits import Waits
from transport.wire import Wire

_REMEDIES = {
    FrameError: ": what sent this is not pehealth, or something on the way changes bytes",
    PeerLost: ": see what it says itself",
}
LAST_WORDS_SECONDS = 2.0
"""How long a goodbye or an abort may take, with the wait for the peer's end of file."""
_MANY_FRAMES = 256
_FRAME_SECONDS = 1e-5
"""A read that brings many frames is followed by a pause: a flood of tiny ones leaves most of our time to others."""

_Failure = Callable[[str], TransportError]


class Channel:
    """A link to one peer, used by any number of queries at once.

    Start `run` in a nursery that outlives every use. End with `aclose`, or with `abort` after a failure.

    Args:
        wire: frames over a stream, after the handshake; it belongs to the channel from now on.
        local: our name.
        peer: the other party's name.
        limits: what the peer may cost us.
        meter: counts this channel; None counts nothing.
        server_link: both ends are servers, so a message here is a round.
        observer: is told of each message.
        describe: says what a tag of a query is, in the errors of this channel.
    """

    def __init__(
        self,
        wire: Wire,
        local: str,
        peer: str,
        *,
        limits: Limits | None = None,
        meter: LinkMeter | None = None,
        server_link: bool = False,
        observer: Observer | None = None,
        describe: Describe = describe_plainly,
    ) -> None:
        self.describe = describe
        self.local, self.peer, self.server_link = local, peer, server_link
        self.limits = limits or Limits()
        self.proof = wire.proof
        """Who the peer has proven to be; None where nothing is proven."""
        wire.expect(peer, self.limits.frame_bytes)
        wire.stall_seconds = self.limits.deadline_seconds
        wire.heard = self._hear
        self._wire = wire
        self._meter = meter
        self._observer = observer
        self._lock = trio.Lock()
        self._mail = Mailboxes(self.limits.buffered_bytes)
        self._waits = Waits(local, peer, self.limits, describe)
        self._failure: _Failure | None = None
        self._cause: BaseException | None = None
        self._spoke = self._stopped = trio.current_time()
        self._room: trio.Event | None = None
        self._failed = trio.Event()
        self._ended = trio.Event()
        self._closing = False
        self._parted = False
        self._said = False
        if meter is not None:
            for sent, kind, size in wire.control:
                (meter.sent if sent else meter.received)(kind, size, 0, 0, 0)

    @property
    def ended(self) -> bool:
        """True once nothing can be sent or received any more."""
        return self._failure is not None

    def forget(self, query: int) -> None:
        """Drop what has come of a query and was not taken, and what will still come: it has failed.

        The last few thousand such queries are known; what comes of others is left to `sweep`.
        """
        self._mail.forget(query)
        self._reopen()

    def sweep(self) -> None:
        """Drop online messages that nobody has taken since the last sweep: call it as seldom as a query may last."""
        self._mail.sweep()
        self._reopen()

    def endpoint(self, query: int, clock: Clock) -> Endpoint:
        """Return one query's view of this link; `clock` is the party's own for the phase and query."""
        return _QueryEnd(self, query, clock)

    async def run(self) -> None:
        """Read, watch deadlines and keep alive, until the link ends. Failures go to whoever waits, not up."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._waits.watch, self._lose)
                nursery.start_soon(self._keep_alive)
                await self._read()
                if self._parted and not self._closing:
                    await self._say(Kind.BYE, b"")
                nursery.cancel_scope.cancel()
        finally:
            # Without a reader and a watch nobody may be left waiting.
            self._fail(self._closed_by_us)

    @property
    def silence(self) -> float:
        """Seconds since anything came from the peer; 0 while we do not read ourselves."""
        return 0.0 if self._waits.stopped else trio.current_time() - self._waits.heard

    @property
    def blocked(self) -> float:
        """Seconds for which we have not read, because what the peer has sent fills our buffer and nobody takes it."""
        return trio.current_time() - self._stopped if self._waits.stopped else 0.0

    async def prove(self) -> Proof | None:
        """Ask again who the peer is and what speaks against it now; None where nothing is proven.

        Raises:
            TransportError: the link is gone.
        """
        return await self._wire.prove()

    async def wait_end(self) -> TransportError:
        """Wait until the link has ended, whoever ended it, and return what a wait on it would raise."""
        await self._failed.wait()
        failure = self._failure or self._closed_by_us
        return failure("waiting for nothing in particular")

    async def aclose(self) -> None:
        """Say goodbye and close; the peer's waits then end with PeerLost, ours with LinkClosed."""
        await self._finish(Kind.BYE, b"")

    async def abort(self, origin: str, reason: str) -> None:
        """Tell the peer that `origin` failed and why (1 KiB at most), and close; it raises PeerAbort."""
        await self._finish(Kind.ABORT, encode_abort(origin, reason))

    async def send(self, tag: Tag, payload: bytes | bytearray | memoryview, query: int, clock: Clock) -> None:
        """Send one message of a query: see `Endpoint.send`."""
        failure = self._failure
        if failure is not None:
            raise failure(f"sending {self.describe(tag, query)}") from self._cause
        depth, rounds = clock.depth + 1, clock.rounds + self.server_link
        if depth > MAX_DEPTH:
            raise TransportError(f"{self.local}: {self.describe(tag, query)} would end a chain of {depth} messages")
        if tag.phase is Phase.CONTROL:
            raise ValueError(f"{tag}: protocols send in the phases setup, offline and online")
        began = trio.current_time()
        await self._send_frame(Kind.DATA, payload, depth, rounds, query, tag.pack())
        if self._observer is not None:
            self._observe(self._observer, "sent", query, tag.pack(), _size(payload), depth, began)

    async def receive(self, tag: Tag, query: int, clock: Clock, *, most: int) -> bytes:
        """Take the next message of a query: see `Endpoint.receive`."""
        number = tag.pack()
        key = key_of(query, number)
        began = trio.current_time()
        await trio.lowlevel.checkpoint_if_cancelled()
        frame = self._mail.take(key)
        if frame is None:
            frame = await self._wait_frame(key, query, tag, began)
        else:
            self._reopen()
        self._check(frame, tag, number, query, most)
        clock.seen(frame.depth, frame.rounds)
        if self._observer is not None:
            self._observe(self._observer, "taken", query, number, len(frame.payload), frame.depth, began)
        return frame.payload

    def _reopen(self) -> None:
        """Go on reading, if we had stopped and there is room again."""
        if self._room is not None and not self._mail.full:
            self._room.set()

    async def _wait_frame(self, key: int, query: int, tag: Tag, since: float) -> Frame:
        frame = await self._waits.wait_frame(key, query, tag, since) if self._failure is None else None
        if frame is None:
            failure = self._failure or self._closed_by_us
            raise failure(f"waiting for {self.describe(tag, query)}") from self._cause
        return frame

    def _check(self, frame: Frame, tag: Tag, number: int, query: int, most: int) -> None:
        if frame.tag != number:
            raise UnexpectedMessage(
                f"{self.local}: expected from {self.peer} {self.describe(tag, query)}, "
                f"came {self.describe(Tag.unpack(frame.tag), query)}: the two run different protocols or networks"
            )
        if len(frame.payload) > most:
            raise FrameError(
                f"{self.local}: expected from {self.peer} at most {most} bytes as {self.describe(tag, query)}, "
                f"came {len(frame.payload)}: the two run different protocols or networks"
            )

    async def _send_frame(
        self, kind: Kind, payload: bytes | bytearray | memoryview, depth: int, rounds: int, query: int, tag: int
    ) -> None:
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            if self._meter is not None:
                self._meter.sent(tag, _size(payload), query, depth, rounds)
            await self._wire.send(kind, payload, depth, rounds, query, tag)
            self._spoke = trio.current_time()
        except PeerLost as error:
            # The reader may still find the peer's last words, an abort or a goodbye: they tell more than the break.
            with trio.move_on_after(LAST_WORDS_SECONDS):
                await self._ended.wait()
            if self._failure is None:
                raise
            raise self._failure(f"sending {self.describe(Tag.unpack(tag), query)}") from error
        except LinkClosed as error:
            # The link was closed under us because it had ended: that is what the sender should hear of.
            if self._failure is None:
                raise
            raise self._failure(f"sending {self.describe(Tag.unpack(tag), query)}") from error
        finally:
            if self._wire.torn:
                self._fail(self._cut_short)
            self._lock.release()

    async def _read(self) -> None:
        try:
            while not self._parted:
                frames = await self._wire.receive()
                if not frames:
                    self._fail(self._cut_off)
                    return
                for frame in frames:
                    self._arrive(frame)
                if len(frames) > _MANY_FRAMES:
                    await trio.sleep(len(frames) * _FRAME_SECONDS)
                if self._mail.full and not self._closing:
                    await self._wait_room()
        except TransportError as error:
            kind, words = type(error), str(error)
            remedy = _REMEDIES.get(kind, "")
            self._fail(lambda what: kind(f"{self.local}: {words}; we were {what}{remedy}"), error)
        finally:
            self._ended.set()

    def _hear(self) -> None:
        """Note that the peer is alive; a large message may come in pieces for longer than silence is allowed."""
        self._waits.heard = trio.current_time()

    def _arrive(self, frame: Frame) -> None:
        if self._meter is not None:
            self._meter.received(frame.tag, len(frame.payload), frame.query, frame.depth, frame.rounds)
        if frame.kind is Kind.DATA:
            if self._observer is not None:
                size, now = len(frame.payload), self._waits.heard
                self._observe(self._observer, "arrived", frame.query, frame.tag, size, frame.depth, now)
            key = key_of(frame.query, frame.tag)
            if not self._waits.deliver(key, frame) and not self._closing:
                self._mail.put(key, frame)
        elif frame.kind is Kind.ABORT:
            told = decode_abort(frame.payload, self.peer)
            self._parted = True
            self._mail.clear()
            self._fail(lambda _: type(told)(told.origin, told.reason))
        elif frame.kind is Kind.BYE:
            self._parted = True
            self._fail(self._said_goodbye)
        elif frame.kind is Kind.HELLO:
            raise FrameError(f"frame from {self.peer}: expected messages, came a second greeting")

    async def _wait_room(self) -> None:
        """Stop reading until something was taken: the peer may fill no more of our memory."""
        self._room, self._stopped = trio.Event(), trio.current_time()
        self._waits.stopped = f"{self._mail} wait to be taken, and {self._mail.most} bytes are allowed"
        await self._room.wait()
        self._room, self._waits.stopped = None, ""
        self._waits.heard = trio.current_time()

    def _fail(self, failure: _Failure, cause: BaseException | None = None) -> None:
        """End the link for every wait, now and later; the first failure stays."""
        if self._failure is None:
            self._failure, self._cause = failure, cause
            self._failed.set()
        self._waits.end_all()

    def _cut_off(self, what: str) -> TransportError:
        return PeerLost(
            f"{self.local}: {self.peer} closed the link without a goodbye; we were {what}: see what it says itself"
        )

    def _cut_short(self, what: str) -> TransportError:
        return LinkClosed(
            f"{self.local}: the link to {self.peer} was left in the middle of a frame; we were {what}: "
            "nothing more can be sent"
        )

    def _said_goodbye(self, what: str) -> TransportError:
        return PeerLost(
            f"{self.local}: {self.peer} said goodbye and closed the link; we were {what}: it thinks that it is done"
        )

    def _closed_by_us(self, what: str) -> TransportError:
        return LinkClosed(f"{self.local}: we closed the link to {self.peer} and were {what}")

    def _lose(self, seconds: float) -> None:
        silent = f"{self.local}: nothing at all was heard from {self.peer} for {seconds:.1f} s"
        remedy = "its machine, its process or the network is down"
        self._fail(lambda what: PeerTimeout(f"{silent}, we were {what}: {remedy}"))

    async def _keep_alive(self) -> None:
        pause = self.limits.keepalive_seconds
        while self._failure is None:
            await trio.sleep_until(self._spoke + pause)
            # Compared as it was computed: off by an ulp, this would go on for ever while a virtual clock stands still.
            if trio.current_time() < self._spoke + pause or self._failure is not None:
                continue
            if self._lock.locked():
                await trio.sleep(pause)
                continue
            try:
                await self._send_frame(Kind.KEEPALIVE, b"", 0, 0, 0, Kind.KEEPALIVE)
            except TransportError:
                # Whoever uses the link learns of it from the reader, or from its own send.
                return

    async def _finish(self, kind: Kind, payload: bytes) -> None:
        """Say the last words, wait a little for the peer's end, and close."""
        if self._closing:
            return
        self._closing = True
        if self._failure is None:
            # Of a link that the other end has closed, what came before may still be taken.
            self._mail.clear()
        self._fail(self._closed_by_us)
        if self._room is not None:
            self._room.set()
        try:
            with trio.move_on_after(LAST_WORDS_SECONDS) as scope:
                scope.shield = True
                if await self._say(kind, payload):
                    # Closing with unread bytes would reset the connection, and the peer could lose our last words.
                    await self._ended.wait()
        finally:
            with trio.move_on_after(LAST_WORDS_SECONDS) as scope:
                scope.shield = True
                await self._wire.aclose()

    async def _say(self, kind: Kind, payload: bytes) -> bool:
        """Send a last frame, once; False if the link does not take it any more."""
        if self._said:
            return True
        self._said = True
        try:
            await self._send_frame(kind, payload, 0, 0, 0, kind)
        except TransportError:
            return False
        async with self._lock:
            await self._wire.send_eof()
        return True

    def _observe(
        self,
        observer: Observer,
        what: Literal["sent", "arrived", "taken"],
        query: int,
        tag: int,
        size: int,
        depth: int,
        began: float,
    ) -> None:
        now = trio.current_time()
        observer(Observation(what, self.local, self.peer, query, tag, size, depth, began, now))


class _QueryEnd:
    """One query's view of one channel: `transport.interfaces.Endpoint`."""

    __slots__ = ("_channel", "_clock", "_query")

    def __init__(self, channel: Channel, query: int, clock: Clock) -> None:
        self._channel, self._query, self._clock = channel, query, clock

    @property
    def local(self) -> str:
        """Our party's name."""
        return self._channel.local

    @property
    def peer(self) -> str:
        """The other party's name."""
        return self._channel.peer

    def describe(self, tag: Tag) -> str:
        """See `Endpoint.describe`."""
        return self._channel.describe(tag, self._query)

    async def send(self, tag: Tag, payload: bytes | bytearray | memoryview) -> None:
        """See `Endpoint.send`."""
        await self._channel.send(tag, payload, self._query, self._clock)

    async def receive(self, tag: Tag, *, most: int) -> bytes:
        """See `Endpoint.receive`."""
        return await self._channel.receive(tag, self._query, self._clock, most=most)


def _size(payload: bytes | bytearray | memoryview) -> int:
    return payload.nbytes if isinstance(payload, memoryview) else len(payload)
