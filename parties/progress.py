"""Progress on a terminal; nothing at all in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much; what follows ": " may change on the way."""


def silent(_what: str, _done: int, _of: int) -> None:
    """Say nothing."""


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Yield a function to call with progress; bars are on standard error, and gone afterwards."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}
        loading = bars.add_task("loading", total=None)

        def show(what: str, done: int, of: int) -> None:
            bars.update(loading, visible=False)
            name = what.partition(": ")[0]  # "report: fixed point" and "report: shares" share a bar
            if name not in tasks:
                tasks[name] = bars.add_task(what, total=of)
            bars.update(tasks[name], completed=done, total=of, description=what)

        yield show
