"""What a network computes in the clear: in floats, and in the integers of the protocols ("ideal").

`ideal` takes the floor at every rescale. Engine `paper` must reproduce it exactly; a masked engine's rescale is
floor or ceiling, so it stays within the plan's bound. Both return every layer's output, so that a comparison can
name the first layer that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.linear import Ints, LinearMap, pool_windows, take_or_zero
from pehealth.data.ranges import Floats
from pehealth.errors import ConfigError
from pehealth.nets.describe import LINEAR, SHAPING, Add, MaxPool, MeanPool, Network, Placed, Relu, Rescale
from pehealth.nets.scales import ScaleStep
from pehealth.nets.weights import Model, QuantizedModel

_CHUNK = 512  # samples at a time: bounds the memory of a convolution's columns
_FLOAT_EXACT = 2**53
_INT_EXACT = 2**63


@dataclass(frozen=True, eq=False)
class FloatRun:
    """Every layer's output in float64, (batch, outputs) each; `logits` is the last."""

    layers: tuple[Floats, ...]

    @property
    def logits(self) -> Floats:
        """(batch, classes)."""
        return self.layers[-1]


@dataclass(frozen=True, eq=False)
class IntegerRun:
    """Every layer's output in integers, (batch, outputs) each, and the scale of each.

    Attributes:
        layers: int64, or Python integers where a value may exceed 63 bits.
        scales: a value v of layer i stands for v / scales[i].
    """

    layers: tuple[Ints, ...]
    scales: tuple[int, ...]

    @property
    def logits(self) -> Ints:
        """(batch, classes), at the last scale."""
        return self.layers[-1]


def float_reference(model: Model, features: Floats) -> FloatRun:
    """Return the run of `model` in float64 on normalised readings (batch, ...)."""
    linear = iter(zip(model.weights, model.biases, strict=True))

    def layer(placed: Placed, *inputs: Floats) -> Floats:
        x, kind = inputs[0], placed.layer
        if isinstance(kind, LINEAR):
            w, b = next(linear)
            return _chunked(lambda part: placed.linear.add_bias(placed.linear.apply(w, part), b), x)
        if isinstance(kind, MeanPool):
            return np.asarray(windows(x, placed).mean(axis=-1), np.float64)
        if isinstance(kind, MaxPool):
            return np.asarray(windows(x, placed).max(axis=-1), np.float64)
        if isinstance(kind, Add):
            total = np.asarray(sum(f * part for f, part in zip(kind.factors, inputs, strict=True)), np.float64)
            return total / kind.divisor + kind.constant
        if isinstance(kind, Relu):
            return np.maximum(x, 0.0)
        return moved(x, placed)

    outputs: list[Floats] = [_flat(model.network, np.asarray(features, np.float64))]
    for placed in model.network.placed:
        outputs.append(layer(placed, *(outputs[source] for source in placed.sources)))
    return FloatRun(tuple(outputs[1:]))


def ideal(model: QuantizedModel, x: Ints) -> IntegerRun:
    """Return the run of `model` in exact integers on encoded readings (batch, ...).

    Nothing can wrap (see `apply_exact`).
    """
    linear = iter(zip(model.weights, model.biases, strict=True))
    outputs: list[Ints] = [_flat(model.network, x)]
    for step in model.steps:
        inputs = [outputs[source] for source in step.layer.sources]
        if isinstance(step.layer.layer, LINEAR):
            w, b = next(linear)
            out = add_bias_exact(step.layer.linear, apply_exact(step.layer.linear, w, inputs[0]), b)
        else:
            out = between(step, inputs)
        outputs.append(out)
    return IntegerRun(tuple(outputs[1:]), tuple(step.after for step in model.steps))


