"""Short structured messages between parties that agree on a session: JSON, always of the same length.

So what a session costs before its first query is known to the byte, whatever the parties have to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeGuard

from pehealth.codec.strict_json import parse_json
from pehealth.errors import MaterialError, PeerProtocolError
from pehealth.store.leases import Lease
from pehealth.store.ranges import MOST, Ranges

NOTE_BYTES = 4096
MOST_NAME = 64
"""Characters in the name of a submitter."""


def pack_stock(stock: Ranges) -> bytes:
    """Return what a server says to be in stock; of too many spans the lowest, so never more than there is."""
    while len(data := _dump(stock.spans)) > NOTE_BYTES:
        stock = Ranges(stock.spans[: len(stock.spans) * 3 // 4])
    return data.ljust(NOTE_BYTES)


def unpack_stock(data: bytes) -> Ranges:
    """Return the indices in `data`.

    Raises:
        PeerProtocolError: it is no note of ours.
    """
    try:
        return Ranges.read(_load(data))
    except ValueError as error:
        raise PeerProtocolError(f"a list of ranges was expected: {error}") from error


def pack_leases(leases: Iterable[Lease], indices: Ranges) -> bytes:
    """Return what the centre grants: leases, and which of their indices this session is for.

    Raises:
        MaterialError: they are in too many pieces for one note.
    """
    data = _dump([[[each.submitter, each.first, each.count] for each in leases], indices.spans])
    if len(data) > NOTE_BYTES:
        raise MaterialError(
            f"HC: {len(indices)} indices lie in too many pieces to be leased at once: make fewer queries, or deal "
            "fresh material in one go"
        )
    return data.ljust(NOTE_BYTES)


def unpack_leases(data: bytes) -> tuple[tuple[Lease, ...], Ranges]:
    """Return leases and indices in `data`.

    Raises:
        PeerProtocolError: it is no note of ours.
    """
    try:
        leases, indices = _load(data)
        return tuple(_lease(*each) for each in leases), Ranges.read(indices)
    except (ValueError, TypeError) as error:
        raise PeerProtocolError(f"a note of leases was expected: {error}") from error


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _load(data: bytes) -> list[Any]:
    try:
        loaded = parse_json(data)
    except ValueError as error:
        raise PeerProtocolError(f"a note in JSON was expected: {error}") from error
    if not isinstance(loaded, list):
        raise PeerProtocolError("a note that is a list was expected")
    return loaded


def _is_submitter(who: object) -> TypeGuard[str]:
    return isinstance(who, str) and who.isprintable() and 0 < len(who) <= MOST_NAME


def _lease(who: object, first: object, count: object) -> Lease:
    if not (_is_submitter(who) and type(first) is int and type(count) is int and 0 <= first < first + count <= MOST):
        raise ValueError("expected leases of a name, a first index and a count")
    return Lease(who, first, count)
