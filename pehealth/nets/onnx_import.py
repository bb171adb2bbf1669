"""From an ONNX file to a model: read, expressed by our layers, checked against onnxruntime, digits chosen.

Readings keep their own units: the range that they are in becomes the model's public range, and what maps it to [0, 1]
is folded into the first layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pehealth import __version__
from pehealth.data.ranges import Floats, Ranges
from pehealth.errors import ConfigError
from pehealth.nets.bounds import Bound, value_bounds
from pehealth.nets.describe import Network
from pehealth.nets.last import finished
from pehealth.nets.onnx_build import Built, build
from pehealth.nets.onnx_check import greatest_difference, onnxruntime_outputs
from pehealth.nets.onnx_fold import fold
from pehealth.nets.onnx_graph import read_graph
from pehealth.nets.onnx_lower import Lowered, lower
from pehealth.nets.onnx_ops import Op, in_order, replace_source, scale, users
from pehealth.nets.onnx_ranges import Samples, ranges_of, read_samples
from pehealth.nets.oracle import float_reference
from pehealth.nets.precision import SLACK, Precision, at_digits, choose
from pehealth.nets.scales import Arithmetic, scale_steps
from pehealth.nets.stand_in import random_features
from pehealth.nets.weights import Model

DEFAULT_TARGET = 0.01
RANDOM_SAMPLES = 64


@dataclass(frozen=True, eq=False)
class Wishes:
    """What an import is asked for.

    Attributes:
        low, high: range of all readings; None: from the samples, or 0 to 1 without samples.
        samples: file of readings (.csv, .npy) in their own unit, to measure on beside random ones.
        target: the greatest difference of an output from onnxruntime's.
        proven: the target must be met by proof, not by measurement.
        digits: take these, whatever the target.
        name: of the network; the file's name unless given.
        classes: names of the classes.
        dataset: the data set that `run` takes samples from.
    """

    low: float | None = None
    high: float | None = None
    samples: Path | None = None
    target: float = DEFAULT_TARGET
    proven: bool = False
    digits: int | None = None
    name: str = ""
    classes: tuple[str, ...] = ()
    dataset: str = ""


@dataclass(frozen=True, eq=False)
class Imported:
    """A model and what is known of it.

    Attributes:
        model: with the digits chosen.
        nodes: the ONNX node behind each layer.
        bounds: of each layer at these digits.
        precision: what the digits amount to.
        difference: greatest |import - onnxruntime| in floats, over random readings and over samples.
        samples: how many samples there were beside the random readings.
        seen: greatest |output| of each layer over all of them.
    """

    model: Model
    nodes: tuple[str, ...]
    bounds: tuple[Bound, ...]
    precision: Precision
    difference: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0
    seen: tuple[float, ...] = ()

    def layers(self) -> list[dict[str, Any]]:
        """Return each layer with its node, its inputs, its weights and its bound as a real number."""
        network = self.model.network
        sizes = {p.index: w.size for p, w in zip(network.linear_layers, self.model.weights, strict=True)}
        steps = scale_steps(network, self.precision.digits, Arithmetic.MASKED)
        return [
            {
                "name": p.name,
                "kind": p.kind,
                "node": node,
                "from": list(p.sources),
                "shape": list(p.out_shape),
                "weights": sizes.get(p.index, 0),
                "bound": bound.magnitude / step.after,
                "seen": seen,
            }
            for p, node, bound, step, seen in zip(
                network.placed, self.nodes, self.bounds, steps, self.seen, strict=True
            )
        ]

    def to_json(self, file: Path, out: Path | None) -> dict[str, Any]:
        """Return the document that `pehealth import --json` writes, schema import-1."""
        model = self.model
        return {
            "schema": 1,
            "version": __version__,
            "command": "import",
            "file": str(file),
            "out": None if out is None else str(out),
            "net": model.network.name,
            "input": list(model.network.input_shape),
            "ranges": {name: list(getattr(model.ranges, name)) for name in ("names", "low", "high")},
            "last": model.last,
            "classes": list(model.network.classes),
            "layers": self.layers(),
            "precision": asdict(self.precision),
            "difference": dict(self.difference),
            "samples": self.samples,
        }


def import_onnx(path: Path, wishes: Wishes | None = None) -> Imported:
    """Return the model in an ONNX file.

    Raises:
        UnsupportedLayer: nodes that cannot be expressed; all of them.
        ConfigError: the file cannot be read, the wishes do not fit it, or the import differs from onnxruntime.
        RangeError: samples outside of the range, or no digits meet the target.
    """
    wishes = wishes or Wishes()
    graph = read_graph(path)
    lowered = lower(graph)
    inputs = math.prod(graph.input_shape)
    samples = None if wishes.samples is None else read_samples(wishes.samples, inputs)
    ranges = ranges_of(wishes.low, wishes.high, samples, graph.input_shape)
    model = _model(path, wishes, lowered, ranges, built := _built(lowered, ranges))
    features, readings = _features(model, samples)
    theirs = onnxruntime_outputs(graph, readings)
    run = float_reference(model, features)
    ours = finished(model.last, run.logits)
    parts = {"random readings": slice(0, RANDOM_SAMPLES), "samples": slice(RANDOM_SAMPLES, None)}
    difference = {
        name: greatest_difference(ours[part], theirs[part], f"{path}, {name}")
        for name, part in parts.items()
        if len(ours[part])
    }
    if wishes.digits is None:
        precision = choose(model, features, theirs, wishes.target, proven=wishes.proven)
    else:
        precision = at_digits(model, features, theirs, wishes.target, wishes.digits)
    model = replace(model, digits=precision.digits, target=wishes.target)
    seen = tuple(float(np.abs(layer).max()) for layer in run.layers)
    bounds = value_bounds(model.quantise(precision.digits, Arithmetic.MASKED), slack=SLACK)
    return Imported(model, built.nodes, bounds, precision, difference, len(features) - RANDOM_SAMPLES, seen)


def _built(lowered: Lowered, ranges: Ranges) -> Built:
    """Return the layers that take readings mapped to [0, 1]."""
    low, high = np.array(ranges.low), np.array(ranges.high)
    if low.any() or (high != 1.0).any():
        entry = lowered.input
        takers = users(in_order(lowered.output))[id(entry)]
        ends = (low, high) if len(low) > 1 else (low[0], high[0])
        raw: Op = scale(entry, np.asarray(ends[1] - ends[0]), np.asarray(ends[0]), "range of readings")
        replace_source(takers, entry, raw)
    return build(lowered.input, fold(lowered.output))


def _model(path: Path, wishes: Wishes, lowered: Lowered, ranges: Ranges, built: Built) -> Model:
    classes = wishes.classes or tuple(map(str, range(built.outputs)))
    if len(classes) != built.outputs:
        raise ConfigError(f"{len(classes)} names of classes; the network has {built.outputs} outputs")
    network = Network(wishes.name or path.stem, built.input_shape, built.layers, classes, built.sources)
    return Model(network, built.weights, built.biases, ranges, wishes.dataset, lowered.last)


def _features(model: Model, samples: Samples | None) -> tuple[Floats, Floats]:
    """Return random samples and those given: in [0, 1], and in the readings' own units."""
    features = random_features(model, RANDOM_SAMPLES)
    if samples is not None:
        features = np.concatenate([features, model.ranges.normalise(samples.values)])
    return features, model.ranges.raw(features)
