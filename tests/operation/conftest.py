"""A party's settings that need no files, and reading what the operator is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from parties.operation.settings import OperationSettings
from parties.settings import Settings
from transport.limits import Limits


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a party whose operator is told by log, audit log and, if asked for, metrics."""

    def make(party: str = "E1", metrics: str = "") -> Settings:
        operation = OperationSettings(metrics, tmp_path / f"{party}.log", tmp_path / f"{party}.audit")
        return Settings(
            party, "north-clinic", "", {"E1": "", "E2": "", "HC": ""}, None, None, Limits(), 60.0, 10.0,
            tmp_path / f"{party}.toml", operation=operation,
        )  # fmt: skip

    return make


@pytest.fixture
def events_of(tmp_path: Path) -> Callable[..., list[dict]]:
    """The lines of a party's log."""
    return lambda party="E1": [json.loads(line) for line in (tmp_path / f"{party}.log").read_text().splitlines()]
