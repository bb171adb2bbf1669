"""How a linear layer becomes products in R_q = Z_q[x]/(x^N + 1), few of them and with little waste.

A dense layer is a convolution of a 1 x 1 image with as many channels as inputs. A stride is split into phases:
the rows and columns that are equal modulo the stride form images of their own, on which the kernel's phases
move by one. Channels and phases alike are *components*; what is left is a convolution of stride 1.

Let y = x^g, g a power of two, n = N/g. Component c of the image sits in x^c Z[y], that of the kernel, reversed,
in x^(g-1-c) Z[y]. The coefficients x^(g-1) y^t of the product are then the sum of the components' products in
Z_q[y]/(y^n + 1), and nothing else is wanted: a server needs transforms of size n alone, and for a dense layer,
where an image component is a constant, none but one inverse of n values. The two-dimensional layout in y is the
usual one [HLHD22]: pixel (u, v) of an image of L = H_L W_L pixels at y^(u W_L + v), tap (u, v) of the kernel at
y^(K - u W_L - v), K that of its last tap; output (i, j) appears at y^(K + i W_L + j). Map s of a ciphertext is
shifted by s L. Its products cover [sL, sL + K + L - 1], its outputs are in [sL + K, sL + L - 1]: neither the map
before, which ends at sL + K - 1, nor what wraps around, touches them; floor(n / L) maps fit.

More components than g go to further *groups*, each a polynomial of its own whose products are added; an image
too large for n is cut into *tiles* of the output, which overlap in the input.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.linear import LinearMap
from pehealth.errors import UnsupportedLayer

Index = NDArray[np.intp]

TRANSFORM_COST = 50
"""Time to transform a coefficient, in multiply-adds of the inner products (15 ns against 0.3)."""

MOST_COMPONENTS = 4096
"""Greatest g: that many products of two residues add up in a uint64."""


@dataclass(frozen=True)
class Packing:
    """Where everything of one layer sits.

    Attributes:
        layer: the layer; a dense one in its plain form.
        degree: N.
        step: g.
        tile: (rows, columns) of the outputs of one tile.
    """

    layer: LinearMap
    degree: int
    step: int
    tile: tuple[int, int]

    @property
    def size(self) -> int:
        """Coefficients of a component: n = N/g."""
        return self.degree // self.step

    @property
    def phases(self) -> tuple[int, int]:
        """Row and column phases that a kernel tap can meet."""
        (kh, kw), (sh, sw) = self.layer.kernel, self.layer.stride
        return min(kh, sh), min(kw, sw)

    @property
    def components(self) -> int:
        """Channels times phases."""
        return self.layer.in_shape[0] * self.phases[0] * self.phases[1]

    @property
    def groups(self) -> int:
        """Polynomials over which one product is spread."""
        return -(-self.components // self.step)

    @property
    def used(self) -> int:
        """Components in a group; the last group may have fewer, padded with zeros."""
        return -(-self.components // self.groups)

    @property
    def taps(self) -> tuple[int, int]:
        """Rows and columns of the kernel's largest phase."""
        (kh, kw), (sh, sw) = self.layer.kernel, self.layer.stride
        return -(-kh // sh), -(-kw // sw)

    @property
    def image(self) -> tuple[int, int]:
        """H_L, W_L: rows and columns of one phase of a tile's input."""
        return self.tile[0] + self.taps[0] - 1, self.tile[1] + self.taps[1] - 1

    @property
    def pixels(self) -> int:
        """L = H_L W_L."""
        return self.image[0] * self.image[1]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        _, oh, ow = self.layer.out_shape
        return -(-oh // self.tile[0]), -(-ow // self.tile[1])

    @property
    def tiles(self) -> int:
        """Tiles of the output."""
        return self.grid[0] * self.grid[1]

    @property
    def maps(self) -> int:
        """Output maps in a ciphertext."""
        return self.size // self.pixels

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of a group."""
        return -(-self.layer.out_channels // self.maps)

    @property
    def polynomials(self) -> int:
        """Polynomials that carry one sample's mask."""
        return self.tiles * self.groups

    @property
    def work(self) -> int:
        """A server's work for a sample and prime, in multiply-adds."""
        products = self.ciphertexts * self.groups * (self.degree + self.used * self.size)
        inputs = self.groups * self.used if self.pixels > 1 else 0
        return self.tiles * (products + TRANSFORM_COST * self.size * (self.ciphertexts + inputs))

    @cached_property
    def pixel_index(self) -> Index:
        """(tiles, groups, used, pixels) index into a flat sample; `inputs` stands for zero."""
        c, h, w = self.layer.in_shape
        tile_i, tile_j, channel, phase_i, phase_j, u, v = np.ix_(
            *(np.arange(n) for n in (*self.grid, c, *self.phases, *self.image))
        )
        row = (tile_i * self.tile[0] + u) * self.layer.stride[0] + phase_i - self.layer.padding[0]
        col = (tile_j * self.tile[1] + v) * self.layer.stride[1] + phase_j - self.layer.padding[1]
        inside = (row >= 0) & (row < h) & (col >= 0) & (col < w)
        index = np.where(inside, (channel * h + row) * w + col, self.layer.inputs)
        index = index.reshape(self.tiles, self.components, self.pixels)
        out = np.full((self.tiles, self.groups * self.used, self.pixels), self.layer.inputs, np.intp)
        out[:, : self.components] = index
        return out.reshape(self.tiles, self.groups, self.used, self.pixels)

    @cached_property
    def input_index(self) -> Index:
        """(tiles, groups, pixels * g) index into a flat sample of each coefficient of the mask's polynomials."""
        out = np.full((self.tiles, self.groups, self.pixels, self.step), self.layer.inputs, np.intp)
        out[..., : self.used] = self.pixel_index.swapaxes(2, 3)
        return out.reshape(self.tiles, self.groups, -1)

    @cached_property
    def weight_index(self) -> Index:
        """(out_channels, fan_in) place of each weight in the flat messages (ciphertexts, groups, N)."""
        c, (kh, kw), (sh, sw) = self.layer.in_shape[0], self.layer.kernel, self.layer.stride
        out_map, channel, row, col = np.ix_(*(np.arange(n) for n in (self.layer.out_channels, c, kh, kw)))
        component = (channel * self.phases[0] + row % sh) * self.phases[1] + col % sw
        group, place = component // self.used, component % self.used
        slot = out_map % self.maps * self.pixels
        y = slot + self._last_tap - (row // sh * self.image[1] + col // sw)
        ciphertext = out_map // self.maps
        flat = (ciphertext * self.groups + group) * self.degree + y * self.step + (self.step - 1 - place)
        return np.asarray(flat, np.intp).reshape(self.layer.weight_shape)

    @cached_property
    def output_index(self) -> Index:
        """(outputs,) place of each output in the flat results (tiles, ciphertexts, n), channel-major."""
        out_map, i, j = np.ix_(*(np.arange(n) for n in self.layer.out_shape))
        (th, tw), width = self.tile, self.image[1]
        tile = i // th * self.grid[1] + j // tw
        y = out_map % self.maps * self.pixels + self._last_tap + i % th * width + j % tw
        return ((tile * self.ciphertexts + out_map // self.maps) * self.size + y).reshape(-1)

    @property
    def _last_tap(self) -> int:
        return (self.taps[0] - 1) * self.image[1] + self.taps[1] - 1

    @cached_property
    def terms(self) -> int:
        """Mask elements that meet one output: each carries its coefficient's error along."""
        return int((self.pixel_index != self.layer.inputs).sum(axis=(1, 2, 3)).max())


@lru_cache(maxsize=64)
def pack_layer(layer: LinearMap, degree: int) -> Packing:
    """Return the packing with the fewest mask polynomials (material), then the least work.

    Raises:
        UnsupportedLayer: one output's window does not fit a polynomial.
    """
    plain = LinearMap.dense(layer.inputs, layer.out_channels) if layer.is_dense else layer
    options = list(_options(plain, degree))
    if not options:
        raise UnsupportedLayer(
            f"a kernel of {plain.kernel} with stride {plain.stride} needs more than the {degree} coefficients of "
            "the lattice's polynomials"
        )
    return min(options, key=lambda p: (p.polynomials, p.work, p.ciphertexts))


def _options(layer: LinearMap, degree: int) -> Iterator[Packing]:
    _, oh, ow = layer.out_shape
    heights, widths = ({-(-size // parts) for parts in range(1, size + 1)} for size in (oh, ow))
    steps = [1 << e for e in range(degree.bit_length()) if 1 << e <= MOST_COMPONENTS]
    for tile in itertools.product(heights, widths):
        for step in steps:
            packing = Packing(layer, degree, step, tile)
            if packing.pixels <= packing.size:
                yield packing
