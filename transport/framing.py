"""Frames on a byte stream, without any input or output: bytes in, frames out.

A frame is a header of 24 bytes, big endian, and a payload:

    length    u32   bytes of payload
    version   u8    of this format
    kind      u8    DATA, HELLO, KEEPALIVE, ABORT, BYE
    depth     u16   longest chain of messages that ends in this one
    rounds    u16   the same over server-to-server links
    sequence  u16   counts the frames of one direction of a link, wraps
    query     u64   which query the message belongs to
    tag       u32   phase, layer, step: `transport.interfaces.Tag`

What a peer sends is not trusted: the length is checked before a byte of payload is kept, the memory in use grows
with what has arrived and not with what was announced, and whatever is wrong is a FrameError.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from transport.errors import FrameError

VERSION = 1
HEADER_BYTES = 24
DEFAULT_LIMIT = 256 * 2**20
"""Greatest payload in bytes unless told otherwise."""
CONTROL_LIMIT = 64 * 2**10
"""Greatest payload of a control frame in bytes."""
SEQUENCE_MASK = 0xFFFF
MAX_DEPTH = 0xFFFF

_HEADER = struct.Struct(">IBBHHHQI")
_TLS_GREETING = 0x1603
_TLS_ALERT = b"\x15\x03"
_SMALL = 4096
_BLOCK = 64 * 2**10


class Kind(enum.IntEnum):
    """What a frame is for; all but DATA are control frames and carry their own number as tag."""

    DATA = 0
    HELLO = 1
    KEEPALIVE = 2
    ABORT = 3
    BYE = 4


_KINDS = tuple(Kind)


class Frame(NamedTuple):
    """One frame. A named tuple, because one is made for each message on the online path."""

    kind: Kind
    depth: int
    rounds: int
    sequence: int
    query: int
    tag: int
    payload: bytes

    def __repr__(self) -> str:
        """Everything but the payload, which may be a share, a mask or a key."""
        header = f"query {self.query}, tag {self.tag:#010x}, depth {self.depth}, rounds {self.rounds}"
        return f"<Frame {self.sequence}: {Kind(self.kind).name}, {header}, {len(self.payload)} bytes>"


def encode(frame: Frame) -> bytes:
    """Return the header of `frame`; the payload is not copied, it follows on the wire as it is."""
    return pack_header(
        frame.kind, frame.depth, frame.rounds, frame.sequence, frame.query, frame.tag, len(frame.payload)
    )


def pack_header(kind: int, depth: int, rounds: int, sequence: int, query: int, tag: int, length: int) -> bytes:
    """Return the 24 bytes of a header. Raises FrameError when a number does not fit its field."""
    try:
        return _HEADER.pack(length, VERSION, kind, depth, rounds, sequence, query, tag)
    except struct.error as error:
        raise FrameError(
            f"a header cannot hold length {length}, depth {depth}, rounds {rounds}, query {query}: {error}"
        ) from error


class FrameReader:
    """Turns the bytes of one direction of a link into frames.

    Args:
        limit: greatest payload in bytes; may be changed between frames (a handshake allows less).
        source: who sends, for messages.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT, source: str = "the peer") -> None:
        self.limit = limit
        self.source = source
        self._sequence = 0
        self._partial = bytearray()
        self._header: tuple[int, ...] | None = None
        self._missing = 0
        self._parts: list[bytes] = []
        self._small = bytearray()
        self._broken: str | None = None

    @property
    def missing(self) -> int:
        """Bytes that the frame under way still needs, as far as is known; a hint for how much to read."""
        return self._missing if self._header is not None else HEADER_BYTES - len(self._partial)

    @property
    def broken(self) -> bool:
        """True once something wrong was found: the next call raises."""
        return self._broken is not None

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Return the frames that `data` completes.

        Raises:
            FrameError: something is wrong and no frame came before it in `data`. If frames did come before,
                they are returned and the next call raises, so that the outcome does not depend on how the bytes
                were cut. After an error the reader stays broken.
        """
        if self._broken is not None:
            raise FrameError(self._broken)
        frames: list[Frame] = []
        try:
            self._parse(data if type(data) is bytes else bytes(data), frames)
        except FrameError:
            if not frames:
                raise
        return frames

    @property
    def refused_by_tls(self) -> bool:
        """True if what came so far is how TLS refuses who does not speak it."""
        return bytes(self._partial).startswith(_TLS_ALERT)

    def finish(self) -> None:
        """Say that no more bytes come. Raises FrameError if they ended inside a frame."""
        if self._broken is not None:
            raise FrameError(self._broken)
        if self._header is not None:
            self._fail(f"a payload of {self._header[0]} bytes", f"the end after {self._header[0] - self._missing}")
        if self._partial:
            self._fail(f"a header of {HEADER_BYTES} bytes", f"the end after {len(self._partial)}")

    def _parse(self, data: bytes, frames: list[Frame]) -> None:
        position, end = 0, len(data)
        while position < end:
            header = self._header
            if header is None:
                if not self._partial and end - position >= HEADER_BYTES:
                    header = _HEADER.unpack_from(data, position)
                    position += HEADER_BYTES
                else:
                    taken = data[position : position + HEADER_BYTES - len(self._partial)]
                    self._partial += taken
                    position += len(taken)
                    if len(self._partial) < HEADER_BYTES:
                        return
                    header = _HEADER.unpack(self._partial)
                    self._partial.clear()
                self._check(header)
                self._header, self._missing = header, header[0]
            stop = position + self._missing
            if stop > end:
                self._keep(data[position:])
                self._missing = stop - end
                return
            frames.append(self._complete(header, data[position:stop]))
            position = stop

    def _keep(self, chunk: bytes) -> None:
        """Keep a piece of payload; small pieces are put together, so that a trickle costs no more than a flood."""
        if len(chunk) >= _SMALL:
            self._flush()
            self._parts.append(chunk)
            return
        self._small += chunk
        if len(self._small) >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        if self._small:
            self._parts.append(bytes(self._small))
            self._small.clear()

    def _complete(self, header: tuple[int, ...], last: bytes) -> Frame:
        if self._parts or self._small:
            self._flush()
            self._parts.append(last)
            payload = b"".join(self._parts)
            self._parts.clear()
        else:
            payload = last
        self._header, self._missing = None, 0
        return Frame(_KINDS[header[2]], header[3], header[4], header[5], header[6], header[7], payload)

    def _check(self, header: tuple[int, ...]) -> None:
        length, version, kind, depth, rounds, sequence, query, tag = header
        if version != VERSION:
            tls = length >> 16 == _TLS_GREETING
            hint = ": it speaks TLS, start all parties with TLS or all without" if tls else ""
            self._fail(f"frame version {VERSION}", f"{version}{hint}")
        if kind >= len(_KINDS):
            self._fail(f"a frame kind below {len(_KINDS)}", f"{kind}")
        limit = self.limit if kind == Kind.DATA else min(self.limit, CONTROL_LIMIT)
        if length > limit:
            self._fail(f"at most {limit} bytes of payload", f"a frame of {length}")
        if sequence != self._sequence:
            self._fail(f"frame number {self._sequence}", f"{sequence}: a frame was lost, repeated or put in")
        if kind == Kind.DATA:
            if tag >> 30 == 0:
                self._fail("data in the phases setup, offline or online", f"data under the control tag {tag:#010x}")
        elif depth or rounds or query or tag != kind:
            self._fail(
                f"a {_KINDS[kind].name} frame with depth, rounds and query 0 and tag {kind}",
                f"{depth}, {rounds}, {query} and {tag}",
            )
        self._sequence = sequence + 1 & SEQUENCE_MASK

    def _fail(self, expected: str, came: str) -> None:
        self._broken = f"frame from {self.source}: expected {expected}, came {came}"
        raise FrameError(self._broken)
