"""The handshake over a wire: who calls speaks first, who is called answers or refuses."""

from __future__ import annotations

from collections.abc import Callable

from transport.carrier import Proof
from transport.errors import FrameError, TlsFailed, TransportError
from transport.framing import Kind
from transport.handshake import Hello, compare, decode_abort, decode_hello, encode_abort, encode_hello
from transport.wire import Wire

_DRAIN_SECONDS = 1.0


class Refused(TransportError):
    """The other end is not whom we talk to: nobody we wait for, or here already."""


async def initiate(wire: Wire, ours: Hello) -> Hello:
    """Greet the party we called, and return its greeting.

    Raises:
        HandshakeMismatch: the two ends do not agree; it finds the same.
        PeerAbort: it turned us away, with its reason.
        TlsFailed: its certificate is not taken, or is not that of the party we called.
        FrameError: something else answered.
    """
    check_proof(await wire.prove(), ours.wanted)
    await wire.send_control(Kind.HELLO, encode_hello(ours))
    theirs = await _greeting(wire)
    compare(ours, theirs)
    return theirs


async def respond(wire: Wire, choose: Callable[[Hello], Hello]) -> Hello:
    """Hear who calls, answer with what `choose` makes of it, and return the caller's greeting.

    `choose` may raise Refused. Whatever goes wrong should be told to the caller with `turn_away`.
    """
    proof = await wire.prove()
    check_proof(proof)
    theirs = await _greeting(wire)
    check_proof(proof, theirs.local)
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


def check_proof(proof: Proof | None, name: str = "") -> None:
    """Check that what the other end has proven is enough, and that it is `name` if that is known.

    Raises:
        TlsFailed: saying what is wrong with its certificate.
    """
    if proof is None:
        return
    shown = ", ".join(proof.names) or "nobody"
    if proof.objection:
        raise TlsFailed(f"TLS with {name or shown}: {proof.objection}")
    if name and not proof.names_party(name):
        remedy = "give each party its own, and check the addresses"
        raise TlsFailed(f"TLS with {name}: its certificate names {shown}: {remedy}")
