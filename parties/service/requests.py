"""Requests and replies over a link, both ways at once: who asks waits for that answer alone.

A request travels as query `REQUESTS`, a reply as query `REPLIES`, both maps in msgpack. A request that cannot be served
is answered with the error; only bytes that are no request at all end the link.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgpack
import trio

from parties.failure import exit_code, first_cause, sentence
from parties.service.fields import Fields
from pehealth import errors
from pehealth.errors import PeerAborted, PeerProtocolError, PehealthError
from transport import errors as link_errors
from transport.channel import Channel
from transport.errors import PeerAbort, PeerLost, PeerTimeout, TransportError
from transport.interfaces import Clock, Phase, Tag

REQUEST, REPLY = (Tag(Phase.SETUP, 0, step) for step in (16, 17))
REQUESTS, REPLIES = 2**62, 2**62 + 1
"""Numbers of no query: what all requests, and all replies, of a link travel as."""
REQUEST_BYTES = 64 * 2**10
LONG_BYTES = 2**20
"""Of a reply, and of a request that describes a network."""
AT_ONCE = 64
_MOST_TEXT = 2000

Handler = Callable[[str, Fields], Awaitable[Mapping[str, Any]]]
"""Is given who asks and with what; returns the answer's fields."""
Report = Callable[[str], None]

_KINDS: dict[str, type[PehealthError | TransportError]] = {
    kind.__name__: kind
    for kind in (
        errors.ConfigError, errors.UnsupportedLayer, errors.RangeError, errors.MaterialError, errors.PeerProtocolError,
        errors.Busy, errors.Draining, link_errors.LinkClosed, link_errors.PeerLost, link_errors.PeerTimeout,
        link_errors.FrameError, link_errors.UnexpectedMessage, link_errors.TransportError,
    )
}  # fmt: skip
"""Errors that come out at the asker as what they were at the asked; the others as `PeerAborted`."""


