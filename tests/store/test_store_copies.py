"""Stores that were copied, moved or put back, and two servers that must not differ in what they have used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pehealth.config import Party
from pehealth.errors import MaterialError, PeerProtocolError
from pehealth.store.leases import Lease
from pehealth.store.material import MaterialStore
from pehealth.store.ranges import Ranges
from pehealth.store.state import STATE_BYTES, StoreState

PLAN, OTHER_PLAN = bytes(range(32)), bytes(32)
COUNT = 20
Make = Callable[[], MaterialStore]


def fill(store: MaterialStore) -> MaterialStore:
    store.put(0, [index.to_bytes(4, "big") * 50 for index in range(COUNT)])
    store.grant(Lease("ward", 0, COUNT))
    return store


def test_a_store_put_back_from_an_older_copy_is_refused(make: Make, path: Path, folder: Path) -> None:
    fill(make()).close()
    shutil.copy(path, folder / "copy")
    store = make()
    store.reserve(2)
    store.close()
    shutil.copy(path, folder / "newer copy")
    shutil.copy(folder / "copy", path)
    with pytest.raises(MaterialError, match=r"older copy: generation 0, .* has seen 1"):
        make()
    shutil.copy(folder / "newer copy", path)
    assert make().reserve(1) == (2,)


def test_a_copy_made_in_flight_is_refused(make: Make, path: Path, folder: Path) -> None:
    store = fill(make())
    store.reserve(2)
    for name in (path, path.with_name(path.name + "-wal")):
        shutil.copy(name, folder / f"copy of {name.name}")
    store.reserve(2)
    store.close()
    for name in (path, path.with_name(path.name + "-wal")):
        shutil.copy(folder / f"copy of {name.name}", name)
    with pytest.raises(MaterialError, match="older copy"):
        make()


def test_a_copy_elsewhere_is_refused(make: Make, path: Path, folder: Path) -> None:
    fill(make()).close()
    shutil.copy(path, folder / "copy")
    with pytest.raises(MaterialError, match="is a copy: its epoch file"):
        MaterialStore.open(folder / "copy", PLAN, Party.E1)
    MaterialStore.create(folder / "other", PLAN, Party.E1).close()
    with pytest.raises(MaterialError, match="is not the store that"):
        MaterialStore.open(folder / "copy", PLAN, Party.E1, folder / "other.epoch")


def test_a_lost_database_is_not_begun_anew_beside_its_epoch_file(make: Make, path: Path) -> None:
    store = fill(make())
    store.reserve(1)
    store.close()
    path.unlink()
    with pytest.raises(MaterialError, match="material was used"):
        make()
    path.with_name(path.name + ".epoch").unlink()
    assert make().remaining() == 0


def test_an_epoch_file_that_cannot_be_read_is_refused(make: Make, path: Path) -> None:
    fill(make()).close()
    epoch = path.with_name(path.name + ".epoch")
    for bad in (b"", b"pehealth-epoch-1 x", b"other 1 1", b"\xff\xfe", b"pehealth-epoch-1 x y"):
        epoch.write_bytes(bad)
        with pytest.raises(MaterialError, match="epoch is damaged"):
            make()


# ---- two servers


@pytest.fixture
def servers(folder: Path) -> dict[Party, Path]:
    paths = {party: folder / party for party in (Party.E1, Party.E2)}
    for party, path in paths.items():
        fill(MaterialStore.create(path, PLAN, party)).close()
    return paths


def start(paths: dict[Party, Path]) -> tuple[MaterialStore, MaterialStore]:
    one, two = (MaterialStore.open(path, PLAN, party) for party, path in paths.items())
    return one, two


def handshake(one: MaterialStore, two: MaterialStore) -> tuple[int, int]:
    """Both states cross, as bytes."""
    first, second = one.state(), two.state()
    burnt = one.agree(StoreState.unpack(second.pack()), first), two.agree(StoreState.unpack(first.pack()), second)
    assert one.state().spent == two.state().spent or burnt == (0, 0)
    return burnt


def test_servers_that_agree_use_the_same_indices(servers: dict[Party, Path]) -> None:
    one, two = start(servers)
    assert handshake(one, two) == (0, 0)
    assert one.reserve(4) == two.reserve(4) == (0, 1, 2, 3)
    for store in (one, two):
        store.accept(0, "ward")
        store.close()


def test_a_broken_link_burns_nothing(servers: dict[Party, Path]) -> None:
    one, two = start(servers)
    handshake(one, two)
    one.reserve(4)
    two.reserve(8)
    assert handshake(one, two) == (0, 0)
    for store in (one, two):
        store.accept(3, "ward")
        store.close()


def test_when_one_server_restarts_both_go_on_behind_what_either_reserved(servers: dict[Party, Path]) -> None:
    one, two = start(servers)
    handshake(one, two)
    one.reserve(4)
    two.reserve(8)
    one.close()
    one = MaterialStore.open(servers[Party.E1], PLAN, Party.E1)
    assert handshake(one, two) == (0, 8)
    assert one.reserve(1) == two.reserve(1) == (8,)
    for store in (one, two):
        with pytest.raises(MaterialError, match="used or burnt"):
            store.accept(7, "ward")
        store.close()


def test_a_server_whose_disk_went_back_in_time_repeats_nothing_that_its_peer_knows(
    servers: dict[Party, Path], folder: Path
) -> None:
    """Database and epoch file are both put back; the peer's marks stand in."""
    copies = [servers[Party.E1], servers[Party.E1].with_name("E1.epoch")]
    for name in copies:
        shutil.copy(name, folder / f"copy of {name.name}")
    one, two = start(servers)
    handshake(one, two)
    for store in (one, two):
        store.reserve(4)
        store.accept(0, "ward")
    one.close()
    for name in copies:
        shutil.copy(folder / f"copy of {name.name}", name)
    one = MaterialStore.open(servers[Party.E1], PLAN, Party.E1)
    assert one.remaining() == COUNT, "it has forgotten"
    handshake(one, two)
    assert one.reserve(1) == two.reserve(1) == (4,)
    one.close()
    two.close()


