"""The last step of a model, which the centre does in the clear: what it makes of the logits."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Last = Literal["logits", "softmax", "log_softmax", "sigmoid"]
"""Nothing, or which function."""


def softmax(logits: NDArray[Any], scale: int = 1) -> Floats:
    """Return the probabilities of logits at `scale`, (batch, classes): the centre's last step, in the clear."""
    real = logits.astype(np.float64) / scale
    weights = np.exp(real - real.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)


def finished(last: Last, logits: Floats) -> Floats:
    """Return what the centre makes of real logits (batch, classes)."""
    if last == "softmax":
        return softmax(logits)
    if last == "log_softmax":
        lowered = logits - logits.max(axis=1, keepdims=True)
        return np.asarray(lowered - np.log(np.exp(lowered).sum(axis=1, keepdims=True)), np.float64)
    if last == "sigmoid":
        small = np.exp(-np.abs(logits))
        return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small), np.float64)
    return logits
