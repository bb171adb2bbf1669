"""The ONNX operators with weights: Conv, Gemm, MatMul, BatchNormalization, as layers whose geometry engines have.

Dilation and groups are written out as zeros in the kernel: exact, the servers do not learn them, and a product more for
each zero. Padding that is not the same on both sides becomes a layer of its own, which costs nothing.
"""

from __future__ import annotations

import numpy as np

from pehealth.data.ranges import Floats
from pehealth.nets.layers import Conv1d, Conv2d, Dense, Transpose
from pehealth.nets.onnx_graph import Node
from pehealth.nets.onnx_ops import Op, apply, linear, scale, shaped
from pehealth.nets.onnx_rules import Context, Rule, Unsupported, padded, paddings


def conv(ctx: Context, node: Node) -> Op:
    """Conv over one or two axes."""
    source = ctx.take(node.inputs[0])
    kernel = ctx.constant(node.inputs[1], "a kernel").astype(np.float64)
    axes = kernel.ndim - 2
    if axes not in (1, 2) or len(source.shape) != axes + 1:
        raise Unsupported("Conv over one or two axes behind the channels")
    bias = ctx.optional(node, 2, "a bias")
    b = np.zeros(len(kernel)) if bias is None else bias.astype(np.float64)
    kernel = _dilated(_ungrouped(kernel, int(node.attributes.get("group", 1))), node.ints("dilations", [1] * axes))
    steps, size = tuple(node.ints("strides", [1] * axes)), kernel.shape[2:]
    before, after = paddings(node, source.shape[1:], size, steps)
    sides = tuple(before) if before == after else (0,) * axes
    source = source if before == after else padded(source, before, after, node.name)
    weight = kernel.reshape(len(kernel), -1)
    layer: Conv1d | Conv2d
    if axes == 1:
        layer = Conv1d(len(kernel), size[0], steps[0], sides[0])
    else:
        layer = Conv2d(len(kernel), (size[0], size[1]), (steps[0], steps[1]), (sides[0], sides[1]))
    return linear(layer, source, weight, b, node.name)


def _ungrouped(kernel: Floats, groups: int) -> Floats:
    """Return the kernel (out, in, ...) over all input channels, zero where the groups differ."""
    if groups == 1:
        return kernel
    out, each = kernel.shape[:2]
    whole = np.zeros((out, each * groups, *kernel.shape[2:]))
    for o in range(out):
        first = o // (out // groups) * each
        whole[o, first : first + each] = kernel[o]
    return whole


def _dilated(kernel: Floats, dilations: list[int]) -> Floats:
    """Return the kernel with zeros between its elements."""
    if max(dilations) == 1:
        return kernel
    size = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilations, strict=True)]
    whole = np.zeros((*kernel.shape[:2], *size))
    whole[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = kernel
    return whole


def gemm(ctx: Context, node: Node) -> Op:
    """Alpha A B + beta C with constant B and C."""
    if node.attributes.get("transA", 0):
        raise Unsupported("Gemm with transA 0")
    b = ctx.constant(node.inputs[1], "weights").astype(np.float64)
    weight = (b if node.attributes.get("transB", 0) else b.T) * float(node.attributes.get("alpha", 1.0))
    c = ctx.optional(node, 2, "a bias")
    bias = np.zeros(()) if c is None else c.astype(np.float64) * float(node.attributes.get("beta", 1.0))
    return _dense(ctx.take(node.inputs[0]), weight, np.broadcast_to(bias.reshape(-1), (len(weight),)), node)


def _dense(source: Op, weight: Floats, bias: Floats, node: Node) -> Op:
    return linear(Dense(len(weight)), source, np.ascontiguousarray(weight), np.array(bias, np.float64), node.name)


def matmul(ctx: Context, node: Node) -> Op:
    """A value times constant weights, over its last axis: dense, or at each position a convolution of length one."""
    if ctx.is_constant(node.inputs[0]):
        raise Unsupported("the value first, then constant weights")
    weight = ctx.constant(node.inputs[1], "weights").astype(np.float64).T
    if weight.ndim != 2:
        raise Unsupported("weights of two axes")
    source = ctx.take(node.inputs[0])
    none = np.zeros(len(weight))
    if source.size == source.shape[-1]:
        return _dense(source, weight, none, node)
    rows = shaped(source, (source.size // source.shape[-1], source.shape[-1]), node.name)
    turned = apply(Transpose((1, 0)), [rows], node.name)
    out = linear(Conv1d(len(weight), 1), turned, np.ascontiguousarray(weight), none, node.name)
    return apply(Transpose((1, 0)), [out], node.name)


def batch_normalization(ctx: Context, node: Node) -> Op:
    """A factor and an addend for each channel, at inference."""
    if node.attributes.get("training_mode", 0) or len([name for name in node.outputs if name]) > 1:
        raise Unsupported("BatchNormalization at inference: export the model in eval mode")
    values = [ctx.constant(name, "statistics").astype(np.float64) for name in node.inputs[1:5]]
    gamma, beta, mean, variance = values
    factor = gamma / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    source = ctx.take(node.inputs[0])
    shape = (len(factor),) + (1,) * (len(source.shape) - 1)
    return scale(source, factor.reshape(shape), (beta - mean * factor).reshape(shape), node.name)


LINEAR_RULES: dict[str, Rule] = {
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_normalization,
}
