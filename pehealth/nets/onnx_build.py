"""From operations to a network: linear layers composed, rescales put in, layers in order with their sources."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from pehealth.crypto.linear import take_or_zero
from pehealth.data.ranges import Floats
from pehealth.errors import UnsupportedLayer
from pehealth.nets.layers import (
    LINEAR,
    SHAPING,
    Add,
    Conv1d,
    Conv2d,
    Dense,
    Layer,
    MeanPool,
    Pad,
    Relu,
    Rescale,
    Reshape,
    Shape,
    Transpose,
)
from pehealth.nets.onnx_ops import Input, Op, Scale, Unknown, apply, in_order, linear, replace_source, total, users

LARGEST_MATRIX = 2**22
SMALL = 4096
"""Weights that a composition may add without a thought."""


@dataclass(frozen=True, eq=False)
class Built:
    """A network's layers, in order, with sources and weights, and the ONNX node behind each."""

    input_shape: Shape
    layers: tuple[Layer, ...]
    sources: tuple[tuple[int, ...], ...]
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    nodes: tuple[str, ...]
    outputs: int


def build(entry: Op, output: Op) -> Built:
    """Return the layers of a graph without factors.

    Raises:
        UnsupportedLayer: nothing of it has weights.
    """
    _pools_first(output)
    output = _compose(output)
    _tidy(output)
    output = _without_trailing_moves(output)
    _rescale(output)
    if not isinstance(output.layer, (*LINEAR, Add, MeanPool)):
        output = total([output], (1,), output.node)
    ops = [op for op in in_order(output) if op is not entry]
    if not any(op.is_linear for op in ops):
        raise UnsupportedLayer("the network has no Conv, Gemm or MatMul: there is nothing to keep secret")
    places = {id(op): index for index, op in enumerate(ops, 1)} | {id(entry): 0}
    kept = [op for op in ops if op.is_linear]
    return Built(
        entry.shape,
        tuple(_layer(op) for op in ops),
        tuple(tuple(places[id(source)] for source in op.inputs) for op in ops),
        tuple(op.weight for op in kept),
        tuple(op.bias for op in kept),
        tuple(op.node for op in ops),
        output.size,
    )


def _layer(op: Op) -> Layer:
    if isinstance(op.layer, Input | Unknown | Scale):
        raise TypeError(f"{op.node} is no layer")
    return op.layer


def _pools_first(output: Op) -> None:
    """Put padded max pools before the ReLU that they follow: the same values, and fewer of them go through the ReLU."""
    ops = in_order(output)
    takers = users(ops)
    for pool in ops:
        if not (pool.padded and isinstance(pool.source.layer, Pad) and isinstance(pool.source.source.layer, Relu)):
            continue
        pad, relu = pool.source, pool.source.source
        if pool is output or len(takers[id(relu)]) > 1 or len(takers[id(pad)]) > 1:
            continue
        replace_source(takers[id(pool)], pool, relu)
        pad.inputs, relu.inputs, relu.shape = [relu.source], [pool], pool.shape


def _compose(output: Op) -> Op:
    """Make one of two linear layers with nothing but moves between, where that is exact and no larger."""
    while True:
        ops = in_order(output)
        takers = users(ops)
        found = next((pair for op in ops if (pair := _pair(op, takers)) is not None), None)
        if found is None:
            return output
        second, one = found
        replace_source(takers[id(second)], second, one)
        output = one if second is output else output


def _pair(second: Op, takers: dict[int, list[Op]]) -> tuple[Op, Op] | None:
    """Return a linear layer and what takes its place and that of the linear layer before it; None if nothing can."""
    if not second.is_linear:
        return None
    moves: list[Op] = []
    first = second.source
    while isinstance(first.layer, SHAPING) and len(takers[id(first)]) == 1:
        moves.append(first)
        first = first.source
    if not first.is_linear or len(takers[id(first)]) > 1:
        return None
    a, b = first.geometry, second.geometry
    if b.is_dense and a.inputs * a.outputs <= LARGEST_MATRIX:
        size = second.weight.shape[0] * a.inputs
        if size > 2 * (first.weight.size + second.weight.size) + SMALL:
            return None
        matrix = a.apply(first.weight, np.eye(a.inputs))  # (inputs, outputs): row i is what input i alone gives
        added = a.add_bias(np.zeros((1, a.outputs)), first.bias)
        for move in reversed(moves):
            if isinstance(move.layer, SHAPING):
                index = move.layer.gather(move.source.shape)
                matrix, added = take_or_zero(matrix, index), take_or_zero(added, index)
        weight = second.weight @ matrix.T
        one = linear(Dense(len(weight)), first.source, weight, second.weight @ added[0] + second.bias, second.node)
        one.shape = second.shape
        return second, one
    if not moves and b.kernel == (1, 1) and b.stride == (1, 1) and b.padding == (0, 0):
        layer = first.layer
        if isinstance(layer, Conv1d | Conv2d):
            layer = dataclasses.replace(layer, channels=b.out_channels)
            weight, bias = second.weight @ first.weight, second.weight @ first.bias + second.bias
            return second, linear(layer, first.source, weight, bias, second.node)
    return None


def _without_trailing_moves(output: Op) -> Op:
    """Return the output without a last reshape, which changes nothing for the centre."""
    while isinstance(output.layer, Reshape):
        output = output.source
    return output


def _tidy(output: Op) -> None:
    """Take moves into the columns of the dense layers behind them, and drop pairs that undo each other."""
    for op in in_order(output):
        while isinstance(op.layer, Dense) and isinstance((move := op.source).layer, SHAPING):
            index = move.layer.gather(move.source.shape)
            columns = np.zeros((len(op.weight), move.source.size + 1))
            columns[:, index] = op.weight  # a padding zero's column is the last one, which is dropped
            op.weight, op.inputs = np.ascontiguousarray(columns[:, :-1]), [move.source]
        while (order := _order(op)) and (first := _order(op.source)):
            op.layer, op.inputs = Transpose(tuple(first[axis] for axis in order)), [op.source.source]
        for source in op.inputs:
            if (order := _order(source)) and list(order) == sorted(order):
                replace_source([op], source, source.source)


def _order(op: Op) -> tuple[int, ...]:
    """Return the order of a transpose; () for anything else."""
    return op.layer.order if isinstance(op.layer, Transpose) else ()


def _rescale(output: Op) -> None:
    """Put a rescale before every linear layer whose input holds products that no ReLU has brought back to scale."""
    ops = in_order(output)
    takers = users(ops)
    fresh: dict[int, bool] = {}
    for op in ops:
        if op.is_linear:
            fresh[id(op)] = True
        elif isinstance(op.layer, Input | Relu | Rescale):
            fresh[id(op)] = False
        else:
            fresh[id(op)] = any(fresh[id(source)] for source in op.inputs)
        wanting = [user for user in takers[id(op)] if user.is_linear]
        if fresh[id(op)] and wanting:
            between = apply(Rescale(), [op], op.node)
            replace_source(wanting, op, between)
