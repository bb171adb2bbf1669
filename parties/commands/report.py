"""`pehealth report`: the paper's evaluation beside ours, as a page that needs nothing else."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from parties.progress import show_progress
from pehealth.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from pehealth.experiments.report.document import Report
    from pehealth.experiments.report.output import Written

PARTS = "parts"


def report(
    *,
    out: Path,
    quick: Annotated[bool, Parameter(negative="")] = False,
    full: Annotated[bool, Parameter(negative="")] = False,
    data_dir: Path | None = None,
    resume: bool = True,
) -> None:
    """Measure the paper's Tables I to IV, Figures 6 and 7 and 34 claims again; write a page, pictures, CSV, JSON.

    Args:
        out: Folder to write into; it is made if need be. report.html is the page; parts holds what is measured.
        quick: Minutes: fewer samples and splits (the default).
        full: An hour or more: all samples, twenty splits, longer walks, 128-bit groups.
        data_dir: Folder of the data sets (default: PEHEALTH_DATA).
        resume: Take up what an earlier report in this folder has measured under the same settings.
    """
    from parties.report_runner import runners
    from pehealth.experiments.report.document import make_report
    from pehealth.experiments.report.output import write_report
    from pehealth.experiments.report.parts import PartStore, perform
    from pehealth.experiments.report.suite import experiments, suite

    if quick and full:
        raise ConfigError("--quick and --full exclude each other")
    if data_dir is not None and not data_dir.is_dir():
        raise ConfigError(f"--data-dir {data_dir} is not a directory")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    chosen = suite("full" if full else "quick")
    try:
        (out / PARTS).mkdir(parents=True, exist_ok=True)
        with show_progress() as progress:
            todo = experiments(chosen, *runners(data_dir), data_dir)
            parts = perform(todo, PartStore(out / PARTS), progress, resume=resume)
        made = make_report(chosen, parts, began, load)
        written = write_report(made, out)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}") from error
    from parties.console import open_console

    show(open_console(), made, written)


def show(console: Console, made: Report, written: Written) -> None:
    """Print the verdicts, what failed, and where the page is."""
    from parties.console import duration, line, new_table, show_table

    table = new_table(console, f"{len(made.claims)} claims of the paper", "", "verdict", "claim", left=3)
    for judged in made.claims:
        table.add_row(str(judged.claim.number), judged.verdict, judged.claim.claim)
    show_table(console, table)
    words = ", ".join(f"{verdict}: {count}" for verdict, count in made.tally.items() if count)
    line(console, f"{words}; {len(made.parts.all)} experiments, {duration(made.seconds)} of measuring", "bold")
    if made.busy:
        line(console, f"the machine was busy when this began (load {made.load:.1f}): times are too long", "bold yellow")
    for part in made.parts.all:
        if part.status != "done":
            line(console, f"not measured: {part.name}: {part.problem}", "bold yellow")
    for note in written.notes:
        line(console, note)
    line(console, f"The page: {written.files[0]}; {len(written.files) - 1} files beside it")
