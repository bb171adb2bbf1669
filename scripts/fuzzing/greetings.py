"""What is said in a handshake: greetings and aborts, as bytes and as the values in them."""

from __future__ import annotations

from dataclasses import replace

import msgpack

from fuzzing.target import Source, Target, demand
from transport.errors import FrameError, HandshakeMismatch
from transport.framing import CONTROL_LIMIT
from transport.handshake import (
    MAX_FIELDS,
    MAX_REASON,
    Hello,
    compare,
    decode_abort,
    decode_hello,
    encode_abort,
    encode_hello,
    is_name,
)

OURS = Hello("E1", "E1", "north-clinic", {"engine": "dealt", "network": "clinic"}, "E2")
THEIRS = Hello("E2", "E2", "north-clinic", {"engine": "dealt", "network": "clinic"}, "E1")
_HELLO, _ABORT, _BUILT = 0, 1, 2
_MODES = 3


def run(data: bytes) -> None:
    """Decode, check what is let through, encode it and decode it again."""
    source = Source(data)
    mode = source.below(_MODES)
    if mode == _ABORT:
        _abort(source.rest())
    else:
        _hello(source.rest() if mode == _HELLO else msgpack.packb(_value(source, 0)))


def _hello(payload: bytes) -> None:
    hello = decode_hello(payload, "E2")
    demand(is_name(hello.local), "a greeting without a name was let through")
    demand(len(hello.fields) <= MAX_FIELDS, "too many fields were let through")
    if hello.version == OURS.version:
        again = encode_hello(hello)
        demand(len(again) <= CONTROL_LIMIT, "a greeting grew")
        demand(decode_hello(again) == hello, "a greeting does not come back from its own bytes")
        demand(replace(hello) == hello, "a greeting that cannot be made was let through")
    compare(OURS, hello)
    demand(replace(hello, role=THEIRS.role) == THEIRS, "two ends that differ were taken for one")


def _abort(payload: bytes) -> None:
    told = decode_abort(payload, "E2")
    demand(is_name(told.origin), "an abort of nobody was let through")
    demand(
        told.reason.isprintable() and len(told.reason) <= MAX_REASON, "a reason that cannot be shown was let through"
    )
    again = decode_abort(encode_abort(told.origin, told.reason))
    # A reason that begins with its origin's name is said without it: twice over, it may lose it twice.
    demand(again.origin == told.origin and told.reason.endswith(again.reason), "an abort does not come back")


def _value(source: Source, depth: int) -> object:
    """Return a value that is nearly a greeting."""
    kind = source.below(8)
    if kind == 0 or depth > 3:
        return source.number(source.below(9))
    if kind == 1:
        return source.take(source.below(140)).decode("latin-1")
    if kind in (2, 3):
        return [_value(source, depth + 1) for _ in range(source.below(8))]
    if kind == 4:
        return {source.octet(): _value(source, depth + 1) for _ in range(source.below(3))}
    if kind == 5:
        return [1, "E2", "E1", _value(source, depth + 1), "north-clinic", _value(source, depth + 1)]
    if kind == 6:
        return [["engine", _value(source, depth + 1)], ["network", "clinic"]]
    return ("E2", "dealt", None, True)[source.below(4)]


def seeds() -> list[bytes]:
    """Greetings and aborts as they are sent."""
    many = replace(THEIRS, fields={f"layer {n}": "x" * n for n in range(60)})
    hellos = (THEIRS, OURS, replace(THEIRS, run="other"), replace(THEIRS, version=2), replace(THEIRS, fields={}), many)
    aborts = (encode_abort("E1", "E1: no material is left"), encode_abort("HC", "x" * MAX_REASON))
    built = (bytes((_BUILT, 5, 7, 0, 6, 7, 1)), bytes((_BUILT, 5, 1, 2, 69, 50, 6, 7, 1)))
    return [bytes((_HELLO,)) + encode_hello(h) for h in hellos] + [bytes((_ABORT,)) + a for a in aborts] + [*built]


TARGET = Target("greeting", run, (FrameError, HandshakeMismatch), seeds, most_bytes=8192)
