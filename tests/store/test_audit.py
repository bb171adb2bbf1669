"""The audit finds every way in which an index could have served twice, and nothing where all is well."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from pehealth.config import Party
from pehealth.store.audit import Entry, Marks, problems, read_marks
from pehealth.store.leases import Lease
from pehealth.store.material import MaterialStore
from pehealth.store.ranges import Ranges
from pehealth.store.shelf import Happened

PLAN = bytes(32)
COUNT = 12


@pytest.fixture
def stores(folder: Path) -> tuple[Path, Path]:
    """Two days: agree, reserve four, use three; the second day E2's process is killed before it ends."""
    paths = folder / "E1", folder / "E2"
    for day in range(2):
        one, two = (MaterialStore.open_or_create(p, PLAN, Party(p.name)) for p in paths)
        for store in (one, two):
            if not day:
                store.put(0, [bytes([i]) * 40 for i in range(COUNT)])
            store.grant(Lease("ward", 0, COUNT))
        ours, theirs = one.state(), two.state()
        one.agree(theirs, ours)
        two.agree(ours, theirs)
        for store in (one, two):
            for index in store.reserve(4)[:3]:
                store.accept(index, "ward")
                store.take(index)
        one.close()
        if day:
            two._shelf.database.abandon()
        else:
            two.close()
    return paths


def marks(stores: tuple[Path, Path]) -> tuple[Marks, Marks]:
    one, two = map(read_marks, stores)
    return one, two


def test_two_days_with_a_crash_leave_nothing_to_find(stores: tuple[Path, Path]) -> None:
    one, two = marks(stores)
    assert problems(one, two) == ()
    assert one.of(Happened.STORED) == Ranges.of([(0, COUNT)])
    assert one.of(Happened.RESERVED) == two.of(Happened.RESERVED) == Ranges.of([(0, 8)])
    assert one.of(Happened.USED) == Ranges.of([(0, 3), (4, 7)])
    assert one.of(Happened.BURNT) == Ranges.of([(3, 4), (7, 8)])
    assert two.of(Happened.USED) == Ranges.of([(0, 3)]), "what it used the second day it could not write down"
    assert one.stock == two.stock == Ranges.of([(8, COUNT)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: {"log": (*m.log, _again(m, Happened.RESERVED))}, "E1: 0-3 was reserved twice"),
        (lambda m: {"log": (*m.log, _again(m, Happened.STORED))}, "E1: 0-11 was stored twice"),
        (lambda m: {"log": (*m.log, Entry(Happened.USED, 9, 10, "", ""))}, "E1: 9 used and never reserved"),
        (lambda m: {"spent": Ranges.of([(0, 7)])}, "E1: 7 reserved and not marked as spent"),
        (lambda m: {"stock": Ranges.of([(7, COUNT)])}, "E1: 7 spent and still in stock"),
        (
            lambda m: {"log": tuple(dataclasses.replace(e, peer="x") if e.first == 4 else e for e in m.log)},
            "4-7 were reserved by E1 and E2 in sessions that had not met",
        ),
    ],
)
def test_every_kind_of_reuse_is_named(stores: tuple[Path, Path], change, words: str) -> None:
    one, two = marks(stores)
    found = problems(dataclasses.replace(one, **change(one)), two)
    assert words in found


def _again(marks: Marks, what: Happened) -> Entry:
    return next(entry for entry in marks.log if entry.what is what)


def test_nobody_can_take_a_line_back(stores: tuple[Path, Path]) -> None:
    with sqlite3.connect(stores[0]) as connection:
        for statement in ("DELETE FROM log", "UPDATE log SET first = 99"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()
