"""Mean pooling as Protocol 2's paper prints it: the sum times the inverse of the window's size mod q."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pehealth.config import GroupName
from pehealth.crypto.groups import group
from pehealth.data.catalog import load
from pehealth.experiments.report.parts import Experiment, Result
from pehealth.nets.describe import MeanPool
from pehealth.nets.oracle import ideal, windows
from pehealth.nets.scales import Arithmetic
from pehealth.nets.zoo import load_model


def pooling_experiment(images: int, directory: Path | None) -> Experiment:
    """Return the experiment: real activations of mnist-e at d = 1, pooled by an inverse."""
    known = {"kind": "pooling", "net": "mnist-e", "digits": 1, "images": images}
    return Experiment("mean pooling", known, lambda: pooled_by_inverse("mnist-e", 1, images, directory))


def pooled_by_inverse(net: str, digits: int, images: int, directory: Path | None) -> Result:
    """Return how many windows decode to something else than their mean, and the worst, in units of the real mean."""
    data, shipped = load("mnist", directory, training=False), load_model(net)
    model = shipped.quantise(digits, Arithmetic.LITERAL)
    run = ideal(model, model.encode_input(data.features[data.test[:images]]))
    placed = next(p for p in model.network.placed if isinstance(p.layer, MeanPool))
    sums = windows(run.layers[placed.index - 2], placed).sum(axis=2)
    size, q = windows(run.layers[placed.index - 2], placed).shape[2], group(GroupName.TOY32).q
    inverted = sums.astype(object) * pow(size, -1, q) % q
    signed = np.where(inverted > q // 2, inverted - q, inverted)
    gap = np.abs(signed * size - sums).astype(np.float64) / size / run.scales[placed.index - 2]
    return {
        "net": net,
        "digits": digits,
        "size": size,
        "windows": int(sums.size),
        "undivided": int(np.count_nonzero(gap)),
        "worst": float(gap.max()),
    }
