"""Stores in memory-backed files where there are such: the rules under test do not depend on the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pehealth.config import Party
from pehealth.store.material import MaterialStore

PLAN = bytes(range(32))

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; syncing files in it costs little."""
    if not SHARED_MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as name:
        yield Path(name)


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "material.db"


@pytest.fixture
def make(path: Path) -> Iterator[Callable[[], MaterialStore]]:
    """Open the store as a fresh process would; the one before is dropped without ceremony, as in a crash."""
    stores: list[MaterialStore] = []

    def opened() -> MaterialStore:
        for store in stores:
            store._shelf.database.abandon()
        stores[:] = [MaterialStore.open_or_create(path, PLAN, Party.E1)]
        return stores[0]

    yield opened
    for store in stores:
        store._shelf.database.abandon()
