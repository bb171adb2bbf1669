"""`--check`: what each layer gave, opened and held against the oracle. It LEAKS every value to the launcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parties.resolve import Job
from pehealth.config import Engine, Party
from pehealth.crypto.ring import reduce, to_signed
from pehealth.nets.error_bound import error_bounds
from pehealth.nets.oracle import ideal
from pehealth.nets.stages import ArgmaxStage, stages

LEAKS = "--check: every layer's output was opened to this process: it LEAKS readings and model"


def check_layers(job: Job, reports: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what to say: that it leaks, and the first layer that differs by more than its proven bound, or none.

    Layers that the engine runs in another order (a max pool before its ReLU) are compared where the orders meet again.
    """
    plan = job.plan
    run = ideal(job.quantised, job.padded_inputs())
    bounds = (0,) * len(plan.network.placed)
    if plan.parameters.engine is not Engine.PAPER:
        bounds = error_bounds(job.quantised, 1 if plan.parameters.engine is Engine.RLWE else 0)
    for shown, done in meetings(_order(job)):
        placed, wanted, bound = plan.network.placed[done - 1], run.layers[done - 1], bounds[done - 1]
        opened = opened_outputs(reports, shown, plan.parameters.ring)
        worst = int(np.abs(opened.reshape(wanted.shape).astype(object) - wanted).max())
        if worst > bound:
            return (
                LEAKS,
                f"--check: the first layer that differs is {placed.name}: by {worst:,} units, {bound:,} may be",
            )
    return LEAKS, f"--check: all {len(plan.network.placed)} layers agree with the oracle within their bounds"


def _order(job: Job) -> list[int]:
    """Return the layers, by index, in the order in which the engine runs them."""
    network, parameters = job.plan.network, job.plan.parameters
    if parameters.engine is Engine.PAPER:
        return [placed.index for placed in network.placed]
    return [stage.placed.index for stage in stages(network, parameters) if not isinstance(stage, ArgmaxStage)]


def meetings(order: Sequence[int]) -> list[tuple[int, int]]:
    """Return (layer run last, layers done) wherever the layers done so far are the first ones of the network."""
    return [(layer, n) for n, layer in enumerate(order, 1) if max(order[:n]) == n]


def opened_outputs(reports: Mapping[str, Mapping[str, Any]], layer: int, ring: int) -> NDArray[np.int64]:
    """Return the outputs of a layer that both servers showed, flat, signed, all queries in order."""
    halves = []
    for server in (Party.E1, Party.E2):
        parts = dict(reports[server]["opened"]).get(layer, [])
        halves.append(np.frombuffer(b"".join(parts), "<u8").astype(np.uint64))
    return to_signed(reduce(halves[0] + halves[1], ring), ring)
