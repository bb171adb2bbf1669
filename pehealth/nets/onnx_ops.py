"""What an ONNX graph is turned into before it is a network: our layers with their weights, and factors to be folded.

An operation's output is flat, in the order of its shape; a reshape is therefore only a note of the shape. Nothing here
knows of ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pehealth.crypto.linear import LinearMap
from pehealth.data.ranges import Floats
from pehealth.nets.layers import LINEAR, Add, Dense, Layer, Reshape, Shape

MOST_PARTS = 8


@dataclass(frozen=True, eq=False)
class Input:
    """The network's input."""


@dataclass(frozen=True, eq=False)
class Unknown:
    """Something that is not supported, kept so that what follows can be looked at, too."""


@dataclass(frozen=True, eq=False)
class Scale:
    """a x + b, element by element: batch normalisation, a bias. To be folded into linear layers.

    Attributes:
        a, b: float64 (elements of a sample,).
    """

    a: Floats
    b: Floats


@dataclass(eq=False)
class Op:
    """One operation of the graph.

    Attributes:
        layer: what it is.
        inputs: the operations whose outputs it takes.
        shape: of its output.
        node: the ONNX node that it came from.
        weight, bias: of a linear layer, as `LinearMap` shapes them.
        nonnegative: its output is known not to be negative.
        padded: a max pool whose padding of zeros stands for minus infinity; then its input or output must be a ReLU's.
    """

    layer: Layer | Input | Unknown | Scale
    inputs: list[Op]
    shape: Shape
    node: str = ""
    weight: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    bias: Floats = field(default_factory=lambda: np.zeros(0))
    nonnegative: bool = False
    padded: bool = False

    @property
    def size(self) -> int:
        """Elements of a sample's output."""
        return math.prod(self.shape)

    @property
    def source(self) -> Op:
        """The operation whose output it takes, if it takes one."""
        return self.inputs[0]

    @property
    def is_linear(self) -> bool:
        """True for a layer with weights."""
        return isinstance(self.layer, LINEAR)

    @property
    def geometry(self) -> LinearMap:
        """The geometry of a linear layer."""
        if not isinstance(self.layer, LINEAR):
            raise TypeError(f"{self.node} is not linear")
        return self.layer.linear_map(self.source.shape)


def apply(layer: Layer, inputs: Sequence[Op], node: str) -> Op:
    """Return the operation that applies a layer without weights."""
    return Op(layer, list(inputs), layer.out_shape(inputs[0].shape), node)


def linear(layer: Dense | Layer, source: Op, weight: Floats, bias: Floats, node: str) -> Op:
    """Return the operation that applies a layer with weights."""
    return Op(layer, [source], layer.out_shape(source.shape), node, weight, bias)


def scale(source: Op, a: Floats, b: Floats, node: str) -> Op:
    """Return a x + b; `a` and `b` are broadcast over the source's shape."""
    full = [np.ascontiguousarray(np.broadcast_to(v, source.shape), np.float64).reshape(-1) for v in (a, b)]
    return Op(Scale(full[0], full[1]), [source], source.shape, node)


def shaped(source: Op, shape: Shape, node: str) -> Op:
    """Return the same elements under another shape."""
    while isinstance(source.layer, Reshape):
        source = source.source
    return source if source.shape == shape else apply(Reshape(shape), [source], node)


def total(parts: Sequence[Op], factors: tuple[int, ...], node: str, divisor: int = 1, constant: float = 0.0) -> Op:
    """Return (f_1 x_1 + ...) / divisor + constant; many parts are summed in groups, since a layer takes few."""
    if len(parts) > MOST_PARTS:
        groups = [slice(at, at + MOST_PARTS) for at in range(0, len(parts), MOST_PARTS)]
        parts, factors = [total(parts[group], factors[group], node) for group in groups], (1,) * len(groups)
        return total(parts, factors, node, divisor, constant)
    return apply(Add(factors, divisor, constant), parts, node)


def in_order(output: Op) -> list[Op]:
    """Return every operation that the output depends on, each after those whose outputs it takes."""
    out: list[Op] = []
    seen: set[int] = set()
    stack: list[tuple[Op, bool]] = [(output, False)]
    while stack:
        op, ready = stack.pop()
        if ready:
            out.append(op)
        elif id(op) not in seen:
            seen.add(id(op))
            stack.append((op, True))
            stack.extend((source, False) for source in reversed(op.inputs))
    return out


def users(ops: Sequence[Op]) -> dict[int, list[Op]]:
    """Return who takes each operation's output, by `id`; twice who takes it twice."""
    out: dict[int, list[Op]] = {id(op): [] for op in ops}
    for op in ops:
        for source in op.inputs:
            out[id(source)].append(op)
    return out


def replace_source(takers: Sequence[Op], old: Op, new: Op) -> None:
    """Let everyone who takes `old`'s output take `new`'s."""
    for op in takers:
        op.inputs = [new if source is old else source for source in op.inputs]