class Line:
    """Requests over one link, for as long as it stands.

    Args:
        channel: the link.
        handlers: by the name of what is asked for.
        at_once: requests of the peer that are served at a time; more wait unread.
        most: greatest request that is taken, in bytes.
        report: is told of errors that are bugs of ours.
    """

    def __init__(
        self,
        channel: Channel,
        handlers: Mapping[str, Handler],
        *,
        at_once: int = AT_ONCE,
        most: int = REQUEST_BYTES,
        report: Report | None = None,
    ) -> None:
        self.channel, self.peer = channel, channel.peer
        self._handlers, self._most, self._report = handlers, most, report
        self._places = trio.Semaphore(at_once)
        self._count = 0
        self._asked: dict[int, _Asked] = {}

    async def run(self) -> None:
        """Serve the peer's requests and hear its replies until the link ends.

        Raises:
            TransportError: how the link ended.
            PeerProtocolError: the peer sent what is no request and no reply.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear)
                nursery.start_soon(self._serve, nursery)
        except ExceptionGroup as group:
            raise first_cause(group) from None
        finally:
            for asked in self._asked.values():
                asked.done.set()

    async def ask(self, op: str, *, within: float, **fields: object) -> Mapping[str, Any]:
        """Return what the peer answers.

        Raises:
            PeerTimeout: it did not within so many seconds.
            PehealthError, TransportError: it said that it cannot; or the link has ended.
        """
        self._count += 1
        number, asked = self._count, _Asked()
        self._asked[number] = asked
        try:
            with trio.move_on_after(within):
                await self._send(REQUEST, REQUESTS, {"n": number, "ask": op, **fields})
                await asked.done.wait()
        finally:
            del self._asked[number]
        if asked.reply is not None:
            return self._opened(asked.reply)
        local, peer = self.channel.local, self.peer
        if self.channel.ended:
            raise await self.channel.wait_end()
        if asked.done.is_set():
            raise PeerLost(f"{local}: the link to {peer} has ended; we were waiting for its answer to {op}")
        raise PeerTimeout(f"{local}: {peer} did not answer a request to {op} within {within:g} s")

    async def tell(self, op: str, **fields: object) -> None:
        """Ask for something whose answer nobody waits for; a link that has ended is no error."""
        self._count += 1
        try:
            await self._send(REQUEST, REQUESTS, {"n": self._count, "ask": op, **fields})
        except TransportError:
            return

    async def _send(self, tag: Tag, query: int, body: Mapping[str, Any]) -> None:
        packed: bytes = msgpack.packb(body)
        if len(packed) > LONG_BYTES:
            raise errors.ConfigError(f"a message of {len(packed)} bytes to {self.peer}: at most {LONG_BYTES} are taken")
        await self.channel.endpoint(query, Clock()).send(tag, packed)

    async def _receive(self, tag: Tag, query: int, most: int) -> dict[str, Any]:
        end = self.channel.endpoint(query, Clock())
        while True:
            try:
                payload = await end.receive(tag, most=most)
                return unpack_map(payload, f"{self.channel.local}: {self.peer} sent a {_WORDS[tag]} that")
            except PeerTimeout:  # nothing was asked for a long time: no fault of the link's
                if self.channel.ended:
                    raise

    async def _hear(self) -> None:
        while True:
            reply = await self._receive(REPLY, REPLIES, LONG_BYTES)
            asked = self._asked.get(reply.get("n", 0)) if type(reply.get("n")) is int else None
            if asked is not None:  # else nobody waits for it any more
                asked.reply = reply
                asked.done.set()

    async def _serve(self, nursery: trio.Nursery) -> None:
        while True:
            await self._places.acquire()
            request = await self._receive(REQUEST, REQUESTS, self._most)
            number, op = request.pop("n", None), request.pop("ask", None)
            if type(number) is not int or not 0 <= number < 2**63 or not isinstance(op, str):
                raise PeerProtocolError(
                    f"{self.channel.local}: {self.peer} sent a request without a number or without what it asks for"
                )
            nursery.start_soon(self._reply, number, op, request)

    async def _reply(self, number: int, op: str, given: Mapping[str, Any]) -> None:
        try:
            try:
                body = {"ok": dict(await self._answer(op, given))}
            except Exception as error:  # noqa: BLE001 - whatever it is, one request failed and the party lives on
                body = self._failed(op, error)
            try:
                await self._send(REPLY, REPLIES, {"n": number, **body})
            except TransportError:
                return  # who asked is gone; the loops say how
        finally:
            self._places.release()

    async def _answer(self, op: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        handler = self._handlers.get(op)
        if handler is None:
            known = ", ".join(sorted(self._handlers)) or "nothing"
            raise errors.PeerProtocolError(f"{self.channel.local} does not {op[:40]!r} for {self.peer}, only {known}")
        return await handler(self.peer, Fields(op, given))

    def _failed(self, op: str, error: Exception) -> dict[str, Any]:
        cause = first_cause(error)
        known = isinstance(cause, PehealthError | TransportError)
        if not known and self._report is not None:
            self._report(f"{self.channel.local}: a bug of ours in {op}, asked for by {self.peer}: {sentence(cause)}")
        body = {
            "error": (sentence(cause) if known else f"internal error ({type(cause).__name__})")[:_MOST_TEXT],
            "kind": type(cause).__name__,
            "code": exit_code(cause),
        }
        if isinstance(cause, PeerAborted | PeerAbort):
            body |= {"origin": cause.origin, "error": cause.reason[:_MOST_TEXT]}
        return body

    def _opened(self, reply: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a reply's fields, or raise the error that it tells."""
        answer = reply.get("ok")
        if isinstance(answer, dict):
            return answer
        text, kind, origin = (reply.get(name, "") for name in ("error", "kind", "origin"))
        if not all(isinstance(word, str) for word in (text, kind, origin)) or not kind:
            raise PeerProtocolError(f"{self.channel.local}: {self.peer} sent a reply that is neither answer nor error")
        raise error_of(self.peer, kind, text[:_MOST_TEXT], origin)


_WORDS = {REQUEST: "request", REPLY: "reply"}


class _Asked:
    """A request that is waited for."""

    __slots__ = ("done", "reply")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.reply: dict[str, Any] | None = None


def error_of(peer: str, kind: str, text: str, origin: str = "") -> PehealthError | TransportError:
    """Return the error that a peer told of, as what it was there; the text names whose it was."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    if origin:
        return PeerAborted(origin[:64], text)
    known = _KINDS.get(kind)
    if known is None:
        return PeerAborted(peer, text)
    return known(text if text.startswith(f"{peer}: ") else f"{peer}: {text}")


def unpack_map(payload: bytes, who: str) -> dict[str, Any]:
    """Return the map in a payload.

    Raises:
        PeerProtocolError: it is none.
    """
    try:
        body = msgpack.unpackb(payload, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise PeerProtocolError(f"{who} is no msgpack: {type(error).__name__}") from error
    if not isinstance(body, dict) or not all(isinstance(key, str) for key in body):
        raise PeerProtocolError(f"{who} is no map with texts as keys")
    return body
