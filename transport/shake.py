"""The handshake over a wire: who calls speaks first, who is called answers or refuses."""

from __future__ import annotations

from collections.abc import Callable

from transport.errors import FrameError, TransportError
from transport.framing import Kind
from transport.handshake import Hello, compare, decode_abort, decode_hello, encode_abort, encode_hello
from transport.wire import Wire

_DRAIN_SECONDS = 1.0


class Refused(TransportError):
    """The other end is not whom we talk to: nobody we wait for, here already, or under another's name."""


async def initiate(wire: Wire, ours: Hello) -> Hello:
    """Greet the party we called, and return its greeting.

    Raises:
        HandshakeMismatch: the two ends do not agree; it finds the same.
        PeerAbort: it turned us away, with its reason.
        Refused: it claims a name that its certificate does not have.
        FrameError: something else answered.
    """
    await wire.send_control(Kind.HELLO, encode_hello(ours))
    theirs = await _greeting(wire)
    _check_proof(wire, theirs)
    compare(ours, theirs)
    return theirs


async def respond(wire: Wire, choose: Callable[[Hello], Hello]) -> Hello:
    """Hear who calls, answer with what `choose` makes of it, and return the caller's greeting.

    `choose` may raise Refused. Whatever goes wrong should be told to the caller with `turn_away`.
    """
    theirs = await _greeting(wire)
    _check_proof(wire, theirs)
    ours = choose(theirs)
    await wire.send_control(Kind.HELLO, encode_hello(ours))
    compare(ours, theirs)
    return theirs


async def turn_away(wire: Wire, local: str, reason: str) -> None:
    """Tell a caller why we do not talk to it. Raises nothing: the link is given up in any case."""
    try:
        await wire.send_control(Kind.ABORT, encode_abort(local, reason))
        await wire.send_eof()
    except TransportError:
        return
    await wire.drain(_DRAIN_SECONDS)


async def _greeting(wire: Wire) -> Hello:
    frame = await wire.receive_first()
    if frame.kind is Kind.ABORT:
        raise decode_abort(frame.payload, wire.peer)
    if frame.kind is not Kind.HELLO:
        raise FrameError(f"{wire.peer}: expected a greeting, came a frame of kind {frame.kind.name}")
    return decode_hello(frame.payload, wire.peer)


def _check_proof(wire: Wire, theirs: Hello) -> None:
    names = wire.proven_names
    if names is not None and theirs.local.lower() not in names:
        shown = ", ".join(sorted(names)) or "nobody"
        raise Refused(f"{theirs.local} showed a certificate that names {shown}: give each party its own")
