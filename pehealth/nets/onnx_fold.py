"""Factors and addends (batch normalisation, biases, ranges of readings) folded into the linear layers around them.

A factor goes backward into the linear layer that made the value, or forward into those that take it, through whatever
it commutes with. Where neither is exact (a padded convolution takes no addend) it becomes a layer of its own: a public
sum if it is the same for all elements, else a convolution of length one.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from pehealth.crypto.linear import take_or_zero
from pehealth.data.ranges import Floats
from pehealth.errors import UnsupportedLayer
from pehealth.nets.layers import (
    Add,
    Conv1d,
    Conv2d,
    Dense,
    MaxPool,
    MeanPool,
    Pad,
    Relu,
    Reshape,
    Transpose,
)
from pehealth.nets.onnx_ops import Op, Scale, in_order, linear, replace_source, users

Apply = Callable[[], None]
MOST_DENSE = 2048
MOST_DIVISOR = 1000
EXACT = 1e-12


def fold(output: Op) -> Op:
    """Return the output with no factors left in the graph."""
    while True:
        ops = in_order(output)
        factor = next((op for op in ops if isinstance(op.layer, Scale)), None)
        if factor is None:
            return output
        takers = users(ops)
        if _backward(factor, takers) or _forward(factor, takers):
            replace_source(takers[id(factor)], factor, factor.source)
            output = factor.source if output is factor else output
        else:
            _alone(factor)


def _parts(op: Op) -> tuple[Floats, Floats]:
    if not isinstance(op.layer, Scale):
        raise TypeError(f"{op.node} is no factor")
    return op.layer.a, op.layer.b


def channelwise(values: Floats, channels: int) -> Floats | None:
    """Return one value a channel, if all elements of a channel have the same; else None."""
    rows = values.reshape(channels, -1)
    return np.ascontiguousarray(rows[:, 0]) if (rows == rows[:, :1]).all() else None


def _backward(factor: Op, takers: dict[int, list[Op]]) -> bool:
    """Fold a factor into the linear layer, or the factor, that made its value; say whether that was possible."""
    (a, b), op = _parts(factor), factor.source
    while len(takers[id(op)]) == 1:
        if op.is_linear:
            return _into_outputs(op, a, b)
        if isinstance(op.layer, Scale):
            op.layer = Scale(op.layer.a * a, op.layer.b * a + b)
            return True
        before = _before(op, a, b)
        if before is None:
            return False
        (a, b), op = before, op.source
    return False


def _before(op: Op, a: Floats, b: Floats) -> tuple[Floats, Floats] | None:
    """Return the factor before an operation that is the same as (a, b) after it; None if there is none."""
    if isinstance(op.layer, Reshape):
        return a, b
    if isinstance(op.layer, Transpose):
        index = op.layer.gather(op.source.shape)
        return _scatter(a, index), _scatter(b, index)
    if isinstance(op.layer, MeanPool) or (isinstance(op.layer, MaxPool) and (a > 0).all()):
        lead = op.size // _pooled(op)
        one, other = channelwise(a, lead), channelwise(b, lead)
        if one is not None and other is not None:
            each = op.source.size // lead
            return np.repeat(one, each), np.repeat(other, each)
    return None


def _pooled(op: Op) -> int:
    """Return the elements of the pooled axes of a pool's output."""
    axes = len(op.layer.window) if isinstance(op.layer, MaxPool | MeanPool) else 0
    return int(np.prod(op.shape[len(op.shape) - axes :]))


