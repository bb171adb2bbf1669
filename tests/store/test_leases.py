"""No index is leased to two, across restarts too."""

from pathlib import Path

import pytest

from pehealth.errors import MaterialError
from pehealth.store.leases import Lease, LeaseBook
from pehealth.store.ranges import Ranges

PLAN = bytes(32)


def span(*ends: int) -> Ranges:
    return Ranges.of(zip(ends[::2], ends[1::2], strict=True))


def test_a_submitter_goes_on_with_its_own_leases_first(folder: Path) -> None:
    book = LeaseBook.open(folder / "leases", PLAN)
    assert book.lease("ward 1", 4, span(0, 10)) == span(0, 4)
    assert book.lease("ward 2", 5, span(0, 10)) == span(4, 9)
    assert book.lease("ward 1", 2, span(2, 10)) == span(2, 4), "0 and 1 are used, 2 and 3 are not"
    assert book.leases == (Lease("ward 1", 0, 4), Lease("ward 2", 4, 5))
    book.close()
    again = LeaseBook.open(folder / "leases", PLAN)
    assert again.lease("ward 1", 3, span(3, 14)) == span(3, 4, 9, 11)
    assert again.covering(span(3, 4, 9, 10)) == (Lease("ward 1", 0, 4), Lease("ward 1", 9, 2))
    assert again.usable("ward 2", span(0, 14)) == span(4, 9, 11, 14)
    again.close()


def test_what_the_servers_do_not_both_have_is_not_leased(folder: Path) -> None:
    book = LeaseBook.open(folder / "leases", PLAN)
    with pytest.raises(MaterialError, match=r"asks for 3 queries; both servers have material for 2 .* deal 1 more"):
        book.lease("ward 1", 3, span(7, 8, 9, 10))
    assert book.leases == ()
    assert book.lease("ward 1", 2, span(7, 8, 9, 10)) == span(7, 8, 9, 10)
    book.close()


def test_a_book_belongs_to_its_plan(folder: Path) -> None:
    LeaseBook.open(folder / "leases", PLAN).close()
    with pytest.raises(MaterialError, match="not the lease book of plan"):
        LeaseBook.open(folder / "leases", bytes([1] * 32))
    LeaseBook.open(folder / "leases", PLAN).close()


def test_a_lease_of_nothing_is_refused(folder: Path) -> None:
    book = LeaseBook.open(folder / "leases", PLAN)
    for count in (0, -1):
        with pytest.raises(MaterialError):
            book.lease("ward 1", count, span(0, 5))
    book.close()
