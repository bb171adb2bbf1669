"""By how many units a masked run may differ from the ideal oracle: B, propagated layer by layer and proven.

A rescale gives the floor or the ceiling of x / S where the oracle takes the floor; `rlwe` may be off by one unit in
each output of a linear layer. Everything else is exact, and signs always are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pehealth.crypto.linear import Ints
from pehealth.nets.describe import LINEAR, Add, MaxPool, MeanPool
from pehealth.nets.oracle import apply_exact, moved, windows
from pehealth.nets.scales import ScaleStep
from pehealth.nets.weights import QuantizedModel


def error_bounds(model: QuantizedModel, slack: int) -> tuple[int, ...]:
    """Return for each layer the greatest |secure - ideal| of an output, in units of the layer's scale.

    Args:
        model: its weights enter, so only the centre can compute this.
        slack: what the engine may add to or take from an output of a linear layer: 1 for `rlwe`, 0 for `dealt`.

    Proof:  with |x' - x| <= e before a rescale by S, the secure value is floor(x'/S) or ceil(x'/S) and the oracle's
            floor(x/S): they differ by at most ceil(e/S) + 1. A linear layer multiplies e by |w| and adds; the
            greatest of a window moves by at most the greatest e; a sum adds them, each times its |weight|. ReLU and max
            are exact otherwise.
    """
    errors: list[Ints] = [np.zeros((1, model.network.inputs), object)]
    weights = iter(model.weights)
    for step in model.steps:
        inputs = [errors[source] for source in step.layer.sources]
        if isinstance(step.layer.layer, LINEAR):
            product = apply_exact(step.layer.linear, np.abs(next(weights)), inputs[0]).astype(object)
            errors.append(product + slack)
        else:
            errors.append(_between(step, inputs))
    return tuple(int(error.max()) for error in errors[1:])


def _between(step: ScaleStep, errors: Sequence[Ints]) -> Ints:
    """Return the error after a layer without weights."""
    layer, error = step.layer.layer, errors[0]
    if isinstance(layer, MeanPool | MaxPool):
        gathered = windows(error, step.layer)
        return np.asarray(gathered.sum(axis=2) if isinstance(layer, MeanPool) else gathered.max(axis=2))
    if isinstance(layer, Add):
        return np.asarray(sum(abs(w) * e for w, e in zip(step.weights, errors, strict=True)))
    return -(-error // step.divisor) + 1 if step.divisor is not None else moved(error, step.layer)
