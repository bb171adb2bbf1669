"""By how many units a masked run may differ from the ideal oracle: B, propagated layer by layer and proven.

A rescale gives the floor or the ceiling of x / S where the oracle takes the floor; `rlwe` may be off by one unit in
each output of a linear layer. Everything else is exact, and signs always are.
"""

from __future__ import annotations

import numpy as np

from pehealth.crypto.linear import Ints, pool_windows
from pehealth.nets.describe import LINEAR, MaxPool, MeanPool
from pehealth.nets.oracle import apply_exact
from pehealth.nets.weights import QuantizedModel


def error_bounds(model: QuantizedModel, slack: int) -> tuple[int, ...]:
    """Return for each layer the greatest |secure - ideal| of an output, in units of the layer's scale.

    Args:
        model: its weights enter, so only the centre can compute this.
        slack: what the engine may add to or take from an output of a linear layer: 1 for `rlwe`, 0 for `dealt`.

    Proof:  with |x' - x| <= e before a rescale by S, the secure value is floor(x'/S) or ceil(x'/S) and the oracle's
            floor(x/S): they differ by at most ceil(e/S) + 1. A linear layer multiplies e by |w| and adds; the
            greatest of a window moves by at most the greatest e; a sum adds them. ReLU and max are exact otherwise.
    """
    error: Ints = np.zeros((1, model.network.inputs), object)
    weights = iter(model.weights)
    out = []
    for step in model.steps:
        placed, layer = step.layer, step.layer.layer
        if isinstance(layer, LINEAR):
            error = apply_exact(placed.linear, np.abs(next(weights)), error).astype(object) + slack
        elif isinstance(layer, MeanPool | MaxPool):
            gathered = error[:, pool_windows(placed.in_shape, layer.window, layer.steps)]
            error = gathered.sum(axis=2) if isinstance(layer, MeanPool) else gathered.max(axis=2)
        elif step.divisor is not None:
            error = -(-error // step.divisor) + 1
        out.append(int(error.max()))
    return tuple(out)
