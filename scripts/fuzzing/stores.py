"""What parties tell each other of their stores, and the small files beside them: states, notes, leases, epochs."""

from __future__ import annotations

import json
from collections.abc import Callable

from fuzzing.scratch import scratch_file
from fuzzing.target import Source, Target, demand
from parties.notes import pack_leases, pack_stock, unpack_leases, unpack_stock
from pehealth.config import Party
from pehealth.errors import MaterialError, PeerProtocolError
from pehealth.store.epoch import EpochFile
from pehealth.store.leases import Lease
from pehealth.store.ranges import Ranges
from pehealth.store.state import StoreState

_PLAN = bytes(range(32)).hex()
_OURS = StoreState(_PLAN, Party.E1, "a" * 32, "b" * 32, "", 5, Ranges(((0, 64), (100, 128))))
_NUMBERS = (0, 1, 64, 2**31, 2**63 - 1, 2**63, -1, 10**40, 1.5, -0.0, 1e308, float("inf"), float("nan"), True)


def run(data: bytes) -> None:
    """Read a message or a file; what it says can be used, and said again."""
    source = Source(data)
    reader = _READERS[source.below(len(_READERS))]
    built = source.below(3)
    reader(json.dumps(_value(source, 0)).encode() if built == 1 else source.rest())


def _state(data: bytes) -> None:
    theirs = StoreState.unpack(data)
    demand(StoreState.unpack(theirs.pack()) == theirs or len(theirs.spent.spans) > 1, "a state does not come back")
    _check(theirs.spent)
    _OURS.check(theirs, "c" * 32, 3, Ranges(((0, 10),)))
    _ = len(_OURS.spent | theirs.spent), _OURS.resumes(theirs)


def _stock(data: bytes) -> None:
    stock = unpack_stock(data)
    _check(stock)
    demand(set(unpack_stock(pack_stock(stock)).spans) <= set(stock.spans), "stock was made up")


def _leases(data: bytes) -> None:
    leases, indices = unpack_leases(data)
    _check(indices)
    for lease in leases:
        demand(0 <= lease.first <= lease.until < 2**63, "a lease that no store can hold")
    demand(unpack_leases(pack_leases(leases, indices)) == (leases, indices), "leases do not come back")


def _epoch(data: bytes) -> None:
    with scratch_file(data) as path:
        file = EpochFile(path)
        seen = file.read()
        demand(seen is not None, "an epoch file is there")
        file.check(path, "a" * 32, 2**62)


def _check(indices: Ranges) -> None:
    """Indices that a store can hold: SQLite's numbers end at 2^63 - 1."""
    demand(all(0 <= first < end < 2**63 for first, end in indices), "indices that no store can hold")


def _value(source: Source, depth: int) -> object:
    kind = source.below(8)
    if kind == 0 or depth > 4:
        return _NUMBERS[source.below(len(_NUMBERS))]
    if kind == 1:
        return source.take(source.below(34)).decode("latin-1")
    if kind == 2:
        return [_value(source, depth + 1) for _ in range(source.below(6))]
    if kind == 3:
        return [[_NUMBERS[source.below(len(_NUMBERS))] for _ in range(2)] for _ in range(source.below(4))]
    if kind == 4:
        return [[["HMS1", _value(source, depth + 1), _value(source, depth + 1)]], _value(source, depth + 1)]
    if kind == 5:
        spent = {"generation": source.octet(), "spent": _value(source, depth + 1)}
        return {"plan": _PLAN, "party": "E2", "store": "c" * 32, "session": "d" * 32, "agreed": "", **spent}
    return ("E2", None, False, {})[source.below(4)]


_READERS: tuple[Callable[[bytes], None], ...] = (_state, _stock, _leases, _epoch)


def seeds() -> list[bytes]:
    """Messages as they are sent, the file as it is written, and built ones."""
    theirs = StoreState(_PLAN, Party.E2, "c" * 32, "d" * 32, "b" * 32, 4, Ranges(((0, 64), (100, 128))))
    spans = Ranges(((1, 65), (70, 71)))
    raw = (
        (0, theirs.pack().rstrip()),
        (1, pack_stock(spans).rstrip()),
        (2, pack_leases([Lease("HMS1", 1, 64), Lease("HMS2", 70, 1)], spans).rstrip()),
        (3, b"pehealth-epoch-1 " + b"a" * 32 + b" 17\n"),
    )
    built = [
        bytes((0, 1, 5, 9, 3, 2, 0, 1, 2, 3)),
        bytes((2, 1, 4, 0, 1, 0, 2, 3, 1, 0, 2)),
        bytes((1, 1, 3, 1, 0, 11)),
    ]
    return [bytes((reader, 0)) + data for reader, data in raw] + built


TARGET = Target("store", run, (PeerProtocolError, MaterialError), seeds, most_bytes=4100)
