"""From an exception, or a whole group of them, to one sentence and an exit code.

Several parties fail together: one of its own fault, the others because it did. The one sentence is the first's.
"""

from __future__ import annotations

from pehealth.errors import PeerAborted, PehealthError
from transport.errors import HandshakeMismatch, PeerAbort, TransportError

EXIT_SETTINGS = 2
EXIT_PEER_LOST = 3
EXIT_OUR_BUG = 70
EXIT_INTERRUPTED = 130


class PartyFailed(PehealthError):
    """A party that runs elsewhere has failed.

    Attributes:
        party: its name.
        exit_code: what our own process should end with.
        echo: it failed only because another party did.
    """

    def __init__(self, party: str, reason: str, *, exit_code: int = EXIT_OUR_BUG, echo: bool = False) -> None:
        self.party = party
        self.exit_code = exit_code
        self.echo = echo
        super().__init__(f"{party}: {reason}")


def is_echo(error: BaseException) -> bool:
    """True for an error that says only that another party failed."""
    if isinstance(error, PartyFailed):
        return error.echo
    if isinstance(error, HandshakeMismatch):
        return False
    return isinstance(error, PeerAborted | PeerAbort | TransportError)


def first_cause(error: BaseException) -> BaseException:
    """Return the exception that the others follow from.

    An interrupt by the user comes before all else; then an error of a party's own, in the order raised; then an
    echo. A cancellation is nobody's cause.
    """
    leaves = list(_leaves(error))
    for wanted in (
        [e for e in leaves if isinstance(e, KeyboardInterrupt)],
        [e for e in leaves if isinstance(e, Exception) and not is_echo(e)],
        [e for e in leaves if isinstance(e, Exception)],
    ):
        if wanted:
            return wanted[0]
    return leaves[0] if leaves else error


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
