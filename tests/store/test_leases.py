"""No index is dealt or leased twice, across restarts too."""

from pathlib import Path

import pytest

from pehealth.errors import MaterialError
from pehealth.store.leases import Lease, LeaseBook

PLAN = bytes(32)


def test_leases_follow_what_was_dealt(folder: Path) -> None:
    book = LeaseBook.open(folder / "leases", PLAN)
    with pytest.raises(MaterialError, match="material for 0 is dealt"):
        book.lease("ward 1", 1)
    assert book.allot(10) == range(10)
    assert book.lease("ward 1", 4) == Lease("ward 1", 0, 4)
    assert book.lease("ward 2", 5) == Lease("ward 2", 4, 5)
    assert book.remaining() == 1
    with pytest.raises(MaterialError, match="asks for 2 queries; material for 1"):
        book.lease("ward 1", 2)
    book.close()
    again = LeaseBook.open(folder / "leases", PLAN)
    assert again.leases == (Lease("ward 1", 0, 4), Lease("ward 2", 4, 5))
    assert again.allot(2) == range(10, 12)
    assert again.lease("ward 1", 3) == Lease("ward 1", 9, 3)
    again.close()


def test_a_book_belongs_to_its_plan(folder: Path) -> None:
    LeaseBook.open(folder / "leases", PLAN).close()
    with pytest.raises(MaterialError, match="not the lease book of plan"):
        LeaseBook.open(folder / "leases", bytes([1] * 32))
    LeaseBook.open(folder / "leases", PLAN).close()


def test_a_lease_of_nothing_is_refused(folder: Path) -> None:
    book = LeaseBook.open(folder / "leases", PLAN)
    book.allot(5)
    for count in (0, -1):
        with pytest.raises(MaterialError):
            book.lease("ward 1", count)
    book.close()
