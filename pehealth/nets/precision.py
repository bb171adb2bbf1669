"""Digits from an error target: the fewest with which secure results are close enough to what floats give.

Two figures are looked at, both for the greatest difference of an output:

- measured: secure arithmetic is imitated on samples (every rescale rounds up or down by chance, as under a random
  mask), and compared with the floats. The target must be met with a factor of two to spare.
- proven: interval arithmetic over all readings in range and all roundings. Sound, and often a hundred times too large.

The target holds for the measured figure unless the proven one is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pehealth.crypto.linear import Ints
from pehealth.crypto.prg import Prg
from pehealth.data.ranges import Floats
from pehealth.errors import RangeError
from pehealth.nets.bounds import Bound, ring_bits, value_bounds, with_gate_margin
from pehealth.nets.describe import LINEAR, Add, MaxPool, MeanPool, Relu, Rescale
from pehealth.nets.error_bound import error_bounds
from pehealth.nets.last import finished
from pehealth.nets.oracle import add_bias_exact, apply_exact, between, moved, windows
from pehealth.nets.scales import Arithmetic, ScaleStep
from pehealth.nets.weights import Model, QuantizedModel

SLACK = 1
"""What an engine may add to or take from an output of a linear layer: one unit in `rlwe`, nothing in `dealt`."""
SPARE = 2.0
"""By what factor the measured error must be below the target."""
WORD_BITS = 8
MAX_RING = 64
MOST_DIGITS = 10
STEEPEST = {"logits": 1.0, "softmax": 0.5, "log_softmax": 2.0, "sigmoid": 0.25}
"""By how much the centre's last step can enlarge the greatest error of a logit."""


@dataclass(frozen=True)
class Precision:
    """What a number of digits amounts to.

    Attributes:
        digits, ring: d and k.
        measured: greatest |secure - float| of an output over the samples, imitated.
        proven: what it cannot exceed, for any readings in range.
        target: what was asked for.
    """

    digits: int
    ring: int
    measured: float
    proven: float
    target: float

    def meets(self, *, proven: bool) -> bool:
        """True if the target is met: by the proven figure, or by the measured one with room to spare."""
        met = self.proven <= self.target if proven else SPARE * self.measured <= self.target
        return met and self.ring <= MAX_RING


def choose(model: Model, features: Floats, wanted: Floats, target: float, *, proven: bool = False) -> Precision:
    """Return the fewest digits that meet an error target.

    Args:
        model: its output is what the centre makes of the logits.
        features: samples (batch, inputs) in [0, 1].
        wanted: what floats give for them (batch, classes).
        target: the greatest difference that is wanted.
        proven: the proven figure must meet it, not the measured one.

    Raises:
        RangeError: no number of digits meets it in a ring of 64 bits; says how close one comes.
    """
    tried: list[Precision] = []
    for digits in range(1, MOST_DIGITS + 1):
        try:
            found = at_digits(model, features, wanted, target, digits)
        except RangeError:
            break
        if found.meets(proven=proven):
            return found
        if found.ring > MAX_RING:
            break
        tried.append(found)
    key = "proven" if proven else "measured"
    best = min(tried, key=lambda p: getattr(p, key), default=None)
    near = ""
    if best is not None:
        near = f"; {best.digits} digits in {best.ring} bits come to {getattr(best, key):.2g} ({key})"
    raise RangeError(
        f"model {model.network.name}: no digits meet an error target of {target:g} in {MAX_RING} bits{near}. "
        "Take a larger target, or smaller weights and ranges of readings"
    )


def at_digits(model: Model, features: Floats, wanted: Floats, target: float, digits: int) -> Precision:
    """Return what `digits` amount to.

    Raises:
        RangeError: a weight does not fit.
    """
    quantised = model.quantise(digits, Arithmetic.MASKED)
    bounds = value_bounds(quantised, slack=SLACK)
    wide = any(isinstance(layer, MaxPool | Rescale) for layer in model.network.layers)
    bits = ring_bits(with_gate_margin(bounds, quantised), int(wide))
    scale = quantised.logit_scale
    secure = imitate(quantised, quantised.encode_input(features), Prg.insecure_seed(digits))
    measured = float(np.abs(finished(model.last, secure.astype(np.float64) / scale) - wanted).max())
    rounding = error_bounds(quantised, SLACK)[-1] / scale
    proven = (rounding + quantisation_bound(model, quantised, bounds)) * STEEPEST[model.last]
    return Precision(digits, -(-bits // WORD_BITS) * WORD_BITS, measured, proven, target)


def imitate(model: QuantizedModel, x: Ints, rng: Prg) -> Ints:
    """Return the logits (batch, classes) of exact integers in which every rescale rounds up or down by chance."""
    linear = iter(zip(model.weights, model.biases, strict=True))
    outputs: list[Ints] = [x.reshape(len(x), -1)]
    for step in model.steps:
        inputs = [outputs[source] for source in step.layer.sources]
        if isinstance(step.layer.layer, LINEAR):
            w, b = next(linear)
            outputs.append(add_bias_exact(step.layer.linear, apply_exact(step.layer.linear, w, inputs[0]), b))
        elif step.divisor is None:
            outputs.append(between(step, inputs))
        else:
            y = np.maximum(inputs[0], 0) if isinstance(step.layer.layer, Relu) else inputs[0]
            chance = rng.child(step.layer.index).below(y.shape, step.divisor).astype(np.int64)
            outputs.append(y // step.divisor + (y % step.divisor > chance))
    return outputs[-1]


def quantisation_bound(model: Model, quantised: QuantizedModel, bounds: Sequence[Bound]) -> float:
    """Return what |ideal - float| of a logit cannot exceed, for any readings in range.

    Proof:  readings, weights, biases and rescales are floors, each off by less than a unit of its scale; a linear layer
            multiplies the error of its input by |w| and adds what its weights' errors make of the greatest input.
    """
    unit = 1.0 / quantised.unit
    errors: list[Floats] = [np.full((1, model.network.inputs), unit)]
    largest = [1.0, *(b.magnitude / step.after for b, step in zip(bounds, quantised.steps, strict=True))]
    weights = iter(model.weights)
    for step in quantised.steps:
        placed, inputs = step.layer, [errors[source] for source in step.layer.sources]
        if isinstance(placed.layer, LINEAR):
            w = np.abs(next(weights))
            reach = np.full((1, placed.inputs), largest[placed.source] + float(inputs[0].max()))
            off = placed.linear.apply(w + unit, inputs[0]) + unit * placed.linear.apply(np.ones_like(w), reach)
            errors.append(off + 1.0 / step.after)
        else:
            errors.append(_between(step, inputs))
    return float(errors[-1].max())


def _between(step: ScaleStep, errors: Sequence[Floats]) -> Floats:
    layer, error = step.layer.layer, errors[0]
    if isinstance(layer, MeanPool | MaxPool):
        gathered = windows(error, step.layer)
        return np.asarray(gathered.mean(axis=2) if isinstance(layer, MeanPool) else gathered.max(axis=2))
    if isinstance(layer, Add):
        parts = sum(abs(f) * e for f, e in zip(layer.factors, errors, strict=True))
        return np.asarray(parts / layer.divisor + 1.0 / step.after)
    return error + 1.0 / step.after if step.divisor is not None else moved(error, step.layer)
