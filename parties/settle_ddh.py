"""Deciding digits, ring, splits and walks of engine `ddh`: by a failure target, within a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np

from parties.request import MAX_RING, RunRequest, Transport
from pehealth.config import Engine, GroupName, Parameters
from pehealth.crypto.ddlog import Walk, steps
from pehealth.crypto.ddlog_jumps import jump
from pehealth.crypto.groups import ModpGroup, group
from pehealth.crypto.multiexp_modp import cheapest, plan_powers
from pehealth.crypto.prg import Prg
from pehealth.data.dataset import Dataset
from pehealth.engines.catalog import masked_engine
from pehealth.engines.ddh_plan import Split, SplitPlan
from pehealth.errors import ConfigError, RangeError
from pehealth.nets.bounds import check_ring, ring_bits, value_bounds
from pehealth.nets.choose_splits import Forecast, Layer, Pace, choose, forecast, layers_of, options
from pehealth.nets.error_bound import error_bounds
from pehealth.nets.plan import Plan
from pehealth.nets.plan_masked import plan_masked
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model, QuantizedModel

DEFAULT_DIGITS = 2
SAMPLES = 64
WORD_BITS = 8
FIXED_WALK_FACTOR = 32
"""Theta over 2^(w+1) where w is given: a walk hits it with probability e^-32."""

CALIBRATION_RUN, CALIBRATION_CAP, CALIBRATION_WALKS = 36, 1_048_000, 6
JUMP_RUN, JUMP_DENSITY, CALIBRATION_JUMPS = 30, 30, 300
SHORT_CALIBRATION_RUN, SHORT_CALIBRATION_WALKS = 20, 4
CALIBRATION_TERMS, CALIBRATION_BITS = 12, 106
ROUNDS = 20

UNNOTICED = (
    "a failed conversion makes its output arbitrary, and nobody can notice it without leaking values or keys; "
    "what is expected above remains"
)


def settle_ddh(request: RunRequest, model: Model, data: Dataset) -> tuple[QuantizedModel, Plan]:
    """Return the model's integers and the plan.

    Raises:
        RangeError: a forced ring is too narrow, naming the layer; or the run would take longer than the limit.
        ConfigError: the group is not of real size.
    """
    grp = _group(request)
    digits = DEFAULT_DIGITS if request.digits is None else request.digits
    quantised = model.quantise(digits, Arithmetic.MASKED)
    bounds = value_bounds(quantised)
    ring = request.ring or min(-(-ring_bits(bounds) // WORD_BITS) * WORD_BITS, MAX_RING)
    check_ring(bounds, ring)
    chosen = (data.train if len(data.train) else data.test)[:SAMPLES]
    layers = layers_of(quantised, quantised.encode_input(data.features[chosen]))
    pace = measure_pace(grp)
    splits = _splits(request, layers, ring, grp, pace)
    expected = forecast(layers, splits, ring, grp.key_bits, request.batch, pace)
    notes = _notes(request, splits, expected, pace)
    _refuse_long(request, digits, expected, notes[0])
    parameters = Parameters(
        Engine.DDH,
        digits,
        ring,
        grp.name,
        walk=splits.walk,
        cap=splits.cap,
        batch=request.batch,
        sensors=request.sensors,
        splits=str(splits),
        reveal=request.reveal,
    )
    plan = plan_masked(model.network, parameters, masked_engine(parameters), dealer=request.dealer)
    return quantised, replace(
        plan,
        bounds=tuple(b.magnitude for b in bounds),
        error_bound=error_bounds(quantised, 0)[-1],
        notes=notes,
        expected={"wrong_conversions": expected.wrong},
        compute_seconds=expected.seconds,
    )


def _group(request: RunRequest) -> ModpGroup:
    grp = group(request.group or GroupName.MODP3072)
    if not isinstance(grp, ModpGroup):
        raise ConfigError(f"engine ddh needs a group of real size, such as modp3072; {grp.name} is none")
    return grp


def _splits(request: RunRequest, layers: list[Layer], ring: int, grp: ModpGroup, pace: Pace) -> SplitPlan:
    """Return the plan for the failure target; a walk that was asked for takes the place of every layer's own."""
    splits = choose(options(layers, ring, grp.key_bits, request.batch), pace, request.failures)
    if not isinstance(request.walk, int):
        return splits
    fixed = {shape: Split(s.base, s.count, request.walk) for shape, s in splits.splits}
    return SplitPlan.of(fixed, FIXED_WALK_FACTOR)


