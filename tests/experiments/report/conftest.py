"""A small report from the parts of a real quick one, cut down: two splits, four digits."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pehealth.experiments.report.document import Report, make_report
from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.parts import Part, Parts
from pehealth.experiments.report.suite import suite

CANNED = json.loads((Path(__file__).parent / "canned.json").read_text())
Change = Callable[[dict[str, Any]], None]


def parts(changes: dict[str, Change] | None = None, failed: tuple[str, ...] = ()) -> Parts:
    """The canned parts; some results changed, some experiments failed."""
    out = []
    for row in copy.deepcopy(CANNED):
        for name, change in (changes or {}).items():
            if row["name"] == name:
                change(row["result"])
        if row["name"] in failed:
            row |= {"status": "failed", "result": {}, "problem": "E2 <lost> & gone"}
        out.append(Part.from_json(row))
    return Parts(out)


def evidence(changes: dict[str, Change] | None = None, failed: tuple[str, ...] = ()) -> Evidence:
    return Evidence(suite("quick"), parts(changes, failed))


@pytest.fixture(scope="session")
def report() -> Report:
    return make_report(suite("quick"), parts(), "2026-11-24 09:00 UTC")


@pytest.fixture
def canned() -> Callable[..., Evidence]:
    return evidence


@pytest.fixture
def canned_parts() -> Callable[..., Parts]:
    return parts
