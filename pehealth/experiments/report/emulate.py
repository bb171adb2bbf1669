"""Figures 6 and 7 by emulation: the integer oracle in the clear, which the protocols reproduce.

"literal" is the arithmetic of engine `paper` (nothing rescales), "masked" that of the other engines (floor at each
ReLU). Nothing secret is computed here, and no share is made; whoever shows this says "emulation".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pehealth.data.catalog import load as load_dataset
from pehealth.data.dataset import Dataset, Labels
from pehealth.data.postoperative import load_postoperative
from pehealth.data.ranges import Floats
from pehealth.data.wearable import load_wearable
from pehealth.experiments.report import fit
from pehealth.experiments.report.parts import Experiment, Result
from pehealth.nets import zoo
from pehealth.nets.describe import LINEAR
from pehealth.nets.oracle import FloatRun, IntegerRun, float_reference, ideal, predictions
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model

DIGITS = (0, 1, 2, 3, 4, 5)
PATIENTS = fit.Recipe(epochs=60, batch=1000, decay=0.1)
WEARABLE = fit.Recipe(epochs=60, batch=512, balance=0.5)


@dataclass(frozen=True)
class Effort:
    """How much is emulated.

    Attributes:
        splits: other splits of the small data sets, each with a training of its own.
        epochs: of a training on the wearable data; patients are trained 60 epochs always.
        images: MNIST test images, cut into ten parts.
    """

    splits: int
    epochs: int
    images: int


@dataclass(frozen=True, eq=False)
class Split:
    """A model, and the readings and classes that it is tested on."""

    seed: int
    model: Model
    features: Floats
    labels: Labels
    majority: float


def emulation(net: str, effort: Effort, directory: Path | None) -> Experiment:
    """Return the experiment that emulates one network."""
    parameters = {"kind": "emulate", "net": net, **vars(effort)}
    return Experiment(emulation_name(net), parameters, lambda: emulate(net, effort, directory))


def emulation_name(net: str) -> str:
    """Return the name of the experiment."""
    return f"emulate {net}"


def emulate(net: str, effort: Effort, directory: Path | None) -> Result:
    """Return accuracies and errors of a network for d = 0 to 5, for each split.

    Raises:
        ConfigError: the data set is not here.
    """
    splits = [measured_split(split) for split in splits_of(net, effort, directory)]
    trained = (
        f"trained anew on each split, {recipe_of(net, effort).epochs} epochs"
        if "mnist" not in net
        else "the shipped weights"
    )
    return {"net": net, "weights": trained, "digits": list(DIGITS), "splits": splits}


def recipe_of(net: str, effort: Effort) -> fit.Recipe:
    """Return how a small network is trained."""
    return PATIENTS if net.startswith("postop") else replace(WEARABLE, epochs=effort.epochs)


def splits_of(net: str, effort: Effort, directory: Path | None) -> Iterator[Split]:
    """Yield the splits: 70 % of each class or trial for training, or tenths of MNIST's test images."""
    if net.startswith("mnist"):
        yield from tenths(net, effort.images, directory)
        return
    loader = load_postoperative if net.startswith("postop") else load_wearable
    for seed in range(effort.splits):
        data = loader(directory, seed)
        pairs = fit.train(
            zoo.reference(net).network, data.features[data.train], data.labels[data.train], recipe_of(net, effort), seed
        )
        yield split_of(net, pairs, data, seed)


def split_of(net: str, pairs: fit.Pairs, data: Dataset, seed: int) -> Split:
    """Return a split with its trained model."""
    known = zoo.reference(net)
    weights, biases = (tuple(part) for part in zip(*pairs, strict=True))
    model = Model(known.network, weights, biases, known.ranges, known.dataset)
    return Split(seed, model, data.features[data.test], data.labels[data.test], data.majority)


def tenths(net: str, images: int, directory: Path | None) -> Iterator[Split]:
    """Yield ten disjoint parts of the first `images` test images, all with the shipped weights."""
    data, model = load_dataset("mnist", directory, training=False), zoo.load_model(net)
    for seed, part in enumerate(np.array_split(data.test[:images], 10)):
        yield Split(seed, model, data.features[part], data.labels[part], data.majority)


def measured_split(split: Split) -> Result:
    """Return what one split gives: accuracies by arithmetic and d, and errors against the float network."""
    plain = float_reference(split.model, split.features)
    classes = predictions(plain.logits)
    out: dict[str, Any] = {
        "seed": split.seed,
        "tested": len(split.labels),
        "majority": split.majority,
        "plain": float(np.mean(classes == split.labels)),
    }
    for arithmetic in Arithmetic:
        out[str(arithmetic)] = [at_digits(split, plain, classes, arithmetic, d) for d in DIGITS]
    return out


def at_digits(split: Split, plain: FloatRun, classes: Labels, arithmetic: Arithmetic, digits: int) -> Result:
    """Return accuracy, the share of classes unlike the plain network's, and errors by layer, at d."""
    model = split.model.quantise(digits, arithmetic)
    run = ideal(model, model.encode_input(split.features))
    found = predictions(run.logits)
    layers = [
        {"name": placed.name, "kind": placed.kind, **error(run, plain, place)}
        for place, placed in enumerate(split.model.network.placed)
        if isinstance(placed.layer, LINEAR)
    ]
    return {
        "digits": digits,
        "accuracy": float(np.mean(found == split.labels)),
        "changed": float(np.mean(found != classes)),
        "layers": layers,
    }


def error(run: IntegerRun, plain: FloatRun, place: int) -> dict[str, float]:
    """Return mean and greatest |integer output / scale - float output| of a layer; what came before is in it."""
    real = run.layers[place].astype(np.float64) / run.scales[place]
    gap = np.abs(real - plain.layers[place])
    return {"mean": float(gap.mean()), "max": float(gap.max())}
