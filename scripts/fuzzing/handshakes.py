"""Whole handshakes: we call, or are called, and the other end says anything at all."""

from __future__ import annotations

from dataclasses import replace

import trio
import trio.testing

from fuzzing.greetings import OURS, THEIRS
from fuzzing.greetings import seeds as greetings
from fuzzing.scripted import HANGS, ScriptedStream
from fuzzing.target import Source, Target, cut, demand
from transport.carrier import Proof
from transport.errors import TransportError
from transport.framing import CONTROL_LIMIT, HEADER_BYTES, Frame, Kind, encode
from transport.handshake import Hello, encode_hello
from transport.shake import Refused, initiate, respond, turn_away
from transport.wire import Wire

GREET_SECONDS = 10.0
_PROOFS = (None, Proof(("E2",), 0.0), Proof(("HC",), 0.0), Proof(("E2",), 0.0, "its certificate was revoked"))
_MOST_SENT = 2 * (HEADER_BYTES + CONTROL_LIMIT)


def run(data: bytes) -> None:
    """Shake hands with what `data` says, under a deadline in virtual time, and turn it away if it fails."""
    source = Source(data)
    calls, framed = source.below(2), source.below(2)
    proof = _PROOFS[source.below(len(_PROOFS))]
    ending, pause = source.below(3), source.below(3) * 0.4
    sizes = [1 + source.octet() for _ in range(source.below(3))]
    spoken = source.rest()
    if framed:
        spoken = _frame(spoken)
    stream = ScriptedStream(cut(spoken, sizes), ending, proof, pause)
    clock = trio.testing.MockClock(autojump_threshold=0) if ending == HANGS or pause else None
    theirs = trio.run(_shake, stream, bool(calls), clock=clock)
    demand(stream.taken <= _MOST_SENT, "a caller was told more than a greeting and a reason")
    demand(replace(theirs, role=THEIRS.role) == THEIRS, "somebody else was let in")
    demand(proof in _PROOFS[:2], "a proof of another name, or a revoked one, was taken")


def _frame(payload: bytes) -> bytes:
    return encode(Frame(Kind.HELLO, 0, 0, 0, 0, Kind.HELLO, payload)) + payload


async def _shake(stream: ScriptedStream, calls: bool) -> Hello:
    wire = Wire(stream, "a caller", frame_bytes=CONTROL_LIMIT)
    try:
        with trio.fail_after(GREET_SECONDS):
            return await (initiate(wire, OURS) if calls else respond(wire, _choose))
    except trio.TooSlowError as error:
        raise TransportError("too slow") from error
    except TransportError as error:
        with trio.move_on_after(GREET_SECONDS):
            await turn_away(wire, "E1", str(error))
        raise
    finally:
        await wire.aclose()


def _choose(theirs: Hello) -> Hello:
    if theirs.local != THEIRS.local:
        raise Refused("E1 waits for others")
    return OURS.to(theirs.local)


def seeds() -> list[bytes]:
    """Greetings, framed by us and already framed, whole and in crumbs."""
    heads = (bytes((0, 1, 1, 1, 0, 0)), bytes((1, 1, 0, 1, 0, 1, 6)), bytes((0, 1, 0, 0, 1, 0)))
    whole = encode_hello(THEIRS)
    framed = [bytes((calls, 0, 0, ending, 0, 0)) + _frame(whole) for calls in (0, 1) for ending in (0, 1, 2)]
    return [head + seed[1:] for seed in greetings() for head in heads] + framed


TARGET = Target("handshake", run, (TransportError,), seeds, most_bytes=2560)
