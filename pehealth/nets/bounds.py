"""Proven bounds of every value in a network, by interval arithmetic over its integers.

The centre computes them once, when it plans: they depend on the weights, so only the ring width that follows is
public. Every secure run obeys them, since a rescale is counted from floor to ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pehealth.crypto.linear import Ints
from pehealth.errors import RangeError
from pehealth.nets.describe import LINEAR, Add, Placed, Relu
from pehealth.nets.oracle import add_bias_exact, apply_exact, between, combine_exact
from pehealth.nets.scales import ScaleStep
from pehealth.nets.weights import QuantizedModel


@dataclass(frozen=True, slots=True)
class Bound:
    """What one layer's output can reach, over all inputs in range and all roundings.

    Attributes:
        layer: the layer at its place.
        low, high: every output lies in low..high.
        product: the same as a magnitude for a linear layer's products before the bias (what the paper's share
            conversion has to walk); 0 elsewhere.
    """

    layer: Placed
    low: int
    high: int
    product: int = 0

    @property
    def magnitude(self) -> int:
        """The greatest |value|, products before the bias included."""
        return max(abs(self.low), abs(self.high), self.product)


def value_bounds(model: QuantizedModel, low: int = 0, high: int | None = None, slack: int = 0) -> tuple[Bound, ...]:
    """Return a bound a layer for inputs in low..high; by default 0..10^d, what normalised readings encode to.

    Error:  sound, not tight: signs of different outputs are taken as independent. `slack` is what an engine may
            add to or take from each output of a linear layer (one unit for `rlwe`).
    """
    top = model.unit if high is None else high
    size = (1, model.network.inputs)
    values: list[tuple[Ints, Ints]] = [(np.full(size, low, object), np.full(size, top, object))]
    linear = iter(zip(model.weights, model.biases, strict=True))
    bounds: list[Bound] = []
    for step in model.steps:
        placed, product = step.layer, 0
        if isinstance(placed.layer, LINEAR):
            w, b = next(linear)
            lower, upper = _linear(placed, w, *values[placed.source])
            product = max(abs(int(lower.min())), abs(int(upper.max()))) + slack
            lower, upper = (add_bias_exact(placed.linear, z, b) for z in (lower - slack, upper + slack))
        else:
            lower, upper = _between(step, [values[source] for source in placed.sources])
            if (limits := _clip_limits(step, model.steps)) is not None:
                lower, upper = np.clip(lower, *limits), np.clip(upper, *limits)
        bounds.append(Bound(placed, int(lower.min()), int(upper.max()), product))
        values.append((lower, upper))
    return tuple(bounds)


def _between(step: ScaleStep, inputs: Sequence[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    """Return the bounds of a layer without weights, all of which are monotone in each input."""
    layer = step.layer.layer
    if isinstance(layer, Add):
        ends = [(x, y) if w > 0 else (y, x) for w, (x, y) in zip(step.weights, inputs, strict=True)]
        return combine_exact(step, [x for x, _ in ends]), combine_exact(step, [y for _, y in ends])
    lower, upper = inputs[0]
    if step.divisor is not None:  # from floor to ceiling
        if isinstance(layer, Relu):
            lower, upper = np.maximum(lower, 0), np.maximum(upper, 0)
        return lower // step.divisor, -(-upper // step.divisor)
    return between(step, [lower]), between(step, [upper])


def _clip_limits(step: ScaleStep, steps: Sequence[ScaleStep]) -> tuple[int, int] | None:
    """Return the limits of a sum that clips, low + relu(x - low) - relu(x - high); None for any other layer.

    Intervals alone do not see that both parts stem from one x, and would let every ReLU6 double the magnitude.
    Proof:  u = relu(X + a), v = relu(X + b) with a > b: 0 <= u - v <= a - b; rounding u / S and v / S by less than a
            unit each leaves their difference within -1 and ceil((a - b) / S) + 1.
    """
    layer = step.layer.layer
    if not isinstance(layer, Add) or step.weights != (1, -1) or layer.divisor != 1:
        return None
    parts = [steps[source - 1] for source in step.layer.sources if source]
    if len(parts) != 2 or not all(isinstance(part.layer.layer, Relu) for part in parts):
        return None
    (first, a), (second, b) = (_shifted(part, steps) for part in parts)
    if first != second or a <= b or parts[0].divisor != parts[1].divisor:
        return None
    return step.offset - 1, step.offset - (b - a) // (parts[0].divisor or 1) + 1


def _shifted(step: ScaleStep, steps: Sequence[ScaleStep]) -> tuple[int, int]:
    """Return (source, c) of a layer that takes that source plus c."""
    source = step.layer.source
    before = steps[source - 1] if source else None
    if before is not None and isinstance(before.layer.layer, Add) and before.weights == (1,):
        return (before.layer.source, before.offset) if before.layer.layer.divisor == 1 else (source, 0)
    return source, 0


def ring_bits(bounds: Sequence[Bound], spare: int = 1) -> int:
    """Return the least k such that every value lies in (-2^(k-1-spare), 2^(k-1-spare)).

    One spare bit is what max pooling needs: it compares differences.
    """
    return max(b.magnitude for b in bounds).bit_length() + 1 + spare


def check_ring(bounds: Sequence[Bound], bits: int, spare: int = 1, *, widest: int = 64) -> None:
    """Check that every layer fits a ring of `bits` bits; `widest` is the most that there could be.

    Raises:
        RangeError: it names the first layer that does not fit and the width that it needs.
    """
    for b in bounds:
        need = ring_bits([b], spare)
        if need > bits:
            raise RangeError(
                f"{b.layer.name} reaches {b.magnitude} in magnitude and needs {need} bits; the ring has {bits}. "
                + ("Use fewer digits" if need > widest else "Use a wider ring or fewer digits")
            )


def with_gate_margin(bounds: Sequence[Bound], model: QuantizedModel) -> tuple[Bound, ...]:
    """Return the bounds with those of a ReLU's input widened by its divisor.

    The ReLU gate leaves low bits out of its comparison and is not right for the 2^nu lowest values of the ring,
    2^nu <= divisor (`ReluGate.span`): so they must not be reached.
    """
    out = list(bounds)
    for step in model.steps:
        place = step.layer.source - 1
        if step.divisor is not None and isinstance(step.layer.layer, Relu) and place >= 0:
            before = bounds[place]
            out[place] = replace(before, low=before.low - step.divisor, high=before.high + step.divisor)
    return tuple(out)


def _linear(placed: Placed, w: Ints, lower: Ints, upper: Ints) -> tuple[Ints, Ints]:
    up, down, g = np.maximum(w, 0), np.minimum(w, 0), placed.linear
    least = apply_exact(g, up, lower).astype(object) + apply_exact(g, down, upper)
    most = apply_exact(g, up, upper).astype(object) + apply_exact(g, down, lower)
    return least, most
