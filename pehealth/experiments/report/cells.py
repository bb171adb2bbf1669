"""A table for people, and how its figures are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pehealth.experiments.report.parts import MissingPart
from pehealth.experiments.report.runs import SecureRun

Row = tuple[str, ...]
INSECURE = "INSECURE"


@dataclass(frozen=True)
class Table:
    """A table for people: every cell is text; the figures behind it are in the parts."""

    id: str
    title: str
    columns: Row
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with three significant digits, a dash for none."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    text = f"{value:,.{digits}g}"
    return text if "e" not in text else f"{value:,.0f}" if value >= 1 else f"{value:.1e}"


def percent(value: float | None) -> str:
    """Return a share in per cent."""
    return "-" if value is None else f"{100 * value:.2f}"


def gap_row(columns: int, what: str, make: Callable[[], Row]) -> Row:
    """Return the row, or one that says why it is missing."""
    try:
        return make()
    except MissingPart as missing:
        return (what, *[""] * (columns - 2), f"not measured: {missing}")


def system_name(spec: SecureRun, words: str = "") -> str:
    """Return for instance "paper on toy32 (INSECURE), walk fast, d = 1"."""
    group = f" on {spec.group}" if spec.group else ""
    warned = f" ({INSECURE})" if spec.group == "toy32" else ""
    return f"{spec.engine}{group}{warned}{', ' + words if words else ''}, d = {spec.digits}"
