"""Short structured messages between parties that agree on a session: JSON, always of the same length.

So what a session costs before its first query is known to the byte, whatever the parties have to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pehealth.errors import MaterialError, PeerProtocolError
from pehealth.store.leases import Lease
from pehealth.store.ranges import Ranges

NOTE_BYTES = 4096


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
    return _ranges(_load(data))


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
        return tuple(Lease(str(who), int(first), int(count)) for who, first, count in leases), _ranges(indices)
    except (ValueError, TypeError) as error:
        raise PeerProtocolError(f"a note of leases was expected: {error}") from error


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _load(data: bytes) -> list[Any]:
    try:
        loaded = json.loads(data)
    except ValueError as error:
        raise PeerProtocolError(f"a note in JSON was expected: {error}") from error
    if not isinstance(loaded, list):
        raise PeerProtocolError("a note that is a list was expected")
    return loaded


def _ranges(spans: list[Any]) -> Ranges:
    try:
        return Ranges.of((int(first), int(end)) for first, end in spans)
    except (ValueError, TypeError) as error:
        raise PeerProtocolError(f"a list of ranges was expected: {error}") from error
