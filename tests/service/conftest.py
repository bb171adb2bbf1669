"""An empty clinic for each test."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

sys.path.insert(0, str(Path(__file__).parent))

from service_clinic import Clinic


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in memory, where there is such: syncs cost little."""
    shared = Path("/dev/shm")  # noqa: S108
    if not shared.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as name:
        yield Path(name)


@pytest.fixture
async def clinic(folder: Path) -> AsyncIterator[Clinic]:
    """Parties to start; when all have ended, it is proven that no index served twice."""
    made = Clinic(folder)
    async with trio.open_nursery() as made.nursery:
        yield made
        made.nursery.cancel_scope.cancel()
    made.audit()
