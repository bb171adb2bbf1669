"""How each supported ONNX operator is expressed by our layers. What cannot be is refused, with what would be possible.

A rule is a plain function of the context and the node; it raises `Unsupported` with the nearest supported form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pehealth.nets.layers import Pad, Relu, Shape, Transpose
from pehealth.nets.onnx_graph import Graph, Node
from pehealth.nets.onnx_ops import Op, apply, scale, shaped, total

MOST_DIVISOR = 1000
SLOPE_ERROR = 1e-7


class Unsupported(Exception):
    """This node cannot be expressed; the text says what could be."""


@dataclass
class Context:
    """What rules look at.

    Attributes:
        graph: the file.
        values: the operations behind the values made so far.
    """

    graph: Graph
    values: dict[str, Op] = field(default_factory=dict)

    def is_constant(self, name: str) -> bool:
        """True if a value is known."""
        return name in self.graph.constants

    def constant(self, name: str, what: str) -> NDArray[Any]:
        """Return a value that must be known."""
        if name not in self.graph.constants:
            raise Unsupported(f"{what} that is a constant")
        return self.graph.constants[name]

    def optional(self, node: Node, place: int, what: str) -> NDArray[Any] | None:
        """Return a constant input that may be left out."""
        if place >= len(node.inputs) or not node.inputs[place]:
            return None
        return self.constant(node.inputs[place], what)

    def shape(self, name: str) -> Shape:
        """Return the shape of one sample of a value."""
        full = self.graph.shapes.get(name)
        if full is None:
            raise Unsupported("a shape that does not depend on values")
        if not full or full[0] != 1:
            raise Unsupported("the batch axis first, and left alone")
        return full[1:] or (1,)

    def take(self, name: str) -> Op:
        """Return the operation behind a value, in the value's shape."""
        return shaped(self.values[name], self.shape(name), "")

    def axis(self, axis: int, name: str) -> int:
        """Return an ONNX axis as an axis of one sample."""
        rank = len(self.shape(name)) + 1
        axis = axis + rank if axis < 0 else axis
        if not 1 <= axis < rank:
            raise Unsupported("the batch axis left alone")
        return axis - 1


def alias(ctx: Context, node: Node) -> Op:
    """The same elements in the same order: Identity, Dropout, Flatten, Reshape, Squeeze, Unsqueeze."""
    ctx.shape(node.outputs[0])
    return ctx.take(node.inputs[0])


def dropout(ctx: Context, node: Node) -> Op:
    """Nothing at inference."""
    if len(node.inputs) > 2 and node.inputs[2] and bool(ctx.constant(node.inputs[2], "a training mode")):
        raise Unsupported("Dropout at inference: export the model in eval mode")
    return alias(ctx, node)


def cast(ctx: Context, node: Node) -> Op:
    """From one width of floats to another."""
    if node.attributes.get("to") not in (1, 10, 11, 16):
        raise Unsupported("casts between floats")
    return alias(ctx, node)


def transpose(ctx: Context, node: Node) -> Op:
    """Axes in another order; the batch axis stays."""
    shape = ctx.shape(node.inputs[0])
    order = node.ints("perm", list(range(len(shape), -1, -1)))
    if order[0] != 0:
        raise Unsupported("the batch axis left alone")
    inner = tuple(axis - 1 for axis in order[1:])
    kept = [axis for axis in inner if shape[axis] > 1]
    source = ctx.take(node.inputs[0])
    return source if kept == sorted(kept) else apply(Transpose(inner), [source], node.name)


