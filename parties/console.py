"""Where text goes: colours and boxes on a terminal, plain text that can be pasted anywhere in a pipe."""

from __future__ import annotations

import os
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 120


def open_console(file: IO[str] | None = None, *, stderr: bool = False) -> Console:
    """Return a console on `file`, or on standard output or error."""
    console = Console(file=file, stderr=stderr, highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def new_table(console: Console, title: str, *columns: str, left: int = 1) -> Table:
    """Return an empty table; all columns but the first `left` hold figures."""
    style = box.SIMPLE_HEAD if console.is_terminal else box.MARKDOWN
    table = Table(title=title, title_justify="left", title_style="bold", box=style, header_style="")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", no_wrap=place >= left)
    return table


def show_table(console: Console, table: Table) -> None:
    """Print a table with an empty line before it."""
    console.print()
    console.print(table)


def line(console: Console, text: str, style: str = "") -> None:
    """Print one line that is never broken, and in which nothing is markup."""
    console.print(Text(text, style=style), soft_wrap=True)


def banner(console: Console, text: str) -> None:
    """Print a warning that cannot be overlooked, on a terminal or in a file."""
    console.print()
    line(console, f"!!! {text} !!!", "bold white on red")


def duration(seconds: float) -> str:
    """Return a time with a unit that suits it: "0.41 ms", "12.3 ms", "1.50 s", "125 s"."""
    if seconds != seconds or seconds < 0:
        return "?"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{_three(seconds / size)} {unit}"
    return "0" if seconds == 0 else f"{seconds * 1e6:.2g} us"


def _three(value: float) -> str:
    """Return three digits, more only before the point."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def count(value: float) -> str:
    """Return a count with separators; small expectations keep one digit after the point."""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 1000 else f"{value:,.1f}"


def size(value: int) -> str:
    """Return bytes, exact below 10,000 and with a unit above: "312 B", "12.4 kB", "1.53 MB"."""
    if value < 10_000:
        return f"{value:,} B"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{_three(value / scale)} {unit}"
    raise AssertionError  # 10,000 is above a kB


def share(part: float, whole: float) -> str:
    """Return a share in per cent."""
    return f"{100 * part / whole:.3g} %" if whole else "-"
