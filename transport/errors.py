"""What can go wrong on a link; what can go wrong in the computation is in `pehealth.errors`."""

from __future__ import annotations


class TransportError(Exception):
    """A link cannot be used; the message names the peer, the step and the remedy."""

    exit_code = 3


class LinkClosed(TransportError):
    """We closed this link ourselves and then used it."""


class PeerLost(TransportError):
    """The peer or the network closed the link: reset, end of file, no keepalive."""


class PeerTimeout(TransportError):
    """A deadline passed while waiting for a peer; names peer, tag, and since when."""


class HandshakeMismatch(TransportError):
    """The two ends do not agree; names the first field that differs, ours and theirs."""

    exit_code = 2

    def __init__(
        self, peer: str, field: str, ours: object, theirs: object, remedy: str = "", *, local: str = ""
    ) -> None:
        self.peer, self.field, self.ours, self.theirs = peer, field, ours, theirs
        head = f"{local}: " if local else ""
        tail = f"; {remedy}" if remedy else ""
        super().__init__(f"{head}handshake with {peer}: {field} differs: ours {ours!r}, theirs {theirs!r}{tail}")


class TlsFailed(TransportError):
    """One end does not take the other's certificate, or does not speak TLS; says which end must do what."""

    exit_code = 2


class AddressUnusable(TransportError):
    """The address to listen on cannot be used: taken, not ours, not allowed; names it, and the remedy."""

    exit_code = 2


class FrameError(TransportError):
    """Bytes that cannot be accepted: too long, wrong version, unknown kind, truncated, out of sequence."""

    exit_code = 4


class UnexpectedMessage(FrameError):
    """A well-formed frame that is not the one this step waits for; names both tags."""


class PeerAbort(TransportError):
    """The peer sent an abort frame; `origin` is the party that failed first, `reason` its words."""

    def __init__(self, origin: str, reason: str) -> None:
        self.origin, self.reason = origin, reason
        super().__init__(f"{origin} stopped: {reason}")
