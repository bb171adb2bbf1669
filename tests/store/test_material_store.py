"""Every record once: what a store gives, and everything it refuses."""

from __future__ import annotations

import io
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from pehealth.codec.material_file import Header, write_material
from pehealth.config import Party
from pehealth.errors import MaterialError
from pehealth.store.leases import Lease
from pehealth.store.material import MaterialStore

PLAN, OTHER_PLAN = bytes(range(32)), bytes(32)
COUNT = 20


def record(index: int) -> bytes:
    return f"SECRET-{index:04d}-".encode() * 50


def fill(store: MaterialStore, count: int = COUNT) -> MaterialStore:
    store.put(0, [record(i) for i in range(count)])
    store.grant(Lease("ward", 0, count))
    return store


Make = Callable[[], MaterialStore]


def test_records_come_out_as_they_went_in_and_once(make: Make) -> None:
    store = fill(make())
    assert store.remaining() == COUNT
    assert store.reserve(4) == (0, 1, 2, 3)
    for index in (2, 0, 3, 1):
        assert store.take(index) == record(index)
        with pytest.raises(MaterialError, match="used or burnt before: retry under a fresh index"):
            store.take(index)


def test_a_query_is_admitted_once(make: Make) -> None:
    store = fill(make())
    store.reserve(4)
    store.accept(1, "ward")
    with pytest.raises(MaterialError, match="fresh index"):
        store.accept(1, "ward")
    assert store.remaining() == COUNT - 1


def test_an_index_that_nobody_reserved_is_reserved_when_a_query_names_it(make: Make) -> None:
    store = fill(make())
    store.accept(7, "ward")
    assert store.take(7) == record(7)
    assert 7 in make().state().spent


def test_taking_needs_a_reservation(make: Make) -> None:
    store = fill(make())
    with pytest.raises(MaterialError, match="reserve a block"):
        store.take(0)
    with pytest.raises(MaterialError, match="deal more"):
        store.take(COUNT)


def test_a_crash_burns_what_was_reserved_and_nothing_else(make: Make) -> None:
    store = fill(make())
    store.reserve(8)
    store.accept(3, "ward")
    store = make()
    for index in range(8):
        with pytest.raises(MaterialError, match="used or burnt"):
            store.accept(index, "ward")
    assert store.remaining() == COUNT - 8
    assert store.reserve(2) == (8, 9)


def test_a_clean_end_burns_too(make: Make, path: Path) -> None:
    store = fill(make())
    store.reserve(8)
    store.close()
    assert MaterialStore.open(path, PLAN, Party.E1).reserve(1) == (8,)


def test_reserving_goes_by_leases(make: Make) -> None:
    store = make()
    store.put(0, [record(i) for i in range(COUNT)])
    store.grant(Lease("ward 1", 0, 4))
    store.grant(Lease("ward 2", 4, 4))
    store.grant(Lease("ward 1", 8, 4))
    assert store.reserve(3, "ward 2") == (4, 5, 6)
    assert store.reserve(6, "ward 1") == (0, 1, 2, 3, 8, 9)
    assert store.reserve(64, "ward 1") == (10, 11)
    assert store.reserve(64, "ward 3") == ()
    assert store.remaining("ward 1") == 8
    store.accept(8, "ward 1")
    assert store.remaining("ward 1") == 7


def test_an_index_of_another_submitter_is_refused(make: Make) -> None:
    store = make()
    store.put(0, [record(i) for i in range(COUNT)])
    store.grant(Lease("ward 1", 0, 4))
    with pytest.raises(MaterialError, match="which is leased to ward 1: ask the centre"):
        store.accept(0, "ward 2")
    with pytest.raises(MaterialError, match="which is not leased"):
        store.accept(4, "ward 1")
    store.accept(0, "ward 1")


def test_leases_last_and_do_not_overlap(make: Make) -> None:
    store = make()
    lease = Lease("ward 1", 2, 4)
    store.grant(lease)
    store.grant(lease)
    for bad in (Lease("ward 2", 5, 2), Lease("ward 2", 0, 3), Lease("ward 2", 2, 4)):
        with pytest.raises(MaterialError, match="2 to 5 are ward 1's"):
            store.grant(bad)
    assert make().leases == (lease,)


def test_leases_of_one_submitter_that_touch_are_one(make: Make) -> None:
    store = make()
    for lease in (Lease("a", 0, 2), Lease("a", 4, 2), Lease("b", 6, 2), Lease("a", 1, 4), Lease("a", 2, 1)):
        store.grant(lease)
    assert store.leases == (Lease("a", 0, 6), Lease("b", 6, 2))
    assert make().leases == (Lease("a", 0, 6), Lease("b", 6, 2))


def test_leases_of_which_nothing_is_left_go(make: Make) -> None:
    """Ten thousand clients come and go, and each leaves no trace but in the log."""
    store = make()
    store.put(0, [record(index) for index in range(400)])
    for first in range(0, 400, 2):
        store.grant(Lease(f"client {first}", first, 2))
        for index in (first, first + 1):
            store.accept(index, f"client {first}")
    assert len(store.leases) <= 66
    with pytest.raises(MaterialError, match="the material of index 0 was used"):
        store.accept(0, "client 0")
    assert len(make().leases) <= 66


def test_what_is_reserved_and_not_admitted_is_usable_until_it_is_given_up(make: Make) -> None:
    store = make()
    store.put(0, [record(index) for index in range(6)])
    store.grant(Lease("a", 0, 6))
    store.reserve(4)
    store.take(0)
    store.accept(1, "a")
    assert store.usable.spans == ((0, 1), (2, 6))
    assert [store.is_open(index) for index in (0, 1, 2, 4)] == [True, False, True, False]
    store.drop([0, 1, 2, 5])
    assert store.usable.spans == ((3, 6),)
    with pytest.raises(MaterialError, match="used or burnt before"):
        store.accept(2, "a")
    with pytest.raises(MaterialError, match="used or burnt before"):
        store.take(2)
    store.sweep()
    assert store.used == 2, "0 was read, 2 was thrown away"