def test_a_peer_that_is_seen_to_go_back_is_refused(servers: dict[Party, Path], folder: Path) -> None:
    copies = [servers[Party.E1], servers[Party.E1].with_name("E1.epoch")]
    for name in copies:
        shutil.copy(name, folder / f"copy of {name.name}")
    one, two = start(servers)
    one.reserve(4)
    handshake(one, two)
    one.close()
    for name in copies:
        shutil.copy(folder / f"copy of {name.name}", name)
    one = MaterialStore.open(servers[Party.E1], PLAN, Party.E1)
    with pytest.raises(MaterialError, match="E1's store was put back from an older copy: generation 0, 1 seen"):
        two.agree(one.state())
    two.close()
    two = MaterialStore.open(servers[Party.E2], PLAN, Party.E2)
    with pytest.raises(MaterialError, match="older copy"):
        two.agree(one.state())
    one.close()
    two.close()


def test_a_peer_that_forgot_what_it_answered_with_us_is_refused(servers: dict[Party, Path], folder: Path) -> None:
    """It had spent nothing more when they last agreed, so that its generation alone would tell nothing."""
    one, two = start(servers)
    handshake(one, two)
    one.close()
    copies = [servers[Party.E1], servers[Party.E1].with_name("E1.epoch")]
    for name in copies:
        shutil.copy(name, folder / f"copy of {name.name}")
    one = MaterialStore.open(servers[Party.E1], PLAN, Party.E1)
    handshake(one, two)
    for store in (one, two):
        store.reserve(4)
        for index in (0, 1):
            store.accept(index, "ward")
            store.met(index)
        store.close()
    for name in copies:
        shutil.copy(folder / f"copy of {name.name}", name)
    one, two = start(servers)
    with pytest.raises(
        MaterialError, match=r"E1's store .* older copy: it has answered queries under 0-1 and does not"
    ):
        two.agree(one.state())
    one.close()
    for name in copies:
        name.unlink()
    anew = MaterialStore.create(servers[Party.E1], PLAN, Party.E1)
    state = anew.state()
    two.agree(state)
    two.agree(state)  # the new store's process died before it took ours in: no reason to refuse it
    for store in (anew, two):
        store.close()


def test_peers_that_do_not_go_together_are_refused(servers: dict[Party, Path], folder: Path) -> None:
    one, two = start(servers)
    with pytest.raises(MaterialError, match="uses a store of E1"):
        one.agree(one.state())
    other = MaterialStore.create(folder / "other", OTHER_PLAN, Party.E2)
    with pytest.raises(MaterialError, match="material of one deal"):
        one.agree(other.state())
    for store in (one, two, other):
        store.close()


def test_a_state_that_cannot_be_read_is_the_peers_fault() -> None:
    state = StoreState("ab", Party.E1, "s", "t", "", 3, Ranges.of([(0, 4), (7, 9)]))
    assert StoreState.unpack(state.pack()) == state
    for bad in (b"", b"[]", b"3", b"{}", state.pack().replace(b"3", b"true"), state.pack().replace(b"E1", b"E9")):
        with pytest.raises(PeerProtocolError):
            StoreState.unpack(bad)


def test_a_state_has_one_size_and_never_tells_less_than_is_spent() -> None:
    spans = [(i * 1000, i * 1000 + 1 + i % 700) for i in range(2000)]
    for count in (0, 1, 200, 400, 2000):
        state = StoreState("ab" * 32, Party.E1, "s" * 32, "t" * 32, "u" * 32, 3, Ranges.of(spans[:count]))
        told = StoreState.unpack(state.pack())
        assert len(state.pack()) == STATE_BYTES
        assert len(state.spent - told.spent) == 0
        assert (told == state) == (count <= 200)


def test_the_epoch_rises_with_every_reservation(make: Make) -> None:
    store = fill(make())
    assert store.epoch == 0
    store.reserve(2)
    store.accept(5, "ward")
    assert store.epoch == 2
    assert make().epoch == 2
