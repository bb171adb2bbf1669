"""One link of a sensor, without input or output: bytes in, messages out. Frames and handshake are transport's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack

from transport.errors import FrameError, PeerLost, TlsFailed, UnexpectedMessage
from transport.framing import SEQUENCE_MASK, Frame, FrameReader, Kind, pack_header
from transport.handshake import MAX_TEXT, Hello, compare, decode_abort, decode_hello, encode_hello
from transport.interfaces import Phase, Tag

REQUEST, REPLY = Tag(Phase.SETUP, 0, 16).pack(), Tag(Phase.SETUP, 0, 17).pack()
UPLOAD = Tag(Phase.ONLINE, 0).pack()
REQUESTS, REPLIES = 2**62, 2**62 + 1
"""The queries that all requests and all replies of a link travel under."""
REPLY_BYTES = 1 << 20
MAX_NAME = 64
_DEPTH = 1
"""Nothing that a sensor sends depends on what it received before in the same query."""


class Reply(NamedTuple):
    """What a party answers to request number `n`: a result, or an error with its kind and exit code."""

    n: int
    ok: Mapping[str, Any] | None
    error: str = ""
    kind: str = ""
    code: int = 0


@dataclass(slots=True)
class _State:
    sequence: int = 0
    greeted: bool = False
    parted: bool = False


class Conversation:
    """What is said on one link, from our greeting to the peer's goodbye.

    Args:
        hello: our greeting, addressed to the peer.
    """

    def __init__(self, hello: Hello) -> None:
        self.peer = hello.wanted
        self._hello = hello
        self._reader = FrameReader(REPLY_BYTES, self.peer)
        self._state = _State()
        self._asked = 0

    @property
    def greeted(self) -> bool:
        """True once the peer has greeted and the two agree."""
        return self._state.greeted

    def greeting(self) -> bytes:
        """Return our greeting's bytes: the first that we send."""
        return self._frame(Kind.HELLO, encode_hello(self._hello), 0, 0, Kind.HELLO)

    def request(self, ask: str, **fields: str | int) -> tuple[int, bytes]:
        """Return a request's number and its bytes."""
        self._asked += 1
        payload: bytes = msgpack.packb({"n": self._asked, "ask": ask, **fields})
        return self._asked, self._frame(Kind.DATA, payload, _DEPTH, REQUESTS, REQUEST)

    def upload(self, query: int, payload: bytes) -> bytes:
        """Return the bytes of a query's message to a server: the same frame as `parties.masked.MaskedSensor` sends."""
        return self._frame(Kind.DATA, payload, _DEPTH, query, UPLOAD)

    def keepalive(self) -> bytes:
        """Return the bytes that show that we are there."""
        return self._frame(Kind.KEEPALIVE, b"", 0, 0, Kind.KEEPALIVE)

    def goodbye(self) -> bytes:
        """Return the bytes of the last thing that we say."""
        return self._frame(Kind.BYE, b"", 0, 0, Kind.BYE)

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that `data` completes; no data is the end of the link.

        Raises:
            HandshakeMismatch: the peer's greeting does not agree with ours.
            PeerAbort: the peer turned us away, or stopped, with its reason.
            PeerLost: it said goodbye, or closed the link.
            TlsFailed: it speaks TLS and we do not.
            FrameError, UnexpectedMessage: it sent something else.
        """
        if not data:
            self._end()
        replies = []
        for frame in self._reader.feed(data):
            if frame.kind is Kind.ABORT:
                raise decode_abort(frame.payload, self.peer)
            if not self._state.greeted:
                self._greet(frame)
            elif frame.kind is Kind.DATA:
                replies.append(self._reply(frame))
            elif frame.kind is Kind.BYE:
                # What came before it is still ours to hand out; the end of the link follows.
                self._state.parted = True
            elif frame.kind is not Kind.KEEPALIVE:
                raise FrameError(f"frame from {self.peer}: expected messages, came a second greeting")
        return replies

    def _greet(self, frame: Frame) -> None:
        if frame.kind is not Kind.HELLO:
            raise FrameError(f"{self.peer}: expected a greeting, came a frame of kind {frame.kind.name}")
        compare(self._hello, decode_hello(frame.payload, self.peer))
        self._state.greeted = True

    def _end(self) -> None:
        if self._state.parted:
            raise PeerLost(f"{self.peer} said goodbye and closed the link")
        if self._reader.refused_by_tls:
            raise TlsFailed(f"TLS with {self.peer}: it speaks TLS and we do not: give this sensor [tls] settings")
        self._reader.finish()
        raise PeerLost(f"{self.peer} closed the link: see what it says itself")

    def _reply(self, frame: Frame) -> Reply:
        if frame.tag != REPLY or frame.query != REPLIES:
            raise UnexpectedMessage(f"expected a reply from {self.peer}, came {Tag.unpack(frame.tag)}")
        return decode_reply(frame.payload, self.peer)

    def _frame(self, kind: Kind, payload: bytes, depth: int, query: int, tag: int) -> bytes:
        header = pack_header(kind, depth, 0, self._state.sequence, query, tag, len(payload))
        self._state.sequence = self._state.sequence + 1 & SEQUENCE_MASK
        return header + payload


def decode_reply(payload: bytes, peer: str) -> Reply:
    """Return the reply in a payload.

    Raises:
        FrameError: it is none.
    """
    try:
        message = msgpack.unpackb(payload, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise FrameError(f"reply from {peer}: expected msgpack, came {len(payload)} bytes of something else") from error
    if isinstance(message, dict) and type(message.get("n")) is int:
        ok, words, kind = message.get("ok"), message.get("error"), message.get("kind")
        if isinstance(ok, dict) and words is None:
            return Reply(message["n"], ok)
        origin, code = message.get("origin", ""), message.get("code")
        if ok is None and isinstance(words, str) and isinstance(kind, str) and isinstance(origin, str):
            first = f"{origin[:MAX_NAME]} stopped: " if origin else ""
            shown = "".join(c if c.isprintable() else "?" for c in first + words[:MAX_TEXT])
            return Reply(message["n"], None, shown, kind[:MAX_NAME], code if type(code) is int else 0)
    raise FrameError(f"reply from {peer}: expected a number and a result or an error, came something else")
