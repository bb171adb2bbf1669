"""A whole report: what was measured, what it says, and the JSON of both (pehealth/schema/report-1.json)."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any, get_args

from pehealth import __version__
from pehealth.experiments.report.cells import Table
from pehealth.experiments.report.claims import Judged, judge_all
from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.figures import Figure, figures
from pehealth.experiments.report.findings import Verdict
from pehealth.experiments.report.parts import Parts
from pehealth.experiments.report.suite import Mode, Suite
from pehealth.experiments.report.tables import tables
from pehealth.nets.machine import Machine

SCHEMA = 1
BUSY = 0.4
"""Load a core above which a machine counts as used by others."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Report:
    """A report, ready to be shown.

    Attributes:
        mode, began, seconds: which report, its date and time (UTC), and what measuring took in all.
        load: processes that wanted this machine when the report began; None where the system does not tell.
        parts: every experiment, done or failed.
        tables, figures, claims: what they say.
    """

    mode: Mode
    began: str
    parts: Parts
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    claims: tuple[Judged, ...]
    machine: Machine
    load: float | None = None
    version: str = __version__

    @property
    def busy(self) -> bool:
        """True if others used so much of the machine that times are too long."""
        return self.load is not None and self.load > BUSY * self.machine.cores

    @property
    def seconds(self) -> float:
        """What all experiments took, those taken up again included."""
        return sum(part.seconds for part in self.parts.all)

    @property
    def tally(self) -> dict[Verdict, int]:
        """How many claims got each verdict."""
        counted = Counter(judged.verdict for judged in self.claims)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "command": "report",
            "mode": self.mode,
            "began": self.began,
            "seconds": self.seconds,
            "load": self.load,
            "machine": dataclasses.asdict(self.machine),
            "tally": dict(self.tally),
            "claims": [judged.to_json() for judged in self.claims],
            "tables": [_table(table) for table in self.tables],
            "figures": [_figure(figure) for figure in self.figures],
            "parts": [part.to_json() for part in self.parts.all],
        }


def make_report(suite: Suite, parts: Parts, began: str, load: float | None = None) -> Report:
    """Return the report of what was measured."""
    evidence = Evidence(suite, parts)
    shown = tables(evidence), figures(evidence), judge_all(evidence)
    return Report(suite.mode, began, parts, *shown, Machine.here(), load)


def _table(table: Table) -> dict[str, Any]:
    return {
        "id": table.id,
        "title": table.title,
        "columns": list(table.columns),
        "rows": [list(row) for row in table.rows],
        "notes": list(table.notes),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "id": figure.id,
        "title": figure.title,
        "y_label": figure.y_label,
        "lines": [
            {"name": line.name, "dashed": line.dashed, "points": [list(point) for point in line.points]}
            for line in figure.lines
        ],
        "notes": list(figure.notes),
    }
