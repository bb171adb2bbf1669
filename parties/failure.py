"""From an exception, or a whole group of them, to one sentence and an exit code.

Several parties fail together: one of its own fault, the others because it did. The one sentence is the first's.
"""

from __future__ import annotations

from pehealth.errors import PeerAborted, PehealthError
from transport.errors import (
    AddressUnusable,
    FrameError,
    HandshakeMismatch,
    LinkClosed,
    PeerAbort,
    PeerTimeout,
    TlsFailed,
    TransportError,
)

EXIT_SETTINGS = 2
EXIT_PEER_LOST = 3
EXIT_OUR_BUG = 70
EXIT_INTERRUPTED = 130

OWN = 1
"""The `distance` of an error that is a party's own."""
SETTLE_SECONDS = 1.0
"""How long to wait for the cause when the first word of trouble is another party's "my peer is gone"."""


class PartyFailed(PehealthError):
    """A party that runs elsewhere has failed.

    Attributes:
        party: its name.
        exit_code: what our own process should end with.
        distance: how far from the cause its error is: 1 for one of its own, more for what followed from another's.
        at: where it was, in words, if it is known.
        killed: its process was ended by a signal that was not ours.
    """

    def __init__(
        self,
        party: str,
        reason: str,
        *,
        exit_code: int = EXIT_OUR_BUG,
        distance: int = OWN,
        at: str = "",
        killed: bool = False,
    ) -> None:
        self.party = party
        self.reason = reason
        self.killed = killed
        self.exit_code = exit_code
        self.distance = distance
        self.at = at
        super().__init__(f"{party}: {reason}")


def is_echo(error: BaseException) -> bool:
    """True for an error that says only that another party failed."""
    if isinstance(error, PartyFailed):
        return error.distance > OWN
    if isinstance(error, HandshakeMismatch | AddressUnusable | FrameError | TlsFailed):
        return False
    return isinstance(error, PeerAborted | TransportError)


def first_cause(error: BaseException) -> BaseException:
    """Return the exception that the others follow from; among equals the one that was raised first.

    An interrupt by the user comes before all else; then an error of a party's own; then one of a link; then what
    another party said before it stopped. A cancellation is nobody's cause.
    """
    return min(_leaves(error), key=distance)


def distance(error: BaseException) -> int:
    """Return how far from the cause an exception of this kind is: an interrupt 0, an error of a party's own 1."""
    if isinstance(error, KeyboardInterrupt):
        return 0
    if not isinstance(error, Exception):
        return 5
    if isinstance(error, PartyFailed):
        return error.distance
    if not is_echo(error):
        return OWN
    return {PeerTimeout: 2, PeerAbort: 4, PeerAborted: 4, LinkClosed: 4}.get(type(error), 3)


def settle_seconds(error: BaseException) -> float:
    """Return how long to wait for an error that is nearer to the cause than this one."""
    return SETTLE_SECONDS * max(distance(first_cause(error)) - OWN, 0) / 3


def sentence(error: BaseException) -> str:
    """Return what went wrong and, if the error does not say so itself, where its party was."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    text = str(error) if isinstance(error, PehealthError | TransportError) else f"{type(error).__name__}: {error}"
    return f"{text} ({notes})" if notes else text


def exit_code(error: BaseException) -> int:
    """Return the exit code of a single exception: its own, 130 for Ctrl-C, 70 for what we did not foresee."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, PehealthError | TransportError):
        return error.exit_code
    return EXIT_OUR_BUG


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
