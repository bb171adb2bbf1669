"""Deciding digits, ring and walk of engine `paper`.

The centre decides, since it knows the weights; how large the values are that will be converted it estimates on
samples of the training part (of the test part where no training data is at hand).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from parties.request import RunRequest
from pehealth.config import Engine, GroupName, Parameters
from pehealth.crypto.ddlog import Walk, choose_walk, expected_steps, longest_run, steps
from pehealth.crypto.groups import Group, group
from pehealth.crypto.prg import Prg
from pehealth.data.dataset import Dataset
from pehealth.errors import RangeError
from pehealth.nets.bounds import check_ring, ring_bits, value_bounds
from pehealth.nets.oracle import ideal
from pehealth.nets.plan import Plan
from pehealth.nets.plan_literal import has_key_bits, plan_literal
from pehealth.nets.run_literal import check_literal
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model, QuantizedModel

MOST_DIGITS = 4
CALIBRATION_SAMPLES = 64
DEFAULT_SECONDS = 20.0
"""Unless digits are named, they are the most with which a query walks at most this long."""
CAP_FACTOR = 32
"""Theta over the mean walk, unless it follows from a target: a walk hits it with probability e^-32."""
PAPER_CONVERSION_SECONDS = 0.9e-3 / 33
"""Table IV: about 0.9 ms an output, of 1 + 32 conversions."""


@dataclass(frozen=True)
class Load:
    """What one sample's share conversions amount to: how many, and the mean sum of the |values| converted."""

    conversions: int
    total: float


def settle_literal(request: RunRequest, model: Model, data: Dataset) -> tuple[QuantizedModel, Plan]:
    """Return the model's integers and the plan.

    Raises:
        RangeError: the digits do not fit the group, naming the layer; or the walk would take longer than the limit.
        UnsupportedLayer: the network has layers that the paper has not.
    """
    check_literal(model.network)
    name = request.group or GroupName.MODP3072
    grp = group(name)
    pace = step_seconds(grp)
    if request.digits is not None:
        return _settled(request, model, data, grp, request.digits, pace, request.time_limit)
    reason: RangeError | None = None
    for digits in range(MOST_DIGITS, -1, -1):
        try:
            return _settled(request, model, data, grp, digits, pace, min(DEFAULT_SECONDS, request.time_limit))
        except RangeError as error:
            reason = error
    raise RangeError(f"not even 0 digits will do on {name}: {reason}") from reason


def _settled(
    request: RunRequest, model: Model, data: Dataset, grp: Group, digits: int, pace: float, limit: float
) -> tuple[QuantizedModel, Plan]:
    quantised = model.quantise(digits, Arithmetic.LITERAL)
    bounds = value_bounds(quantised)
    widest = 32 if grp.name is GroupName.TOY32 else 64
    ring = request.ring or max(32, min(ring_bits(bounds), widest))
    check_ring(bounds, min(ring, widest), widest=widest)
    base = Parameters(Engine.PAPER, digits, ring, grp.name, batch=request.batch, sensors=request.sensors)
    load = conversion_load(quantised, grp, data)
    walk = _walk(request, grp, load, pace)
    steps_each = request.batch * load.conversions * expected_steps(walk)
    wrong = request.batch * load.total / 2 ** (walk.run + 1)
    seconds = steps_each * pace
    note = (
        f"walks of w = {walk.run} on {request.batch * load.conversions:,} conversions a server: about {seconds:.3g} s "
        f"a query at {pace * 1e9:.2f} ns a step, {wrong:.3g} wrong conversions expected"
    )
    if seconds > limit and request.walk != "fast":
        raise RangeError(
            f"{digits} digits: {note}; the limit is {limit:g} s: take fewer digits, --walk fast, or --time-limit"
        )
    plan = plan_literal(model.network, replace(base, walk=walk.run, cap=walk.cap))
    expected = {"ddlog_steps": 2 * steps_each, "wrong_conversions": wrong}
    return quantised, replace(plan, notes=(note,), bounds=tuple(b.magnitude for b in bounds), expected=expected)


def _walk(request: RunRequest, grp: Group, load: Load, pace: float) -> Walk:
    conversions, total = request.batch * load.conversions, request.batch * load.total
    if request.walk == "right":
        return choose_walk(total, conversions, request.failures, longest_run(grp))
    fast = max(1, round(math.log2(PAPER_CONVERSION_SECONDS / pace)) - 1)
    run = min(fast if request.walk == "fast" else int(request.walk), longest_run(grp))
    return Walk(run, CAP_FACTOR * 2 ** (run + 1))


def conversion_load(model: QuantizedModel, grp: Group, data: Dataset) -> Load:
    """Return the conversions of one sample and the mean sum of |values|; half of the key's bits count as ones."""
    chosen = (data.train if len(data.train) else data.test)[:CALIBRATION_SAMPLES]
    run = ideal(model, model.encode_input(data.features[chosen]))
    conversions, total = 0, 0.0
    for placed, bias in zip(model.network.linear_layers, model.biases, strict=True):
        products = placed.linear.add_bias(run.layers[placed.index - 1], -bias)
        size = float(np.abs(products).sum(axis=1).astype(np.float64).mean())
        keyed = has_key_bits(model.network, placed)
        conversions += placed.outputs * (1 + (grp.key_bits if keyed else 0))
        total += size * (1 + (grp.key_bits / 2 if keyed else 0))
    return Load(conversions, total)


def step_seconds(grp: Group) -> float:
    """Return the time of one step of the walk on this machine now, by a short calibration."""
    toy = grp.name is GroupName.TOY32
    starts = grp.random(Prg.system(), 2048 if toy else 2)
    cap = 2**12 if toy else 2**19
    walk = Walk(longest_run(grp) if toy else 36, cap)
    best = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        taken = int(steps(grp, starts, walk).sum())
        best = min(best, (time.perf_counter() - began) / max(taken, 1))
    return best
