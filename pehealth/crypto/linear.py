"""The geometry of a linear layer, and its exact application to integers.

Dense, 1-D and 2-D convolution are one thing here: a 1-D convolution is a 2-D one of height one, and a dense
layer a convolution whose kernel is its whole input. So an engine sees one class and two shapes of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
"""An integer array: int64, uint64 (mod 2^64), or object (Python or gmpy2 integers)."""


@dataclass(frozen=True)
class LinearMap:
    """The public shape of one linear layer.

    Attributes:
        in_shape: (channels, height, width) of one sample.
        out_channels: maps, or neurons of a dense layer.
        kernel, stride, padding: (vertical, horizontal); padding is by zeros on both sides.
    """

    in_shape: tuple[int, int, int]
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    @classmethod
    def dense(cls, inputs: int, outputs: int) -> LinearMap:
        """Return the map of a dense layer."""
        return cls((inputs, 1, 1), outputs, (1, 1))

    @property
    def is_dense(self) -> bool:
        """True if every output sees every input: no convolution packing is needed."""
        return self.positions == 1 and self.padding == (0, 0) and self.kernel == self.in_shape[1:]

    @cached_property
    def out_shape(self) -> tuple[int, int, int]:
        """(maps, height, width) of one sample's output; the remainder of a stride is dropped."""
        h, w = (
            (size + 2 * pad - kernel) // stride + 1
            for size, pad, kernel, stride in zip(self.in_shape[1:], self.padding, self.kernel, self.stride, strict=True)
        )
        return self.out_channels, h, w

    @property
    def inputs(self) -> int:
        """Elements of one sample's input."""
        return self.in_shape[0] * self.in_shape[1] * self.in_shape[2]

    @property
    def outputs(self) -> int:
        """Elements of one sample's output."""
        return self.out_shape[0] * self.out_shape[1] * self.out_shape[2]

    @property
    def positions(self) -> int:
        """Places where the kernel is laid."""
        return self.out_shape[1] * self.out_shape[2]

    @property
    def fan_in(self) -> int:
        """Terms of one output's dot product (padding included)."""
        return self.in_shape[0] * self.kernel[0] * self.kernel[1]

    @property
    def weight_shape(self) -> tuple[int, int]:
        """(out_channels, fan_in): the shape in which every engine takes weights; (channel, row, column) order."""
        return self.out_channels, self.fan_in

    @cached_property
    def real_terms(self) -> int:
        """Terms of all outputs of one map that are no padding, without making `window`."""
        rows, columns = (
            sum(
                max(0, min(kernel, size + pad - at) - max(0, pad - at))
                for at in range(0, size + 2 * pad - kernel + 1, stride)
            )
            for size, pad, kernel, stride in zip(self.in_shape[1:], self.padding, self.kernel, self.stride, strict=True)
        )
        return self.in_shape[0] * rows * columns

    @cached_property
    def window(self) -> NDArray[np.intp]:
        """(positions, fan_in) index of each term into a flat sample; `inputs` stands for a padding zero."""
        c, h, w = self.in_shape
        index = np.full((c, h + 2 * self.padding[0], w + 2 * self.padding[1]), self.inputs, np.intp)
        index[:, self.padding[0] : self.padding[0] + h, self.padding[1] : self.padding[1] + w] = np.arange(
            self.inputs
        ).reshape(self.in_shape)
        view = np.lib.stride_tricks.sliding_window_view(index, self.kernel, axis=(1, 2))
        view = view[:, :: self.stride[0], :: self.stride[1]]
        return np.ascontiguousarray(view.transpose(1, 2, 0, 3, 4)).reshape(self.positions, self.fan_in)

    def columns(self, x: Ints) -> Ints:
        """Return (batch, positions, fan_in) of x (batch, inputs): the terms of each output, zeros for padding."""
        if self.is_dense:
            return x.reshape(len(x), 1, self.inputs)
        padded = np.concatenate([x.reshape(len(x), self.inputs), np.zeros((len(x), 1), x.dtype)], axis=1)
        return padded[:, self.window]

    def apply(self, weights: Ints, x: Ints) -> Ints:
        """Return W * x in the arrays' own arithmetic (uint64 wraps mod 2^64; int64 must not overflow).

        Shapes:  weights (out_channels, fan_in), x (batch, inputs) -> (batch, outputs), channel-major
        """
        out = self.columns(x) @ weights.T
        return np.ascontiguousarray(out.swapaxes(1, 2)).reshape(len(x), self.outputs)

    def add_bias(self, z: Ints, bias: Ints) -> Ints:
        """Return z (batch, outputs) plus one bias a map, as a new array."""
        return (z.reshape(len(z), self.out_channels, self.positions) + bias[:, None]).reshape(z.shape)


def pool_windows(shape: tuple[int, ...], window: tuple[int, ...], steps: tuple[int, ...]) -> NDArray[np.intp]:
    """Return (windows, elements of a window) flat indices for pooling over the last len(window) axes of `shape`."""
    axes = tuple(range(len(shape) - len(window), len(shape)))
    index = np.arange(int(np.prod(shape))).reshape(shape)
    view = np.lib.stride_tricks.sliding_window_view(index, window, axis=axes)
    strided = view[(slice(None),) * axes[0] + tuple(slice(None, None, s) for s in steps)]
    return np.ascontiguousarray(strided).reshape(-1, int(np.prod(window)))


def take_or_zero(x: Ints, index: NDArray[np.intp]) -> Ints:
    """Return x[:, index] of x (batch, n), where an index of n stands for a zero."""
    padded = np.concatenate([x, np.zeros((len(x), 1), x.dtype)], axis=1)
    return np.asarray(padded[:, index])
