"""A small device's link: whatever the other end says, it gives replies or a documented error, however it is cut."""

from __future__ import annotations

import msgpack

from fuzzing.greetings import OURS
from fuzzing.target import Source, Target, cut, demand
from pehealth.sensor.conversation import REPLIES, REPLY, Conversation, Reply
from transport.errors import TransportError
from transport.framing import Frame, Kind, encode
from transport.handshake import Hello, encode_abort, encode_hello

_HELLO = Hello("HMS1", "HMS", "north-clinic", OURS.fields, "E1")
_THEIRS = Hello("E1", "E1", "north-clinic", OURS.fields, "HMS1")


def run(data: bytes) -> None:
    """Hear what a party says, in one piece and in several; both must come to the same."""
    source = Source(data)
    built, sizes = source.below(2), [1 + source.octet() for _ in range(source.below(3))]
    spoken = _speech(source) if built else source.rest()
    whole = _hear([spoken])
    pieces = _hear(cut(spoken, sizes))
    demand(len(pieces[0]) >= len(whole[0]) and pieces[0][: len(whole[0])] == whole[0], "replies depend on the cuts")
    # What follows a goodbye may be garbage or not be read at all.
    ends = {type(pieces[1]), type(whole[1])}
    demand(len(ends) == 1 or "goodbye" in f"{pieces[1]}{whole[1]}", "the end depends on the cuts")
    raise whole[1]


def _hear(pieces: list[bytes]) -> tuple[list[Reply], TransportError]:
    conversation, replies = Conversation(_HELLO), list[Reply]()
    try:
        for piece in pieces:
            replies += conversation.feed(piece)
        conversation.feed(b"")
    except TransportError as error:
        return replies, error
    raise AssertionError("the end of a link is an error")


def _speech(source: Source) -> bytes:
    out, number = [_frame(Kind.HELLO, 0, Kind.HELLO, 0, encode_hello(_THEIRS))], 1
    for _ in range(source.below(12)):
        kind = source.below(8)
        if kind == 0:
            control = Kind(1 + source.below(4))
            said = encode_abort("E2", "no more") if control is Kind.ABORT else b""
            out.append(_frame(control, 0, control, number, said))
        elif kind == 1:
            out.append(_frame(Kind.DATA, source.number(2), REPLY ^ source.octet(), number, source.take(9)))
        elif kind == 2:
            out.append(_frame(Kind.DATA, REPLIES, REPLY, number, source.take(source.octet())))
        else:
            reply = {"n": source.octet(), ("ok", "error", "kind")[source.below(3)]: ({}, "x", 1)[source.below(3)]}
            out.append(_frame(Kind.DATA, REPLIES, REPLY, number, msgpack.packb({**reply, "kind": "Busy"})))
        number += 1
    return b"".join(out) + source.rest()


def _frame(kind: Kind, query: int, tag: int, number: int, payload: bytes) -> bytes:
    frame = Frame(kind, 0, 0, number, query, tag, payload)
    return encode(frame) + payload


def seeds() -> list[bytes]:
    """A greeting and replies as they come."""
    polite = bytes((1, 0, 4)) + bytes((3, 1, 0, 0)) * 4
    mixed = bytes((1, 1, 9, 5, 0, 4, 3, 1, 1, 1, 0, 2))
    return [polite, mixed, bytes((0, 0)) + _speech(Source(b""))]


TARGET = Target("sensor", run, (TransportError,), seeds, most_bytes=1024)
