"""What two ends tell each other before the first message, and whether they agree. No input or output here.

Nothing that a peer says is trusted: every size and type is checked, names are plain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeGuard

import msgpack

from transport.errors import FrameError, HandshakeMismatch, PeerAbort
from transport.framing import CONTROL_LIMIT

PROTOCOL_VERSION = 1
"""Of everything above the frames: raised whenever the same messages mean something else."""
MAX_FIELDS = 1024
MAX_FIELD_NAME = 128
MAX_TEXT = 1024
MAX_REASON = 1024
"""Bytes of UTF-8 in the reason of an abort."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def is_name(text: object) -> TypeGuard[str]:
    """Say whether `text` can name a party: letters, digits, "_", "." and "-", at most 64."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Hello:
    """What one end says about itself.

    Attributes:
        local: our name, for instance "E1".
        role: what we are; several sensors share a role. Two ends of a link never do. Empty: not compared.
        run: names this run or deployment; both ends are told the same.
        fields: settings, the network layer by layer, digests: name -> text, compared in this order.
        wanted: whom we want to talk to; empty in a template.
        version: of the protocol above the frames.
    """

    local: str
    role: str = ""
    run: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    wanted: str = ""
    version: int = PROTOCOL_VERSION

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    def to(self, peer: str) -> Hello:
        """Return the same greeting addressed to `peer`."""
        return replace(self, wanted=peer)


def encode_hello(hello: Hello) -> bytes:
    """Return the payload of a HELLO frame. Raises ValueError if it does not fit into one."""
    packed: bytes = msgpack.packb(
        [hello.version, hello.local, hello.wanted, hello.role, hello.run, [list(pair) for pair in hello.fields.items()]]
    )
    if len(packed) > CONTROL_LIMIT:
        raise ValueError(
            f"a greeting of {len(packed)} bytes: expected at most {CONTROL_LIMIT}; send digests of long fields"
        )
    return packed


def decode_hello(payload: bytes, source: str = "the peer") -> Hello:
    """Return the greeting in `payload`; of another version only the version and, if readable, the name.

    Raises FrameError for anything but a greeting.
    """
    message = _unpack(payload, source, "a greeting")
    if not (isinstance(message, list) and message and type(message[0]) is int and 0 <= message[0] < 2**31):
        raise FrameError(f"greeting from {source}: expected a list that begins with a version, came something else")
    version = message[0]
    if version != PROTOCOL_VERSION:
        claimed = message[1] if len(message) > 1 else None
        return Hello(local=claimed if is_name(claimed) else "unknown", version=version)
    if len(message) != 6 or not all(isinstance(item, str) for item in message[1:5]):
        raise FrameError(f"greeting from {source}: expected version, four texts and the fields, came something else")
    local, wanted, role, run, pairs = message[1:]
    try:
        return Hello(local=local, role=role, run=run, fields=_fields(pairs), wanted=wanted)
    except (ValueError, TypeError) as error:
        raise FrameError(f"greeting from {source}: {error}") from error


def compare(ours: Hello, theirs: Hello) -> None:
    """Check that two ends agree.

    Raises:
        HandshakeMismatch: naming the first difference: protocol version, names and roles, run, then the fields
            in our order, then fields that only the peer has.
    """
    peer = theirs.local

    def demand(name: str, our: object, their: object, remedy: str) -> None:
        if our != their:
            raise HandshakeMismatch(peer, name, our, their, remedy, local=ours.local)

    demand("protocol version", ours.version, theirs.version, "install the same release of pehealth at both ends")
    _compare_names(ours, theirs)
    demand("run", ours.run, theirs.run, "start both ends for the same run; is an old process still listening?")
    for name, text in ours.fields.items():
        demand(name, text, theirs.fields.get(name), "give both ends the same settings and the same network")
    for name, text in theirs.fields.items():
        if name not in ours.fields:
            demand(name, None, text, "give both ends the same settings and the same network")


def _compare_names(ours: Hello, theirs: Hello) -> None:
    peer = theirs.local
    if ours.local == peer:
        remedy = f"both ends say that they are {peer}: start one of them as another party"
        raise HandshakeMismatch(peer, "name", ours.local, peer, remedy, local=ours.local)
    if ours.wanted != peer:
        remedy = f"we wanted {ours.wanted} and reached {peer}: check the addresses"
        raise HandshakeMismatch(peer, "peer's name", ours.wanted, peer, remedy, local=ours.local)
    if theirs.wanted != ours.local:
        remedy = f"{peer} wanted {theirs.wanted} and reached {ours.local}: check the addresses"
        raise HandshakeMismatch(peer, "wanted name", ours.local, theirs.wanted, remedy, local=ours.local)
    if ours.role and ours.role == theirs.role:
        remedy = f"both ends say that they are {ours.role}: start one of them as another party"
        raise HandshakeMismatch(peer, "role", ours.role, theirs.role, remedy, local=ours.local)


def encode_abort(origin: str, reason: str) -> bytes:
    """Return the payload of an ABORT frame; a reason over 1 KiB is cut, and does not begin with the origin's name."""
    text = reason.removeprefix(f"{origin}: ").encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")
    packed: bytes = msgpack.packb([origin, text])
    return packed


