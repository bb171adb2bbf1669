"""What `pehealth scale` does: settings, measuring, growing, drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from parties.progress import Progress
from parties.request import MAX_DIGITS, MAX_RING, MAX_WALK
from parties.tracing import write_trace
from pehealth.config import Engine, GroupName, Parameters
from pehealth.errors import ConfigError
from pehealth.experiments.chart import log_chart
from pehealth.experiments.measure import calibrate
from pehealth.experiments.scale import FIGURES, Growth, Point, ScaleResult, grow, plan_for, predicted_trace
from pehealth.experiments.scale_networks import FAMILIES
from pehealth.nets.machine import Machine
from pehealth.nets.record import RunParameters, Security
from transport.network import parse_network

CAP_FACTOR = 32
"""Theta over the mean walk, as in a run."""
DRAWN = ("between", "material", "memory", "computing", "online")


def scale_parameters(engine: Engine, ring: int | None, digits: int | None, group: GroupName, walk: int) -> Parameters:
    """Return the settings.

    Raises:
        ConfigError: a figure is out of range; all are listed.
    """
    paper = engine is Engine.PAPER
    chosen = Parameters(
        engine,
        digits if digits is not None else 1 if paper else 4,
        ring or (32 if paper else 40),
        group if paper else None,
        walk=walk if paper else None,
        cap=CAP_FACTOR * 2 ** (walk + 1) if paper else None,
    )
    ranges = (
        ("--ring", chosen.ring, 8, MAX_RING),
        ("--digits", chosen.digits, 0, MAX_DIGITS),
        ("--walk", walk, 1, MAX_WALK),
    )
    problems = [
        f"{flag} {value} is outside {low}..{high}" for flag, value, low, high in ranges if not low <= value <= high
    ]
    if problems:
        raise ConfigError(*problems)
    return chosen


def run_scale(
    over: Sequence[str], base: Parameters, networks: Sequence[str], trace: Path | None, progress: Progress
) -> ScaleResult:
    """Measure this machine, then plan and replay every network of the families.

    Raises:
        ConfigError: a network's name means nothing; the engine cannot compute a layer.
    """
    for text in networks:
        try:
            parse_network(text)
        except ValueError as error:
            raise ConfigError(f"--networks: {error}") from error
    progress("measuring small layers", 0, 1)
    model = calibrate(base)
    progress("measuring small layers", 1, 1)
    growths = []
    for done, name in enumerate(over):
        progress("families", done, len(over))
        family = FAMILIES[name]()
        growths.append(grow(family, base, model, networks))
        if trace is not None and not done:
            largest = family.members[-1]
            write_trace(trace, predicted_trace(plan_for(largest.network, base, largest.batch), model))
    progress("families", len(over), len(over))
    plan = plan_for(FAMILIES[over[0]]().members[0].network, base)
    shown = replace(plan.parameters, batch=1)
    return ScaleResult(
        base.engine,
        RunParameters.of(shown, transport="memory", tls=False, network=None),
        Security.of(base, plan.reveals),
        tuple(networks),
        tuple(growths),
        model,
        Machine.here(),
    )


def draw(result: ScaleResult, path: Path) -> list[Path]:
    """Draw each family; return the files.

    Raises:
        ConfigError: a picture cannot be written.
    """
    files = [path.with_stem(f"{path.stem}-{growth.family}") for growth in result.growths]
    for growth, file in zip(result.growths, files, strict=True):
        insecure = f" (INSECURE: {result.parameters.group})" if result.security.insecure else ""
        log_chart(
            f"{result.engine}: growth with {growth.unit}{insecure}",
            {FIGURES[name]: _line(growth, name) for name in DRAWN if name in growth.laws},
            x_label=growth.unit,
            y_label="times the smallest",
        ).save(file)
    return files


def _line(growth: Growth, figure: str) -> list[tuple[float, float]]:
    def value(point: Point) -> float:
        found = getattr(point, figure)
        return float(found if isinstance(found, int | float) else next(iter(found.values())))

    first = value(growth.points[0])
    return [(float(p.value), value(p) / first) for p in growth.points]
