"""What a party keeps of a deployment: whole or not at all, its own alone, and never two at once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pehealth.errors import ConfigError, MaterialError
from pehealth.store.database import Database
from pehealth.store.deployment import FILE_NAME, Deployment, differences, private_folder

SETTINGS = {"network": "clinic", "digits": "4"}
PARTS = {"model/1": b"SECRET" * 100, "common key": bytes(32)}


def deploy(folder: Path, name: str = "one", party: str = "E1") -> Deployment:
    return Deployment.create(folder, party, name, SETTINGS, PARTS)


def test_what_was_kept_comes_back(folder: Path) -> None:
    made = deploy(folder)
    assert not made.committed
    made.commit()
    made.close()
    found = Deployment.find(folder, "E1")
    assert found is not None
    assert (found.name, found.settings, found.committed, found.whole) == ("one", SETTINGS, True, True)
    assert {name: found.part(name) for name in PARTS} == PARTS
    assert found.digest == made.digest
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    found.close()


def test_material_is_bound_to_the_deployment_and_its_settings(folder: Path) -> None:
    digests = set()
    for place, (name, settings) in enumerate([("a", SETTINGS), ("b", SETTINGS), ("a", {**SETTINGS, "digits": "5"})]):
        made = Deployment.create(private_folder(folder / str(place)), "E1", name, settings, PARTS)
        digests.add(made.digest)
        made.close()
    assert len(digests) == 3


def test_one_that_was_never_committed_is_replaced_and_a_committed_one_is_not(folder: Path) -> None:
    deploy(folder).close()
    second = deploy(folder, "two")
    second.commit()
    second.close()
    with pytest.raises(ConfigError, match="holds a deployment of E1: take another --state directory"):
        deploy(folder, "three")


def test_a_crash_within_leaves_one_that_is_not_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Database.create

    def create_and_die(*args: object) -> Database:
        real(*args).close()  # type: ignore[arg-type]
        raise InterruptedError

    monkeypatch.setattr(Database, "create", create_and_die)
    with pytest.raises(InterruptedError):
        deploy(folder)
    monkeypatch.undo()
    left = Deployment.find(folder, "E1")
    assert left is not None
    assert not left.whole
    left.close()
    deploy(folder).close()


def test_nothing_is_found_where_nothing_is(folder: Path) -> None:
    assert Deployment.find(folder, "E1") is None


def test_another_partys_is_refused(folder: Path) -> None:
    deploy(folder).close()
    with pytest.raises(MaterialError, match="is E1's, not E2's"):
        Deployment.find(folder, "E2")


def test_it_is_open_in_one_place_at_a_time(folder: Path) -> None:
    made = deploy(folder)
    with pytest.raises(MaterialError, match="open in another process"):
        Deployment.find(folder, "E1")
    made.close()


def test_a_part_that_is_missing_or_changed_is_named(folder: Path) -> None:
    made = deploy(folder)
    with made._database.transaction():
        made._database.run("UPDATE parts SET body = ? WHERE name = 'model/1'", b"other")
    for name in ("model/1", "model/2"):
        with pytest.raises(MaterialError, match=f"E1: {name} in .* is missing or was changed on disk"):
            made.part(name)
    made.close()


def test_no_index_is_dealt_twice(folder: Path) -> None:
    made = deploy(folder)
    assert made.allot(3) == range(1, 4)
    made.close()
    again = Deployment.find(folder, "E1")
    assert again is not None
    assert again.allot(2) == range(4, 6)
    again.close()


def test_differences_are_named_one_by_one() -> None:
    assert differences(SETTINGS, SETTINGS) == ()
    assert differences({"network": "clinic", "digits": "5", "ring": "40"}, SETTINGS) == (
        "digits: deployed 4, asked for 5",
        "ring: deployed none, asked for 40",
    )


def test_a_folder_is_private_or_refused(folder: Path) -> None:
    made = private_folder(folder / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    made.chmod(0o750)
    with pytest.raises(ConfigError, match="chmod 700"):
        private_folder(made)
    (folder / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be a state folder"):
        private_folder(folder / "file")
