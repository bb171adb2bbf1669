"""What one role alone is given at its start, as plain structures for our own launcher to hand over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.linear import Ints
from pehealth.data.ranges import Ranges
from pehealth.nets.describe import Network
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import QuantizedModel


def pack_model(model: QuantizedModel) -> dict[str, Any]:
    """Return the centre's secret: the integer weights."""
    return {
        "digits": model.digits,
        "arithmetic": str(model.arithmetic),
        "weights": [w.astype("<i8").tobytes() for w in model.weights],
        "biases": [[str(int(v)) for v in b] for b in model.biases],
        "ranges": model.ranges.to_json(),
        "last": model.last,
    }


def unpack_model(data: Mapping[str, Any], network: Network) -> QuantizedModel:
    """Return the model behind `pack_model`."""
    shapes = [p.linear.weight_shape for p in network.linear_layers]
    weights = tuple(
        np.frombuffer(raw, "<i8").astype(np.int64).reshape(shape)
        for raw, shape in zip(data["weights"], shapes, strict=True)
    )
    biases = tuple(_integers([int(text) for text in row]) for row in data["biases"])
    return QuantizedModel(
        network,
        data["digits"],
        Arithmetic(data["arithmetic"]),
        weights,
        biases,
        Ranges.from_json(data["ranges"]),
        data.get("last", "logits"),
    )


def _integers(values: list[int]) -> Ints:
    fits = all(abs(v) < 2**62 for v in values)
    return np.array(values, np.int64 if fits else object)


def pack_readings(readings: NDArray[np.int64]) -> dict[str, Any]:
    """Return a sensor's secret: its part of every sample, in integers (samples, readings)."""
    return {"readings": readings.astype("<i8").tobytes(), "shape": list(readings.shape)}


def unpack_readings(data: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the array behind `pack_readings`."""
    return np.frombuffer(data["readings"], "<i8").astype(np.int64).reshape(data["shape"])
