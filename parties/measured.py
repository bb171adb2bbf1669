"""What a run of an engine that computes for long is told about: times by kind of work, failures beside the forecast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parties.check import opened_outputs
from parties.resolve import Job
from pehealth.config import Engine, Party
from pehealth.crypto.linear import Ints
from pehealth.crypto.ring import to_signed
from pehealth.nets.describe import LINEAR, Placed
from pehealth.nets.oracle import add_bias_exact, apply_exact
from pehealth.nets.record import Sample
from pehealth.nets.stages import ArgmaxStage, stages

SERVERS = (Party.E1, Party.E2)
WRONG = "wrong_conversions"

Reports = Mapping[str, Mapping[str, Any]]


def measured_notes(job: Job, reports: Reports, samples: Sequence[Sample], queries: int) -> tuple[str, ...]:
    """Return what was measured of what the plan forecast; nothing for engines that forecast nothing."""
    if WRONG not in job.plan.expected:
        return ()
    notes = [*_times(reports, queries)]
    expected = job.plan.expected[WRONG] * queries
    if job.request.check:
        wrong, outputs = wrong_outputs(job, reports)
        notes.append(f"measured: {wrong} of {outputs:,} linear outputs wrong, {expected:.3g} conversions forecast")
    beyond = sum(_deviation(s) > job.plan.error_bound for s in samples)
    notes.append(
        f"measured: {beyond} of {len(samples)} samples further than the bound from the oracle; "
        f"at most {expected:.3g} forecast, one a wrong conversion"
    )
    return tuple(notes)


def _times(reports: Reports, queries: int) -> list[str]:
    out = []
    for server in SERVERS:
        kinds = reports[server]["kinds"]
        if kinds:
            spent = " and ".join(_spent(kind, *(s / queries for s in both)) for kind, both in kinds.items())
            out.append(f"measured: {server} {spent} a query")
    return out


def _spent(kind: str, seconds: float, processor: float) -> str:
    if math.isnan(processor):
        return f"{seconds:.3g} s of {kind}"
    return f"{seconds:.3g} s of {kind} ({processor:.3g} s of processor time)"


def _deviation(sample: Sample) -> int:
    pairs = zip(sample.logits_int, sample.ideal_int, strict=False)  # a revealed class is no logit
    return max((abs(a - b) for a, b in pairs), default=0)


def wrong_outputs(job: Job, reports: Reports) -> tuple[int, int]:
    """Return how many outputs of linear layers were wrong, and of how many: each layer from what was put into it.

    The run must have been one with `--check`. A layer that gets a wrong value is not wrong for that.
    """
    parameters, model = job.plan.parameters, job.quantised
    given: Ints = job.padded_inputs()
    linear = zip(model.weights, model.biases, strict=True)
    wrong = outputs = 0
    for placed in _as_computed(job):
        found = opened_outputs(reports, placed.index, parameters.ring).reshape(len(given), -1)
        if isinstance(placed.layer, LINEAR):
            w, b = next(linear)
            exact = add_bias_exact(placed.linear, apply_exact(placed.linear, w, given), b)
            reduced = to_signed(np.asarray(exact % (1 << parameters.ring), np.uint64), parameters.ring)
            wrong += int(np.count_nonzero(found != reduced))
            outputs += found.size
        given = found
    return wrong, outputs


def _as_computed(job: Job) -> list[Placed]:
    """Return the layers in the engine's own order: masked engines pool before the ReLU in front."""
    if job.plan.parameters.engine is Engine.PAPER:
        return list(job.plan.network.placed)
    walk = stages(job.plan.network, job.plan.parameters)
    return [stage.placed for stage in walk if not isinstance(stage, ArgmaxStage)]
