"""Train the reference networks and write their .npz files and the table of docs/networks.md.

    python -m pip install -e '.[train,demo]'
    python scripts/train.py --data-dir DIR [NETWORK ...]

Seeded; the same torch on the same machine gives the same weights. All eight take about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from train_torch import Recipe, train

from pehealth.data.catalog import load
from pehealth.data.dataset import Dataset
from pehealth.nets import zoo
from pehealth.nets.bounds import ring_bits, value_bounds
from pehealth.nets.oracle import float_reference, ideal, predictions
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model, save

MODELS = Path(__file__).parent.parent / "pehealth" / "nets" / "models"
SMALL = Recipe(epochs=1000, batch=1000, rate=2e-2, decay=1e-2)
RECIPES = {
    "postop-a": SMALL,
    "postop-b": SMALL,
    "wearable-c": Recipe(epochs=30, batch=256, rate=1e-2, decay=1e-3),
    "wearable-d": Recipe(epochs=30, batch=256, rate=1e-2, decay=1e-3),
    "mnist-e": Recipe(epochs=30, batch=128, rate=5e-3, augment=1.0),
    "mnist-f": Recipe(epochs=30, batch=128, augment=1.0),
    "clinic": SMALL,
    "cryptonets": Recipe(epochs=30, batch=128, augment=1.0),
}


def trained(name: str, data: Dataset, report: int = 0) -> Model:
    """Return the reference network `name` trained on the training part of `data`."""
    known = zoo.reference(name)
    weights, biases = train(known.network, data.features[data.train], data.labels[data.train], RECIPES[name], report)
    return Model(known.network, tuple(weights), tuple(biases), known.ranges, known.dataset)


def accuracies(model: Model, data: Dataset) -> dict[str, float]:
    """Return the accuracy on the test part: in floats, and in both kinds of integers at d = 1, 2 and 4."""
    x, y = data.features[data.test], data.labels[data.test]
    out = {"majority": data.majority, "float": share(predictions(float_reference(model, x).logits), y)}
    for arithmetic in Arithmetic:
        for digits in (1, 2, 4):
            integers = model.quantise(digits, arithmetic)
            run = ideal(integers, integers.encode_input(x))
            out[f"{arithmetic}-{digits}"] = share(predictions(run.logits), y)
    return out


def share(answers: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of right answers."""
    return float(np.mean(answers == labels))


def summary(model: Model) -> dict[str, float]:
    """Return what the plan will ask: the ring that d = 4 needs, and how large the weights are."""
    bits = {f"ring-masked-{d}": ring_bits(value_bounds(model.quantise(d, Arithmetic.MASKED))) for d in (1, 4)}
    bits |= {f"ring-literal-{d}": ring_bits(value_bounds(model.quantise(d, Arithmetic.LITERAL)), 0) for d in (1, 2)}
    return {**bits, "largest": max(float(np.abs(w).max()) for w in model.weights)}


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(zoo.NAMES))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=MODELS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.networks:
        started = time.monotonic()
        data = load(zoo.reference(name).dataset, options.data_dir)
        model = trained(name, data, report=max(1, RECIPES[name].epochs // 10))
        save(model, options.out / f"{name}.npz")
        figures = {**accuracies(model, data), **summary(model), "seconds": time.monotonic() - started}
        print(name, json.dumps({k: round(v, 4) for k, v in figures.items()}), flush=True)


if __name__ == "__main__":
    main()
