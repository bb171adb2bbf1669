"""The table: a row a system, what it costs beside what one must believe to use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from peer_table.rows import Key, Run
from peer_table.systems import System
from peer_table.workload import BATCHES

LATENCIES = (0.0, 0.02)
COMPUTING = 150
"""Above so many latencies of computing the number of latencies in a query is not told."""
HEADINGS = (
    "system",
    "online, 1 image",
    "online, 32 (an image)",
    "1 image at 20 ms",
    "32 at 20 ms",
    "cold start, 0 / 20 ms",
    "MB online, 1 image: busiest direction / all",
    "MB online, 32: busiest / all",
    "made ahead, a query: s, MB",
    "MB before the first query",
    "rounds, own count",
    "one-way delays",
    "logit error, 1 / 32",
    "same class",
    "parties",
    "who deals",
    "model hidden from",
    "revealed",
)


def table(systems: Sequence[System], runs: Mapping[Key, Run]) -> str:
    """Return the systems that were run as one Markdown table, with what to know about it."""
    shown = [s for s in systems if any(key[0] == s.key for key in runs)]
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" + 13 * "|---:" + 4 * "|---" + "|"]
    lines += ["| " + " | ".join(row(system, runs)) + " |" for system in shown]
    return "\n".join([*lines, "", *notes(shown, runs)])


def row(system: System, runs: Mapping[Key, Run]) -> list[str]:
    """Return the cells of one system."""
    found = {(b, t): runs.get((system.key, b, t)) for b in BATCHES for t in LATENCIES}
    one, far, many, many_far = found[1, 0.0], found[1, 0.02], found[32, 0.0], found[32, 0.02]
    t = system.threat
    return [
        _named(system),
        _time(one),
        _time(many, 32),
        _time(far),
        _time(many_far),
        f"{_seconds(one.cold) if _good(one) else '-'} / {_seconds(far.cold) if _good(far) else '-'}",
        _megabytes(one),
        _megabytes(many),
        _ahead(one),
        f"{one.before / 1e6:.1f}" if _good(one) else "-",
        str(one.rounds) if _good(one) and one.rounds is not None else "-",
        _delays(one, far),
        " / ".join(_error(run) for run in (one, many)),
        " ".join(f"{run.same}/{run.batch}" for run in (one, many) if _good(run)) or "-",
        t.parties,
        t.deals,
        t.model,
        f"{t.revealed}. **{t.warning}**" if t.warning else t.revealed,
    ]


def delays(near: Run, far: Run) -> float:
    """Return how many one-way latencies a query waits for, as the two least times tell."""
    return (min(far.online) - min(near.online)) / (far.latency - near.latency)


def _delays(near: Run | None, far: Run | None) -> str:
    """Return that number, unless computing takes so much longer than the latencies that its noise drowns them."""
    if near is None or far is None or near.failed or far.failed or min(near.online) > COMPUTING * far.latency:
        return "-"
    return f"{delays(near, far):.0f}"


def notes(systems: Sequence[System], runs: Mapping[Key, Run]) -> list[str]:
    """Return what is to be known about the rows: other networks, failures, how busy the machine was."""
    out = [f"- {_named(s)}: {s.network}." for s in systems if s.network]
    for system in systems:
        mine = [run for key, run in runs.items() if key[0] == system.key]
        errors = [run.own_error for run in mine if run.own_error is not None]
        if errors:
            out.append(f"- {_named(system)}: from its own network in the clear it differs by {max(errors):.2g}.")
        out += [
            f"- {_named(system)}, {_images(run.batch)} at {1e3 * run.latency:g} ms: did not run here: {run.failed}."
            for run in mine
            if run.failed
        ]
    loads = [run.load for run in runs.values() if not run.failed]
    if loads:
        out.append(f"- Load average when the runs began: {min(loads):.1f} to {max(loads):.1f}.")
    return out


def _good(run: Run | None) -> bool:
    return run is not None and not run.failed


def _named(system: System) -> str:
    return f"{system.name} {system.version} {system.label}".replace("  ", " ")


def _images(batch: int) -> str:
    return "1 image" if batch == 1 else f"{batch} images"


def _time(run: Run | None, share: int = 1) -> str:
    """Return the median online time, and that of one image of a batch."""
    if run is None:
        return "-"
    if run.failed:
        return "did not run"
    return _seconds(run.seconds) + (f" ({_seconds(run.seconds / share)})" if share > 1 else "")


def _seconds(seconds: float) -> str:
    """Return a time with two or three digits that mean something."""
    if seconds < 1:
        return f"{_digits(1e3 * seconds)} ms"
    return f"{_digits(seconds)} s"


def _digits(value: float) -> str:
    if value <= 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value < 100 else f"{value:.0f}"


def _megabytes(run: Run | None) -> str:
    if run is None or run.failed:
        return "-"
    return f"{_digits(run.busiest / 1e6)} / {_digits(run.total_bytes / 1e6)}"


def _ahead(run: Run | None) -> str:
    """Return what is made before a query for it alone."""
    if run is None or run.failed:
        return "-"
    seconds = median(run.offline)
    return f"{_seconds(seconds)}, {_digits((run.between or 0) / 1e6)}" if seconds else "nothing"


def _error(run: Run | None) -> str:
    return f"{run.error:.2g}" if run is not None and not run.failed else "-"