def pad(ctx: Context, node: Node) -> Op:
    """Zeros around a sample."""
    if node.attributes.get("mode", "constant") != "constant":
        raise Unsupported("mode constant")
    value = ctx.optional(node, 2, "a value") if len(node.inputs) > 1 else node.attributes.get("value", 0.0)
    if value is not None and float(np.asarray(value).reshape(-1)[0]) != 0:
        raise Unsupported("padding with zeros")
    given = node.ints("pads", []) or [int(v) for v in ctx.constant(node.inputs[1], "a width").tolist()]
    rank = len(ctx.shape(node.inputs[0])) + 1
    axes = ctx.optional(node, 3, "axes")
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(range(rank) if axes is None else map(int, axes.tolist())):
        before[axis], after[axis] = given[place], given[len(given) // 2 + place]
    if before[0] or after[0] or min(before + after) < 0:
        raise Unsupported("zeros added to axes other than the batch; nothing cut off")
    return padded(ctx.take(node.inputs[0]), before[1:], after[1:], node.name)


def padded(source: Op, before: list[int], after: list[int], name: str) -> Op:
    """Return the source with zeros around its last axes."""
    if not any((*before, *after)):
        return source
    out = apply(Pad(tuple(before), tuple(after)), [source], name)
    out.nonnegative = source.nonnegative
    return out


def concat(ctx: Context, node: Node) -> Op:
    """Each part padded to the whole's size, and summed: exact, and servers do it alone."""
    axis = ctx.axis(int(node.attributes["axis"]), node.outputs[0])
    if any(ctx.is_constant(name) for name in node.inputs):
        raise Unsupported("computed parts; no constants")
    parts = [ctx.take(name) for name in node.inputs]
    length, at, wide = sum(part.shape[axis] for part in parts), 0, []
    for part in parts:
        before = [at if i == axis else 0 for i in range(len(part.shape))]
        at += part.shape[axis]
        after = [length - at if i == axis else 0 for i in range(len(part.shape))]
        wide.append(padded(part, before, after, node.name))
    out = total(wide, (1,) * len(wide), node.name)
    out.nonnegative = all(part.nonnegative for part in parts)
    return out


def relu(ctx: Context, node: Node) -> Op:
    """max(0, x)."""
    return relu_of(ctx.take(node.inputs[0]), node.name)


def relu_of(source: Op, name: str) -> Op:
    """Return max(0, x)."""
    out = apply(Relu(), [source], name)
    out.nonnegative = True
    return out


def leaky(ctx: Context, node: Node) -> Op:
    """(p x + (q - p) max(0, x)) / q with the slope p / q."""
    slope = float(node.attributes.get("alpha", 0.01))
    return leaky_of(ctx.take(node.inputs[0]), slope, node.name)


def prelu(ctx: Context, node: Node) -> Op:
    """LeakyRelu, if all channels have one slope."""
    slopes = np.unique(ctx.constant(node.inputs[1], "a slope"))
    if len(slopes) != 1:
        raise Unsupported("one slope for all channels (LeakyRelu)")
    return leaky_of(ctx.take(node.inputs[0]), float(slopes[0]), node.name)


def leaky_of(source: Op, slope: float, name: str) -> Op:
    """Return x where it is positive, else slope * x."""
    ratio = Fraction(slope).limit_denominator(MOST_DIVISOR)
    p, q = ratio.numerator, ratio.denominator
    if abs(p / q - slope) > SLOPE_ERROR:
        raise Unsupported(f"a slope p / q with q up to {MOST_DIVISOR}, such as 1/100")
    if p in (0, q):
        return relu_of(source, name) if p == 0 else source
    return total([source, relu_of(source, name)], (p, q - p), name, q)


def clip(ctx: Context, node: Node) -> Op:
    """Low + max(0, x - low) - max(0, x - high); ReLU6 is 0 to 6."""
    low, high = node.attributes.get("min"), node.attributes.get("max")
    for place in (1, 2):
        bound = ctx.optional(node, place, "bounds")
        if bound is not None:
            low, high = (float(bound), high) if place == 1 else (low, float(bound))
    return clip_of(ctx.take(node.inputs[0]), low, high, node.name)


def hard_sigmoid(ctx: Context, node: Node) -> Op:
    """Clip of alpha x + beta to 0..1."""
    source = ctx.take(node.inputs[0])
    alpha, beta = (np.array(float(node.attributes.get(n, d))) for n, d in (("alpha", 0.2), ("beta", 0.5)))
    return clip_of(scale(source, alpha, beta, node.name), 0.0, 1.0, node.name)


def clip_of(source: Op, low: float | None, high: float | None, name: str) -> Op:
    """Return x within low..high; a bound beyond the float32 range is none."""
    above = relu_of(total([source], (1,), name, constant=-high) if high else source, name) if _is(high) else None
    if not _is(low):
        return source if above is None else total([source, above], (1, -1), name)
    over = relu_of(total([source], (1,), name, constant=-low) if low else source, name)
    if above is None:
        out = total([over], (1,), name, constant=low) if low else over
    else:
        out = total([over, above], (1, -1), name, constant=low)
    out.nonnegative = low >= 0
    return out


def _is(bound: float | None) -> TypeGuard[float]:
    return bound is not None and abs(bound) < 1e38


def absolute(ctx: Context, node: Node) -> Op:
    """2 max(0, x) - x."""
    source = ctx.take(node.inputs[0])
    out = total([relu_of(source, node.name), source], (2, -1), node.name)
    out.nonnegative = True
    return out


def paddings(node: Node, lengths: Shape, kernel: Shape, steps: Shape) -> tuple[list[int], list[int]]:
    """Return the zeros before and after each axis that a convolution or a pool asks for."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        whole = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(lengths, kernel, steps, strict=True)]
        small = [w // 2 for w in whole]
        large = [w - s for w, s in zip(whole, small, strict=True)]
        return (small, large) if auto == "SAME_UPPER" else (large, small)
    pads = node.ints("pads", [0] * (2 * len(lengths))) if auto != "VALID" else [0] * (2 * len(lengths))
    if min(pads, default=0) < 0:
        raise Unsupported("no negative padding")
    return pads[: len(lengths)], pads[len(lengths) :]


def arithmetic(ctx: Context, node: Node) -> Op:
    """Add, Sub, Mul, Div: with a constant, or sums and differences of two values of one shape."""
    first, second = node.inputs
    if ctx.is_constant(first) or ctx.is_constant(second):
        return _with_constant(ctx, node)
    if node.op not in ("Add", "Sub"):
        raise Unsupported("one of the two a constant; values are not multiplied with one another")
    if ctx.shape(first) != ctx.shape(second):
        raise Unsupported("two values of one shape")
    a, b = ctx.take(first), ctx.take(second)
    out = total([a, b], (1, 1 if node.op == "Add" else -1), node.name)
    out.nonnegative = node.op == "Add" and a.nonnegative and b.nonnegative
    return out


def _with_constant(ctx: Context, node: Node) -> Op:
    value, other = node.inputs if ctx.is_constant(node.inputs[1]) else reversed(node.inputs)
    shape = ctx.shape(value)
    if ctx.shape(node.outputs[0]) != shape:
        raise Unsupported("a constant that is no larger than the value")
    c = np.asarray(ctx.graph.constants[other], np.float64)
    c = c.reshape(c.shape[1:]) if c.ndim == len(shape) + 1 else c
    swapped = ctx.is_constant(node.inputs[0])
    one, nought = np.ones(()), np.zeros(())
    if node.op == "Div" and (swapped or not c.all()):
        raise Unsupported("a constant divisor other than 0")
    if node.op == "Add":
        return scale(ctx.take(value), one, c, node.name)
    if node.op == "Sub":
        return scale(ctx.take(value), -one if swapped else one, c if swapped else -c, node.name)
    return scale(ctx.take(value), c if node.op == "Mul" else 1 / c, nought, node.name)


def negative(ctx: Context, node: Node) -> Op:
    """-x."""
    return scale(ctx.take(node.inputs[0]), -np.ones(()), np.zeros(()), node.name)


def add_all(ctx: Context, node: Node) -> Op:
    """Sum: of values of one shape."""
    if any(ctx.is_constant(name) for name in node.inputs) or len({ctx.shape(name) for name in node.inputs}) > 1:
        raise Unsupported("computed values of one shape")
    parts = [ctx.take(name) for name in node.inputs]
    return parts[0] if len(parts) == 1 else total(parts, (1,) * len(parts), node.name)


Rule = Callable[[Context, Node], Op]
RULES: dict[str, Rule] = {
    "Identity": alias, "Flatten": alias, "Reshape": alias, "Squeeze": alias, "Unsqueeze": alias,
    "Dropout": dropout, "Cast": cast, "Transpose": transpose, "Pad": pad, "Concat": concat,
    "Relu": relu, "LeakyRelu": leaky, "PRelu": prelu, "Clip": clip, "HardSigmoid": hard_sigmoid, "Abs": absolute,
    "Add": arithmetic, "Sub": arithmetic, "Mul": arithmetic, "Div": arithmetic, "Neg": negative, "Sum": add_all,
}  # fmt: skip
