"""Readings for a model that names no data set: random ones within its ranges, labelled by the plain model."""

from __future__ import annotations

import numpy as np

from pehealth.crypto.prg import Prg
from pehealth.data.dataset import Dataset
from pehealth.data.ranges import Floats
from pehealth.nets.oracle import float_reference, predictions
from pehealth.nets.weights import Model

LEAST = 64
STEPS = 10**6
NOTE = (
    "model {name} names no data set: these are random readings within its ranges, labelled by the plain model; "
    "so the accuracy is how often the secure result agrees with the plain one"
)


def random_features(model: Model, count: int, seed: int = 0) -> Floats:
    """Return `count` samples of readings (count, inputs) in [0, 1], the same for the same seed on every machine."""
    return Prg.insecure_seed(seed).below((count, model.network.inputs), STEPS + 1) / STEPS


def random_dataset(model: Model, samples: int) -> Dataset:
    """Return at least `samples` random samples, all of them to test on."""
    features = random_features(model, max(samples, LEAST))
    network, nobody = model.network, np.zeros(0, np.intp)
    labels = predictions(float_reference(model, features).logits)
    everyone = np.arange(len(features))
    return Dataset("random", features, labels, network.classes, nobody, everyone, model.ranges, "random readings")