def test_no_index_is_filled_twice(make: Make) -> None:
    store = fill(make(), 4)
    with pytest.raises(MaterialError, match="record 3 was here before"):
        store.put(3, [record(3), record(4)])
    assert store.remaining() == 4, "a put that fails leaves nothing"
    store.reserve(2)
    store = make()
    with pytest.raises(MaterialError, match="record 1 was here before"):
        store.put(1, [record(1)])
    store.put(4, [record(4)])


def test_records_of_another_size_are_refused(make: Make) -> None:
    store = fill(make(), 4)
    for bad in (b"", record(4) + b"x"):
        with pytest.raises(MaterialError, match="another plan"):
            store.put(4, [bad])


# ---- files


def material(folder: Path, plan: bytes = PLAN, party: Party = Party.E1, first: int = 0) -> bytes:
    file = folder / "file"
    write_material(file, Header(plan, party, first, 3, len(record(0))), [record(first + i) for i in range(3)])
    return file.read_bytes()


def test_a_file_is_taken_over(make: Make, folder: Path) -> None:
    store = make()
    assert store.import_file(io.BytesIO(material(folder, first=5))) == 3
    assert store.reserve() == (5, 6, 7)
    assert store.take(6) == record(6)


def test_files_that_are_not_ours_are_refused_whole(make: Make, folder: Path) -> None:
    store, good = make(), material(folder)
    bad = {
        "deal material for this plan": material(folder, plan=OTHER_PLAN),
        "give each server its own file": material(folder, party=Party.E2),
        "ends within record 2": good[:-1],
        "record 2 is damaged": good[:-40] + b"x" + good[-39:],
        "not a file of material": b"x" + good,
    }
    for message, data in bad.items():
        with pytest.raises(MaterialError, match=message):
            store.import_file(io.BytesIO(data))
        assert store.remaining() == 0
    assert store.import_file(io.BytesIO(good)) == 3
    with pytest.raises(MaterialError, match="was here before"):
        store.import_file(io.BytesIO(good))


# ---- the file on disk


def test_all_files_belong_to_their_owner_alone(make: Make, folder: Path) -> None:
    fill(make()).reserve(2)
    assert {p.name for p in folder.iterdir()} >= {"material.db", "material.db.epoch", "material.db-wal"}
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}


def test_a_store_that_others_may_read_is_refused(make: Make, path: Path) -> None:
    fill(make()).close()
    path.chmod(0o640)
    with pytest.raises(MaterialError, match="chmod 600"):
        make()


def test_used_records_are_wiped_from_every_file(make: Make, folder: Path) -> None:
    store = fill(make())
    store.reserve(6)
    for index in (0, 1, 2, 3, 4):
        store.take(index)
    store.sweep()
    on_disk = b"".join(p.read_bytes() for p in folder.iterdir())
    for index in range(COUNT):
        assert (f"SECRET-{index:04d}".encode() in on_disk) == (index > 4), index
    make()
    on_disk = b"".join(p.read_bytes() for p in folder.iterdir())
    assert b"SECRET-0005" not in on_disk, "burnt, so wiped when it was opened"
    assert b"SECRET-0006" in on_disk


def test_a_record_changed_on_disk_is_noticed(make: Make, path: Path) -> None:
    fill(make()).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE bodies SET body = ? WHERE idx = 1", (record(2),))
    connection.close()
    store = make()
    store.reserve(3)
    assert store.take(0) == record(0)
    with pytest.raises(MaterialError, match="record 1 was changed on disk"):
        store.take(1)


def test_a_damaged_store_is_refused(make: Make, path: Path) -> None:
    fill(make()).close()
    data = path.read_bytes()
    for bad in (data[:100], b"not a database" * 300, data[:8192] + bytes(len(data) - 8192)):
        path.write_bytes(bad)
        with pytest.raises(MaterialError, match="deal fresh material"):
            store = make()
            store.reserve(64)
            store.take(0)
        path.write_bytes(data)


def test_a_store_is_open_in_one_place_at_a_time(make: Make, path: Path) -> None:
    fill(make())
    with pytest.raises(MaterialError, match="open in another process"):
        MaterialStore.open(path, PLAN, Party.E1)


def test_a_store_belongs_to_its_plan_and_server(make: Make, path: Path, folder: Path) -> None:
    fill(make()).close()
    with pytest.raises(MaterialError, match="go back to the settings"):
        MaterialStore.open(path, OTHER_PLAN, Party.E1)
    with pytest.raises(MaterialError, match="E1's store, not E2's"):
        MaterialStore.open(path, PLAN, Party.E2)
    with pytest.raises(MaterialError, match="there already"):
        MaterialStore.create(path, PLAN, Party.E1)
    with pytest.raises(MaterialError, match="there is no store"):
        MaterialStore.open(folder / "nowhere", PLAN, Party.E1)
    assert make().remaining() == COUNT, "refusals do not harm it"


# ---- threads


def test_threads_share_a_store_and_no_index(make: Make) -> None:
    store, won, lost = fill(make(), 40), [], []

    def work() -> None:
        for index in range(40):
            try:
                store.accept(index, "ward")
                won.append(store.take(index))
            except MaterialError:
                lost.append(index)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [record(i) for i in range(40)]
    assert len(lost) == 3 * 40
