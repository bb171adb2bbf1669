"""What one-shot and standing links share: a handshake that always ends, and what an end is told about a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from transport.channel import LAST_WORDS_SECONDS
from transport.errors import PeerAbort, PeerLost, PeerTimeout, TransportError
from transport.shake import turn_away
from transport.wire import Wire


@asynccontextmanager
async def greeting(
    wire: Wire, local: str, seconds: float, note: Callable[[TransportError], None]
) -> AsyncIterator[None]:
    """Do a handshake over `wire` in the block, in time; if it fails, note why, tell the other end, close, and raise.

    Raises:
        PeerTimeout: the block took longer than `seconds`.
        TransportError: what the block raised.
    """
    try:
        with _in_time(seconds, wire.peer):
            yield
    except TransportError as error:
        note(error)
        gone = isinstance(error, PeerAbort | PeerLost)
        await give_up(wire, local, "" if gone else str(error))
        raise
    except BaseException:
        await give_up(wire, local, "it does not wait for this handshake any more")
        raise


async def give_up(wire: Wire, local: str, reason: str) -> None:
    """Close a wire, after telling the other end the reason if there is one."""
    with trio.move_on_after(LAST_WORDS_SECONDS) as scope:
        scope.shield = True
        if reason:
            await turn_away(wire, local, reason)
    with trio.move_on_after(LAST_WORDS_SECONDS) as scope:
        scope.shield = True
        await wire.aclose()


def blame(failure: BaseException, local: str) -> tuple[str, str]:
    """Return who failed first and what may be said about it."""
    first = failure
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if hasattr(first, "origin") and hasattr(first, "reason"):  # a PeerAbort, or what a layer above made of one
        return str(first.origin), str(first.reason)
    if hasattr(first, "exit_code"):
        return local, str(first)
    return local, f"internal error ({type(first).__name__})"


@contextmanager
def _in_time(seconds: float, name: str) -> Iterator[None]:
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError as error:
        raise PeerTimeout(f"{name} did not greet within {seconds:g} s") from error
