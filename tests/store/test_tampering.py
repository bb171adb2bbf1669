"""Damage all over a party's files: a documented error with the file's name, or all as it was; never a wrong result."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzzing.tamper import cuts, flips, pages

from pehealth.config import Party
from pehealth.errors import ConfigError, MaterialError
from pehealth.store.audit import read_marks
from pehealth.store.deployment import FILE_NAME, Deployment
from pehealth.store.epoch import Epoch, EpochFile
from pehealth.store.leases import Lease, LeaseBook
from pehealth.store.material import MaterialStore
from pehealth.store.ranges import Ranges
from pehealth.store.state import StoreState

PLAN = bytes(range(32))
RECORDS = {index: bytes([index]) * 300 for index in range(1, 21)}
USED, LEFT = {1, 2, 3, 4}, set(range(5, 21))
PARTS = {"model/1": b"SECRET" * 100, "common key": bytes(32)}
SETTINGS = {"network": "clinic", "digits": "4"}
STRIDES = [pytest.param(97, id="some"), pytest.param(3, id="nearly all", marks=pytest.mark.slow)]
BOOK = "leases.db"


@pytest.fixture
def clean(folder: Path) -> Path:
    """A server's store of which some was used, a deployment and a lease book."""
    made = folder / "clean"
    made.mkdir(mode=0o700)
    store = MaterialStore.create(made / "material.db", PLAN, Party.E1)
    store.put(1, RECORDS.values())
    store.grant(Lease("HMS1", 1, 10))
    store.reserve(len(USED))
    store.accept(1, "HMS1")
    assert store.take(1) == RECORDS[1]
    store.close()
    deployment = Deployment.create(made, "E1", "one", SETTINGS, PARTS)
    deployment.commit()
    deployment.allot(5)
    deployment.close()
    book = LeaseBook.open(made / BOOK, PLAN)
    book.lease("HMS1", 3, Ranges(((1, 21),)))
    book.lease("HMS2", 2, Ranges(((1, 21),)))
    book.close()
    return made


def use_store(place: Path) -> None:
    """Use a store to its end: every record that it gives is the right one, and none of the used ones."""
    store = MaterialStore.open(place / "material.db", PLAN, Party.E1)
    given = {}
    try:
        assert store.leases == (Lease("HMS1", 1, 10),)
        assert StoreState.unpack(store.state().pack()).spent == Ranges(((1, 5),))
        given = {index: store.take(index) for index in store.reserve(32)}
    finally:
        assert not given.keys() & USED
        assert all(RECORDS[index] == record for index, record in given.items())
        store.close()
    assert read_marks(place / "material.db").party is Party.E1


def use_deployment(place: Path) -> None:
    found = Deployment.find(place, "E1")
    if found is None:
        raise MaterialError("gone")
    try:
        assert (found.name, found.settings, found.committed, found.whole) == ("one", SETTINGS, True, True)
        assert found.allot(2) == range(6, 8)
        assert {name: found.part(name) for name in PARTS} == PARTS
    finally:
        found.close()


def use_book(place: Path) -> None:
    book = LeaseBook.open(place / BOOK, PLAN)
    try:
        assert book.leases == (Lease("HMS1", 1, 3), Lease("HMS2", 4, 2))
        assert book.lease("HMS1", 4, Ranges(((1, 21),))) == Ranges(((1, 4), (6, 7)))
    finally:
        book.close()


def sweep(clean: Path, name: str, use: Callable[[Path], None], damages: Iterator[tuple[str, bytes]]) -> Counter[str]:
    """Use the files with each damage in turn; return how often they were refused and used."""
    ends: Counter[str] = Counter()
    for what, data in damages:
        place = clean.with_name("damaged")
        shutil.copytree(clean, place)
        (place / name).write_bytes(data)
        try:
            use(place)
            ends["used"] += 1
        except MaterialError as error:
            told = str(error)
            named = any(word in told for word in (str(place / name), "gone", "was used or burnt before"))
            ends["refused" if named else f"{what}: {told}"] += 1
        finally:
            shutil.rmtree(place)
    return ends


FILES = [("material.db", use_store), (FILE_NAME, use_deployment), (BOOK, use_book)]


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize(("name", "use"), FILES)
def test_a_bit_that_changed_is_noticed_or_changes_nothing(
    clean: Path, name: str, use: Callable[[Path], None], stride: int
) -> None:
    data = (clean / name).read_bytes()
    # Most of a small database is zeros that nobody reads.
    interesting = (
        (what, changed)
        for what, changed in flips(data, stride)
        if any(data[max(0, (at := byte_of(what)) - 8) : at + 9])
    )
    ends = sweep(clean, name, use, interesting)
    assert set(ends) == {"refused", "used"}


def byte_of(what: str) -> int:
    return int(what.rsplit(" ", 1)[1])


@pytest.mark.parametrize(("name", "use"), FILES)
def test_a_file_that_was_cut_or_has_other_pages_is_refused_or_whole(
    clean: Path, name: str, use: Callable[[Path], None]
) -> None:
    data = (clean / name).read_bytes()
    assert sweep(clean, name, use, cuts(data))["refused"] >= 7
    ends = sweep(clean, name, use, pages(data))
    assert ends["refused"] > ends["used"]


def test_a_value_that_changed_in_the_file_is_refused_though_sqlite_sees_nothing(clean: Path) -> None:
    for name, use, old, new in (
        (FILE_NAME, use_deployment, b'"digits": "4"', b'"digits": "5"'),
        (BOOK, use_book, b"HMS2", b"HMS1"),
        ("material.db", use_store, b"HMS1", b"HMS2"),
    ):
        data = (clean / name).read_bytes()
        assert data.count(old) >= 1
        (clean / name).write_bytes(data.replace(old, new))
        with pytest.raises(MaterialError, match=r"is damaged \(it was changed on disk\): retire it"):
            use(clean)


def test_every_bit_of_an_epoch_file(clean: Path) -> None:
    """A changed generation is noticed where it is above the store's; below, the next change of the store mends it."""
    path = clean / "material.db.epoch"
    originals = {file: file.read_bytes() for file in clean.iterdir()}
    data, refused = originals[path], 0
    assert EpochFile(path).read() is not None
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(changed))
        try:
            use_store(clean)
        except MaterialError:
            refused += 1
        for file, kept in originals.items():
            file.write_bytes(kept)
    assert refused >= 8 * (len(data) - 3)


def test_an_epoch_file_that_cannot_be_read_says_so(clean: Path) -> None:
    path = clean / "material.db.epoch"
    path.unlink()
    path.mkdir()
    with pytest.raises(MaterialError, match="epoch cannot be read: Is a directory"):
        MaterialStore.open(clean / "material.db", PLAN, Party.E1)
    path.rmdir()
    EpochFile(path).write(Epoch("another", 1))
    with pytest.raises(MaterialError, match="is not the store that"):
        MaterialStore.open(clean / "material.db", PLAN, Party.E1)


def test_a_damaged_deployment_is_not_replaced(clean: Path) -> None:
    data = (clean / FILE_NAME).read_bytes()
    (clean / FILE_NAME).write_bytes(data[:-4096])
    with pytest.raises((MaterialError, ConfigError)):
        Deployment.create(clean, "E1", "two", SETTINGS, PARTS)
    assert (clean / FILE_NAME).stat().st_size == len(data) - 4096