def decode_abort(payload: bytes, source: str = "the peer") -> PeerAbort:
    """Return the abort in `payload` as the exception to raise; what cannot be printed is replaced.

    Raises FrameError for anything but an abort.
    """
    message = _unpack(payload, source, "an abort")
    if not (isinstance(message, list) and len(message) == 2 and is_name(message[0]) and isinstance(message[1], str)):
        raise FrameError(f"abort from {source}: expected a party's name and a reason, came something else")
    origin, reason = message
    if len(reason.encode("utf-8", "replace")) > MAX_REASON:
        raise FrameError(f"abort from {source}: expected a reason of at most {MAX_REASON} bytes, came a longer one")
    return PeerAbort(origin, "".join(char if char.isprintable() else "?" for char in reason))


def _unpack(payload: bytes, source: str, what: str) -> object:
    """Return what msgpack makes of `payload`. Raises FrameError."""
    try:
        message: object = msgpack.unpackb(payload, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise FrameError(
            f"{what} from {source}: expected msgpack, came {len(payload)} bytes of something else"
        ) from error
    return message


def _fields(pairs: object) -> dict[str, str]:
    if not isinstance(pairs, list):
        raise TypeError("expected a list of fields, came something else")
    fields: dict[str, str] = {}
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(item, str) for item in pair)):
            raise ValueError("expected fields of a name and a text, came something else")
        if pair[0] in fields:
            raise ValueError(f"expected each field once, came {pair[0][:MAX_FIELD_NAME]!r} twice")
        fields[pair[0]] = pair[1]
    return fields


def _problem(hello: Hello) -> str:
    """Return what is wrong with a greeting, or an empty text."""
    if not is_name(hello.local):
        return f"expected a party's name of at most 64 letters and digits, came {hello.local[:80]!r}"
    if hello.wanted and not is_name(hello.wanted):
        return f"expected a peer's name of at most 64 letters and digits, came {hello.wanted[:80]!r}"
    if hello.role and not is_name(hello.role):
        return f"expected a role of at most 64 letters and digits, came {hello.role[:80]!r}"
    if len(hello.run) > MAX_FIELD_NAME:
        return f"expected a run of at most {MAX_FIELD_NAME} characters, came {len(hello.run)}"
    if len(hello.fields) > MAX_FIELDS:
        return f"expected at most {MAX_FIELDS} fields, came {len(hello.fields)}"
    for name, text in hello.fields.items():
        if not 0 < len(name) <= MAX_FIELD_NAME or len(text) > MAX_TEXT:
            return f"expected names of 1 to {MAX_FIELD_NAME} and texts of at most {MAX_TEXT} characters: {name[:40]!r}"
    return ""