def between(step: ScaleStep, inputs: Sequence[Ints]) -> Ints:
    """Return what a layer without weights makes of its inputs, exactly; a rescale takes the floor."""
    placed, layer, x = step.layer, step.layer.layer, inputs[0]
    if isinstance(layer, MeanPool):
        return sum_exact(windows(x, placed))
    if isinstance(layer, MaxPool):
        return np.asarray(windows(x, placed).max(axis=-1))
    if isinstance(layer, Add):
        return combine_exact(step, inputs)
    if isinstance(layer, Relu):
        x = np.maximum(x, 0)
    elif not isinstance(layer, Rescale):
        return moved(x, placed)
    return np.asarray(x // step.divisor if step.divisor is not None else x)


def predictions(logits: NDArray[np.float64] | Ints) -> NDArray[np.int64]:
    """Return the class of each row, (batch,): the greatest logit, the lowest index among equals."""
    return np.asarray(np.argmax(logits, axis=1), np.int64)


def first_difference(network: Network, ours: IntegerRun, theirs: IntegerRun) -> str | None:
    """Return the name of the first layer whose outputs differ, or None if the runs are equal in every value."""
    for placed, a, b in zip(network.placed, ours.layers, theirs.layers, strict=True):
        if a.shape != b.shape or not (a == b).all():
            return placed.name
    return None


def apply_exact(geometry: LinearMap, w: Ints, x: Ints) -> Ints:
    """Return W * x (batch, outputs) without a bias, never wrapped: int64, or Python integers beyond 63 bits.

    Computed in float64 (BLAS) if no partial sum can reach 2^53, in int64 below 2^63, else in Python integers.
    """
    largest = _largest(x)
    reach = int(np.abs(w.astype(object)).sum(axis=1).max()) * largest
    if max(reach, largest) < _FLOAT_EXACT:
        factor = w.astype(np.float64)
        return _chunked(lambda part: geometry.apply(factor, part.astype(np.float64)).astype(np.int64), x)
    if max(reach, largest) < _INT_EXACT:
        return _chunked(lambda part: geometry.apply(w, part), x.astype(np.int64))
    return _chunked(lambda part: geometry.apply(w.astype(object), part), x.astype(object))


def add_bias_exact(geometry: LinearMap, z: Ints, b: Ints) -> Ints:
    """Return z plus one bias a map, never wrapped."""
    if _largest(z) + _largest(b) >= _INT_EXACT:
        z = z.astype(object)
    return geometry.add_bias(z, b)


def sum_exact(x: Ints) -> Ints:
    """Return the sums over the last axis, never wrapped."""
    if _largest(x) * x.shape[-1] >= _INT_EXACT:
        x = x.astype(object)
    return np.asarray(x.sum(axis=-1))


def combine_exact(step: ScaleStep, inputs: Sequence[Ints]) -> Ints:
    """Return a sum layer's output, never wrapped."""
    reach = abs(step.offset) + sum(abs(w) * _largest(x) for w, x in zip(step.weights, inputs, strict=True))
    if reach >= _INT_EXACT or max(map(abs, step.weights)) >= _INT_EXACT:
        inputs = [x.astype(object) for x in inputs]
    return np.asarray(sum(w * x for w, x in zip(step.weights, inputs, strict=True)) + step.offset)


def moved(x: Ints, placed: Placed) -> Ints:
    """Return the output of a layer that only moves elements; of a rescale, its input."""
    if isinstance(placed.layer, SHAPING):
        return take_or_zero(x, placed.layer.gather(placed.in_shape))
    return x


def windows(x: Ints, placed: Placed) -> Ints:
    """Return (batch, outputs, window size) of x (batch, inputs): what each output of a pooling layer sees."""
    if not isinstance(placed.layer, MaxPool | MeanPool):
        raise TypeError(f"{placed.name} does not pool")
    return x[:, pool_windows(placed.in_shape, placed.layer.window, placed.layer.steps)]


def _largest(x: Ints) -> int:
    return max(int(x.max()), -int(x.min())) if x.size else 0


def _chunked(compute: Callable[[Ints], Ints], x: Ints) -> Ints:
    if len(x) <= _CHUNK:
        return compute(x)
    return np.concatenate([compute(x[at : at + _CHUNK]) for at in range(0, len(x), _CHUNK)])


def _flat(network: Network, x: Ints) -> Ints:
    flat = x.reshape(len(x), -1)
    if flat.shape[1] != network.inputs:
        raise ConfigError(f"{flat.shape[1]} readings a sample; {network.name} takes {network.inputs}")
    return flat