def _notes(request: RunRequest, splits: SplitPlan, expected: Forecast, pace: Pace) -> tuple[str, ...]:
    speed = (
        f"{pace.product * 1e6:.2f} us a product, {pace.long * 1e9:.2f} ns a step, {pace.short * 1e9:.2f} in short "
        f"walks, {pace.jump * 1e6:.2f} us a jump"
    )
    time_note = (
        f"ddh: {expected.conversions:,} conversions a server and query, splits {splits}; by a calibration ({speed}) "
        f"{expected.exponentiation:.3g} s of exponentiation and {expected.conversion:.3g} s of conversion, of "
        "processor time"
    )
    target = "w as asked for" if isinstance(request.walk, int) else f"target {request.failures:.3g}"
    failures = (
        f"ddh: {expected.wrong:.3g} wrong conversions a query expected from training samples ({target}); {UNNOTICED}"
    )
    return time_note, failures


def _refuse_long(request: RunRequest, digits: int, expected: Forecast, note: str) -> None:
    """Refuse a run that would take longer than the limit.

    Both servers compute at once, but in one process one after the other.
    """
    each = expected.seconds * (1 if request.transport is Transport.PROCESSES else 2)
    seconds = each * request.queries * request.repeat
    if seconds > request.time_limit:
        raise RangeError(
            f"{digits} digits: {note}: {seconds:,.0f} s for {request.queries * request.repeat} queries; the limit "
            f"is {request.time_limit:g} s: take fewer --digits, allow more --failures, or raise --time-limit"
        )


def measure_pace(grp: ModpGroup) -> Pace:
    """Return how fast this machine computes, in processor time: medians of some rounds, a tenth of a second in all."""
    rng = Prg.system()
    bases, exponents = grp.random(rng, CALIBRATION_TERMS), rng.integers(CALIBRATION_TERMS, CALIBRATION_BITS)
    powers = plan_powers(grp.modulus, exponents.reshape(1, -1))
    starts, walk = grp.random(rng, CALIBRATION_WALKS), Walk(CALIBRATION_RUN, CALIBRATION_CAP)
    none = np.zeros(1, np.int64)
    product = _median(lambda: powers.powers(bases)) / cheapest(CALIBRATION_BITS, CALIBRATION_TERMS, 1).products
    long = _median(lambda: steps(grp, starts, walk)) / (CALIBRATION_WALKS * CALIBRATION_CAP)
    short = _median_short_step(grp, rng)
    leap = _median(lambda: jump(grp, starts[:1], none, JUMP_RUN, JUMP_DENSITY, CALIBRATION_JUMPS)) / CALIBRATION_JUMPS
    return Pace(product, long, leap, short)


def _median_short_step(grp: ModpGroup, rng: Prg) -> float:
    """Return the seconds a step of walks as short as those of small networks, with what is computed past their end."""
    walk, rates = Walk(SHORT_CALIBRATION_RUN, CALIBRATION_CAP << 6), []
    for _ in range(ROUNDS):
        starts, began = grp.random(rng, SHORT_CALIBRATION_WALKS), time.thread_time()
        walked = int(steps(grp, starts, walk).sum())
        rates.append((time.thread_time() - began) / walked)
    return median(rates)


def _median(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that `work` takes. The least of them is at times too good to be true."""
    spent = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return median(spent)