def _scatter(values: Floats, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Floats:
    out = np.empty_like(values)
    out[index] = values
    return out


def _into_outputs(op: Op, a: Floats, b: Floats) -> bool:
    channels = op.geometry.out_channels
    one, other = channelwise(a, channels), channelwise(b, channels)
    if one is None or other is None:
        return False
    op.weight, op.bias = op.weight * one[:, None], op.bias * one + other
    return True


def _forward(factor: Op, takers: dict[int, list[Op]]) -> bool:
    """Fold a factor into all linear layers that take its value; say whether that was possible."""
    a, b = _parts(factor)
    changes: list[Apply] = []
    if not _push(factor, a, b, takers, changes):
        return False
    for change in changes:
        change()
    return True


def _push(op: Op, a: Floats, b: Floats, takers: dict[int, list[Op]], changes: list[Apply]) -> bool:
    """Gather the changes that let everything behind `op` do without the factor."""
    behind = takers[id(op)]
    if not behind:
        return False
    for user in behind:
        if user.is_linear or isinstance(user.layer, Scale):
            change = _into_inputs(user, a, b) if user.is_linear else _into_factor(user, a, b)
            if change is None:
                return False
            changes.append(change)
        else:
            after = _after(user, a, b)
            if after is None or not _push(user, *after, takers, changes):
                return False
    return True


def _after(op: Op, a: Floats, b: Floats) -> tuple[Floats, Floats] | None:
    """Return the factor after an operation that is the same as (a, b) before it; None if there is none."""
    layer, shape = op.layer, op.source.shape
    if isinstance(layer, Reshape):
        return a, b
    if isinstance(layer, Transpose) or (isinstance(layer, Pad) and not b.any()):
        index = layer.gather(shape)
        return take_or_zero(a[None], index)[0], take_or_zero(b[None], index)[0]
    if isinstance(layer, Relu) and (a > 0).all() and not b.any():
        return a, b
    if isinstance(layer, MeanPool) or (isinstance(layer, MaxPool) and (a > 0).all() and not op.padded):
        lead = op.size // _pooled(op)
        one, other = channelwise(a, lead), channelwise(b, lead)
        if one is not None and other is not None:
            return np.repeat(one, _pooled(op)), np.repeat(other, _pooled(op))
    return None


def _into_inputs(op: Op, a: Floats, b: Floats) -> Apply | None:
    """Return the change of a linear layer that takes x in place of a x + b; None if none is exact."""
    geometry = op.geometry
    if geometry.is_dense:
        one, other = a, b
    else:
        channels = geometry.in_shape[0]
        per, each = channelwise(a, channels), channelwise(b, channels)
        if per is None or each is None or (any(geometry.padding) and each.any()):
            return None
        size = geometry.kernel[0] * geometry.kernel[1]
        one, other = np.repeat(per, size), np.repeat(each, size)

    def change() -> None:
        op.bias = op.bias + op.weight @ other
        op.weight = op.weight * one

    return change


def _into_factor(op: Op, a: Floats, b: Floats) -> Apply:
    """Return the change of a factor that takes x in place of a x + b."""
    one, other = _parts(op)

    def change() -> None:
        op.layer = Scale(one * a, one * b + other)

    return change


def _alone(factor: Op) -> None:
    """Make a factor a layer of its own."""
    (a, b), shape = _parts(factor), factor.shape
    ratio = Fraction(float(a[0])).limit_denominator(MOST_DIVISOR)
    exact = abs(float(ratio) - a[0]) <= EXACT * abs(a[0])
    if (a == a[0]).all() and (b == b[0]).all() and exact and a[0] != 0:
        factor.layer = Add((ratio.numerator,), ratio.denominator, float(b[0]))
        return
    channels = shape[0] if len(shape) in (2, 3) else factor.size
    one, other = channelwise(a, channels), channelwise(b, channels)
    if len(shape) in (2, 3) and one is not None and other is not None:
        layer = Conv1d(channels, 1) if len(shape) == 2 else Conv2d(channels, (1, 1))
        made = linear(layer, factor.source, np.diag(one), other, factor.node)
    else:
        if factor.size > MOST_DENSE:
            raise UnsupportedLayer(
                f"node {factor.node}: a factor for each of {factor.size} elements is no part of a linear layer; "
                "nearest: one for each channel, or right before or after Conv, Gemm or MatMul"
            )
        made = linear(Dense(factor.size), factor.source, np.diag(a), b, factor.node)
    factor.layer, factor.weight, factor.bias = made.layer, made.weight, made.bias
    if made.shape != shape:
        factor.shape = made.shape
