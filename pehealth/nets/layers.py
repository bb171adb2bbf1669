"""The kinds of layers a network is described with: shape inference and geometry, no weights."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.linear import LinearMap

Shape = tuple[int, ...]
"""Of one sample: (features,), (channels, length) or (channels, height, width)."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; flattens its input in channel-major order."""

    kind: ClassVar[str] = "dense"
    units: int

    def out_shape(self, _shape: Shape) -> Shape:
        """(units,) whatever comes in."""
        return (self.units,)

    def linear_map(self, shape: Shape) -> LinearMap:
        """Return the geometry that engines see."""
        return LinearMap.dense(math.prod(shape), self.units)


@dataclass(frozen=True)
class Conv1d:
    """A convolution over (channels, length); a flat input counts as one channel."""

    kind: ClassVar[str] = "conv1d"
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0

    def linear_map(self, shape: Shape) -> LinearMap:
        """Return the geometry that engines see: height one."""
        c, length = shape if len(shape) == 2 else (1, *shape)
        return LinearMap((c, 1, length), self.channels, (1, self.kernel), (1, self.stride), (0, self.padding))

    def out_shape(self, shape: Shape) -> Shape:
        """(channels, length)."""
        c, _, length = self.linear_map(shape).out_shape
        return c, length


@dataclass(frozen=True)
class Conv2d:
    """A convolution over (channels, height, width)."""

    kind: ClassVar[str] = "conv2d"
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def linear_map(self, shape: Shape) -> LinearMap:
        """Return the geometry that engines see."""
        c, h, w = shape
        return LinearMap((c, h, w), self.channels, self.kernel, self.stride, self.padding)

    def out_shape(self, shape: Shape) -> Shape:
        """(channels, height, width)."""
        return self.linear_map(shape).out_shape


@dataclass(frozen=True)
class Relu:
    """max(0, x); in the masked engines it also brings the scale back to 10^d."""

    kind: ClassVar[str] = "relu"

    def out_shape(self, shape: Shape) -> Shape:
        """The input's shape."""
        return shape


@dataclass(frozen=True)
class _Pool:
    """Pooling over the last one or two axes; the window moves by `stride`, the remainder is dropped.

    A flat input (features,) is pooled along its features.
    """

    window: tuple[int, ...]
    stride: tuple[int, ...] | None = None

    @property
    def steps(self) -> tuple[int, ...]:
        """The stride; the window's own size unless said otherwise."""
        return self.stride if self.stride is not None else self.window

    @property
    def size(self) -> int:
        """Elements of a window."""
        return math.prod(self.window)

    def out_shape(self, shape: Shape) -> Shape:
        """The input's shape with the pooled axes shortened."""
        lead = len(shape) - len(self.window)
        pooled = ((n - w) // s + 1 for n, w, s in zip(shape[lead:], self.window, self.steps, strict=True))
        return (*shape[:lead], *pooled)


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The greatest value of each window."""

    kind: ClassVar[str] = "maxpool"


@dataclass(frozen=True)
class MeanPool(_Pool):
    """The mean of each window. Servers add up; the factor 1/size is carried in the scale, exactly."""

    kind: ClassVar[str] = "meanpool"


@dataclass(frozen=True)
class Rescale:
    """x itself; in the masked engines it brings the scale back to 10^d. It stands between two linear layers."""

    kind: ClassVar[str] = "rescale"

    def out_shape(self, shape: Shape) -> Shape:
        """The input's shape."""
        return shape


@dataclass(frozen=True)
class Add:
    """(f_1 x_1 + ... + f_n x_n) / divisor + constant: a residual sum, a shift, the parts of LeakyReLU and Clip.

    Servers do it alone: the factors are whole numbers, the divisor is carried in the scale, exactly, and inputs of
    unlike scales are multiplied up to a common one. All four figures are public, as layer types are.
    """

    kind: ClassVar[str] = "add"
    factors: tuple[int, ...] = (1, 1)
    divisor: int = 1
    constant: float = 0.0

    def __post_init__(self) -> None:
        *factors, divisor = map(operator.index, (*self.factors, self.divisor))  # TypeError unless whole
        if not factors or 0 in factors or divisor < 1 or not math.isfinite(self.constant):
            raise ValueError(f"{self}: factors are whole numbers but 0, the divisor is positive")

    def out_shape(self, shape: Shape) -> Shape:
        """The inputs' shape."""
        return shape

    def offset(self, scale: int) -> int:
        """Return the constant at `scale`: its floor, exactly."""
        return math.floor(Fraction(self.constant) * scale)


@dataclass(frozen=True)
class Reshape:
    """The same elements in the same order under another shape."""

    kind: ClassVar[str] = "reshape"
    shape: Shape

    def out_shape(self, shape: Shape) -> Shape:
        """As given."""
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"{shape} has not the elements of {self.shape}")
        return self.shape

    def gather(self, shape: Shape) -> NDArray[np.intp]:
        """Return for each output which input it is."""
        return np.arange(math.prod(shape))


@dataclass(frozen=True)
class Transpose:
    """The axes of a sample in another order."""

    kind: ClassVar[str] = "transpose"
    order: tuple[int, ...]

    def out_shape(self, shape: Shape) -> Shape:
        """The input's lengths in that order."""
        if sorted(self.order) != list(range(len(shape))):
            raise ValueError(f"{self.order} does not order the axes of {shape}")
        return tuple(shape[axis] for axis in self.order)

    def gather(self, shape: Shape) -> NDArray[np.intp]:
        """Return for each output which input it is."""
        return np.arange(math.prod(shape)).reshape(shape).transpose(self.order).ravel()


@dataclass(frozen=True)
class Pad:
    """Zeros before and after the last axes; public, so they cost nothing."""

    kind: ClassVar[str] = "pad"
    before: tuple[int, ...]
    after: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.before) != len(self.after) or min((*self.before, *self.after), default=0) < 0:
            raise ValueError(f"{self}: one length before and one after, none negative, for each axis")

    def _widths(self, shape: Shape) -> list[tuple[int, int]]:
        return [(0, 0)] * (len(shape) - len(self.before)) + list(zip(self.before, self.after, strict=True))

    def out_shape(self, shape: Shape) -> Shape:
        """The input's shape, the last axes longer."""
        if len(self.before) > len(shape):
            raise ValueError(f"{shape} has fewer axes than are padded")
        return tuple(n + sum(width) for n, width in zip(shape, self._widths(shape), strict=True))

    def gather(self, shape: Shape) -> NDArray[np.intp]:
        """Return for each output which input it is; the number of inputs stands for a zero."""
        size = math.prod(shape)
        return np.pad(np.arange(size).reshape(shape), self._widths(shape), constant_values=size).ravel()


Layer = Dense | Conv1d | Conv2d | Relu | MaxPool | MeanPool | Rescale | Add | Reshape | Transpose | Pad
LINEAR = (Dense, Conv1d, Conv2d)
SHAPING = (Reshape, Transpose, Pad)
"""Layers that only move elements, and put zeros between them."""
KINDS: dict[str, Callable[..., Layer]] = {
    c.kind: c for c in (Dense, Conv1d, Conv2d, Relu, MaxPool, MeanPool, Rescale, Add, Reshape, Transpose, Pad)
}
