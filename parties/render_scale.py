"""The readable report of `pehealth scale`."""

from __future__ import annotations

from rich.console import Console

from parties.console import count, line, new_table, show_table
from parties.render import warnings
from pehealth.config import Engine
from pehealth.experiments.scale import FIGURES, Growth, ScaleResult
from pehealth.experiments.units import amount, duration, short


def show(console: Console, result: ScaleResult) -> None:
    """Print a table a family, its growth laws, and what the times are worth."""
    p, machine = result.parameters, result.machine
    lattice = f", lattice {p.lattice}" if p.lattice else ""
    line(
        console,
        f"pehealth {result.version}, scale: engine {result.engine}, ring 2^{p.ring}, {p.digits} digits{lattice}",
        "bold",
    )
    line(console, f"{machine.cpu}, {machine.cores} cores, Python {machine.python}, numpy {machine.numpy}")
    warnings(console, result.security, p.group)
    line(console, "Counts are exact. Times are replayed from the plan, computing as small layers took on this machine.")
    for growth in result.growths:
        _points(console, growth)
        _times(console, result, growth)
        _laws(console, result, growth)
    console.print()
    _errors(console, result)
    line(console, "A network without weights has no proven bounds: the ring is assumed to be wide enough.")
    if result.engine is Engine.PAPER:
        line(
            console,
            "Engine paper never rescales, so after a few layers no ring is: its figures tell costs, not results.",
        )
    line(
        console,
        "The networks of image, channels and batch are plain chains of ResNet-18's layer shapes, without shortcuts.",
    )


def _points(console: Console, growth: Growth) -> None:
    columns = ("products", "comparisons", "rounds", "E1->E2", "upload", "material", "model", "memory")
    table = new_table(console, f"Growth with {growth.unit}", growth.unit, *columns, left=0)
    for p in growth.points:
        sizes = (p.between, p.upload, p.material, p.model, p.memory)
        counts = (short_count(p.products), short_count(p.comparisons), str(p.server_rounds))
        table.add_row(count(p.value), *counts, *(amount(n) for n in sizes))
    show_table(console, table)


def _times(console: Console, result: ScaleResult, growth: Growth) -> None:
    names = result.networks
    columns = ["computing", *(f"online {name}" for name in names), *(f"offline {name}" for name in names)]
    table = new_table(console, "Seconds of a query", growth.unit, *columns, left=0)
    for p in growth.points:
        seconds = [p.computing, *(p.online[name] for name in names), *(p.offline[name] for name in names)]
        table.add_row(count(p.value), *map(duration, seconds))
    show_table(console, table)


def _laws(console: Console, result: ScaleResult, growth: Growth) -> None:
    title = f"A figure grows as ({growth.unit})^exponent; times on {result.networks[0]}"
    table = new_table(console, title, "figure", "exponent", "at the end", "R^2")
    for name, law in growth.laws.items():
        table.add_row(FIGURES[name], f"{law.exponent:.2f}", f"{law.last:.2f}", f"{law.fit:.4f}")
    show_table(console, table)


def _errors(console: Console, result: ScaleResult) -> None:
    errors = ", ".join(f"{kind} {error:.2f}" for kind, error in sorted(result.model.errors.items()))
    line(console, f"Predicted by measured time of a large layer, from smaller ones: {errors}.")


def short_count(value: int) -> str:
    """Return for instance "1.82 G"."""
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{short(value / scale)} {unit}"
    return str(value)
