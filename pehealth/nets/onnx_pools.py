"""The ONNX operators that pool: windows, whole channels, and means over any axes of a sample."""

from __future__ import annotations

import math

import numpy as np

from pehealth.nets.layers import MaxPool, MeanPool, Shape, Transpose
from pehealth.nets.onnx_graph import Node
from pehealth.nets.onnx_ops import Op, apply, scale, shaped
from pehealth.nets.onnx_rules import Context, Rule, Unsupported, padded, paddings

PADDED_MAX = "a ReLU right before or right after it; padding is by minus infinity"


def max_pool(ctx: Context, node: Node) -> Op:
    """The greatest of each window."""
    if len([name for name in node.outputs if name]) > 1:
        raise Unsupported("MaxPool without indices")
    source, window, steps, before, after = _window(ctx, node)
    wide = padded(source, before, after, node.name)
    out = apply(MaxPool(window, steps), [wide], node.name)
    out.padded, out.nonnegative = wide is not source, source.nonnegative
    return out


def average_pool(ctx: Context, node: Node) -> Op:
    """The mean of each window; where padding is not counted, each mean is scaled up by its share of real elements."""
    source, window, steps, before, after = _window(ctx, node)
    out = apply(MeanPool(window, steps), [padded(source, before, after, node.name)], node.name)
    counted = bool(node.attributes.get("count_include_pad", 0))
    if not any((*before, *after)):
        return out
    if counted and node.attributes.get("ceil_mode", 0):
        raise Unsupported("ceil_mode 0, or count_include_pad 0")
    if counted:
        return out
    ones = np.pad(np.ones(source.shape[1:]), list(zip(before, after, strict=True)))
    real = np.lib.stride_tricks.sliding_window_view(ones, window)[tuple(slice(None, None, s) for s in steps)]
    share = real.sum(axis=tuple(range(-len(window), 0)))
    return scale(out, math.prod(window) / share, np.zeros(()), node.name)


def _window(ctx: Context, node: Node) -> tuple[Op, Shape, Shape, list[int], list[int]]:
    """Return source, window, steps and padding of a pool; what ceil_mode adds is padding at the end."""
    source = ctx.take(node.inputs[0])
    window = tuple(node.ints("kernel_shape", []))
    if len(source.shape) != len(window) + 1 or len(window) > 2:
        raise Unsupported("pools over one or two axes behind the channels")
    if max(node.ints("dilations", [1])) > 1:
        raise Unsupported("no dilation")
    steps = tuple(node.ints("strides", [1] * len(window)))
    before, after = paddings(node, source.shape[1:], window, steps)
    outs = ctx.shape(node.outputs[0])[1:]
    for axis, (out, n) in enumerate(zip(outs, source.shape[1:], strict=True)):
        needed = (out - 1) * steps[axis] + window[axis]
        after[axis] = max(after[axis], needed - n - before[axis])
    return source, window, steps, before, after


def global_pool(ctx: Context, node: Node) -> Op:
    """The mean, or the greatest, of each channel."""
    source = ctx.take(node.inputs[0])
    return _reduced(source, list(range(1, len(source.shape))), node)


def reduce(ctx: Context, node: Node) -> Op:
    """ReduceMean and ReduceMax over axes of a sample."""
    given = ctx.optional(node, 1, "axes")
    axes = node.ints("axes", []) if given is None else [int(v) for v in given.tolist()]
    rank = len(ctx.shape(node.inputs[0]))
    inner = [ctx.axis(axis, node.inputs[0]) for axis in axes] or list(range(rank))
    ctx.shape(node.outputs[0])
    return _reduced(ctx.take(node.inputs[0]), inner, node)


def _reduced(source: Op, axes: list[int], node: Node) -> Op:
    """Return the mean, or the greatest, over `axes`: moved behind the others, and pooled as one."""
    shape, axes = source.shape, sorted(axes)
    order = [axis for axis in range(len(shape)) if axis not in axes] + axes
    longer = [axis for axis in order if shape[axis] > 1]
    if longer != sorted(longer):
        source = apply(Transpose(tuple(order)), [source], node.name)
    size = math.prod(shape[axis] for axis in axes)
    flat = shaped(source, (source.size // size, size), node.name)
    if size == 1:
        return flat
    out = apply(MaxPool((size,)) if "Max" in node.op else MeanPool((size,)), [flat], node.name)
    out.nonnegative = source.nonnegative
    return out


POOL_RULES: dict[str, Rule] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "ReduceMean": reduce,
    "ReduceMax": reduce,
}
