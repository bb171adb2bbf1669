"""Train the reference networks and write their .npz files.

    python -m pip install -e '.[train,demo]'
    python scripts/train.py --data-dir DIR [NETWORK ...]
    python scripts/train.py --data-dir DIR --splits 20 postop-a      (only measures, on other splits)

Seeded; the same torch on the same kind of processor gives the same weights. All eight take about half an hour on one
core. `scripts/accuracy.py` measures what comes out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accuracy import accuracies
from train_torch import Recipe, train

from pehealth.data.catalog import load
from pehealth.data.dataset import Dataset, split
from pehealth.nets import zoo
from pehealth.nets.weights import Model, save

MODELS = Path(__file__).parent.parent / "pehealth" / "nets" / "models"
PATIENTS = Recipe(epochs=60, batch=1000, rate=1e-2, decay=0.1, limit=2.0)
WEARABLE = Recipe(epochs=60, batch=512, rate=1e-2, decay=1e-3, balance=0.5, limit=2.0)
DIGITS = Recipe(epochs=70, batch=256, rate=3e-3, augment=1.0, limit=1.0)
RECIPES = {
    "postop-a": PATIENTS,
    "postop-b": PATIENTS,
    "wearable-c": WEARABLE,
    "wearable-d": WEARABLE,
    "mnist-e": Recipe(epochs=120, batch=256, rate=1e-2, augment=0.3, limit=2.0),
    "mnist-f": DIGITS,
    "clinic": Recipe(epochs=600, batch=1000, rate=2e-2, decay=1e-2, limit=2.0),
    "cryptonets": DIGITS,
}


def trained(name: str, data: Dataset, report: int = 0) -> Model:
    """Return the reference network `name` trained on the training part of `data`."""
    known = zoo.reference(name)
    weights, biases = train(known.network, data.features[data.train], data.labels[data.train], RECIPES[name], report)
    return Model(known.network, tuple(weights), tuple(biases), known.ranges, known.dataset)


def over_splits(name: str, data: Dataset, splits: int) -> None:
    """Print mean and range of the accuracies over other splits by class, each with a training of its own."""
    runs = []
    for seed in range(splits):
        parts = dict(zip(("train", "test"), split(data.labels, data.name, seed), strict=True))
        again = replace(data, **parts)
        runs.append(accuracies(trained(name, again), again))
    for kind in runs[0]:
        values = np.array([r[kind] for r in runs])
        print(f"{name}, {splits} splits, {kind}: {values.mean():.1%} ({values.min():.1%} to {values.max():.1%})")


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(zoo.NAMES))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=MODELS)
    parser.add_argument("--splits", type=int, default=0, help="measure over this many splits instead")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.networks:
        data = load(zoo.reference(name).dataset, options.data_dir)
        if options.splits:
            over_splits(name, data, options.splits)
            continue
        started = time.monotonic()
        model = trained(name, data, report=max(1, RECIPES[name].epochs // 10))
        save(model, options.out / f"{name}.npz")
        figures = ", ".join(f"{kind} {value:.2%}" for kind, value in accuracies(model, data).items())
        print(f"{name} in {time.monotonic() - started:.0f} s: {figures}", flush=True)


if __name__ == "__main__":
    main()
