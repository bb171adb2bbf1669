"""Writing a report: one page that needs nothing else; beside it the pictures, the tables as CSV, everything as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pehealth import schema
from pehealth.errors import PehealthError
from pehealth.experiments.report.document import Report
from pehealth.experiments.report.page import page

PAGE = "report.html"
DOCUMENT = "report.json"
NO_PNG = "PNG pictures are left out: matplotlib is missing (pip install 'pehealth[plots]'); the SVG files are complete"


@dataclass(frozen=True)
class Written:
    """What was written, and what to say about it."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def write_report(report: Report, folder: Path) -> Written:
    """Write everything into a folder that exists.

    Raises:
        PehealthError: the document does not keep its schema: a bug of ours.
        OSError: a file cannot be written.
    """
    document = report.to_json()
    if problems := schema.problems(document, schema.REPORT):
        raise PehealthError(f"the report does not keep {schema.REPORT}: {'; '.join(problems[:5])}")
    pngs = find_spec("matplotlib") is not None
    notes = () if pngs else (NO_PNG,)
    texts = {
        PAGE: page(report, notes),
        DOCUMENT: json.dumps(document, indent=1, allow_nan=False) + "\n",
        **dict(sheets(report)),
    }
    files = []
    for name, text in texts.items():
        files.append(folder / name)
        files[-1].write_text(text, encoding="utf-8")
    for figure in report.figures:
        picture = figure.picture()
        for ending in (".svg", ".png") if pngs else (".svg",):
            files.append(folder / f"{figure.id}{ending}")
            picture.save(files[-1])
    return Written(tuple(files), notes)


def sheets(report: Report) -> Iterator[tuple[str, str]]:
    """Yield name and text of every CSV file: claims, tables, the points of figures."""
    columns = ("number", "claim", "where", "paper", "ours", "basis", "command", "verdict", "rule", "why")
    rows = [judged.to_json() for judged in report.claims]
    yield (
        "claims.csv",
        sheet(columns, (["; ".join(v) if isinstance(v := row[c], list) else v for c in columns] for row in rows)),
    )
    for table in report.tables:
        yield f"{table.id}.csv", sheet(table.columns, table.rows)
    for figure in report.figures:
        points = ((line.name, *point, *[""] * (4 - len(point))) for line in figure.lines for point in line.points)
        yield f"{figure.id}.csv", sheet(("line", "d", figure.y_label, "least", "greatest"), points)


def sheet(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a CSV text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
