"""The integers that engine `ddh` deals for a layer: their bits, shapes, and E1's shares of them.

A value below 2^b in size is shared as r and value - r with r uniform below 2^(b + slack): either share is within
2^-slack of a distribution that does not depend on the value. 80 bits of slack for what is dealt a query (10^3 values
in each of 2^20 queries leave 2^-50), 128 for the keys, which are shared once. E1's share of what is added back when
a sum has wrapped is negative, that of what is taken off positive: so all exponents of a server have one sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pehealth.crypto.linear import Ints, LinearMap
from pehealth.crypto.prg import Prg

SLACK = 80
KEY_SLACK = 128


@dataclass(frozen=True)
class Sizes:
    """Sizes of one layer.

    Attributes:
        ring: k.
        key_bits: bits of a key s_j.
        layer: the geometry.
    """

    ring: int
    key_bits: int
    layer: LinearMap

    @property
    def key_share(self) -> int:
        """Bits of a share of a key."""
        return self.key_bits + KEY_SLACK

    @cached_property
    def share_bits(self) -> Mapping[str, int]:
        """Bits of a share of T, of v, of s.T and of s_j v: no share is of this size or above."""
        sums = self.layer.fan_in.bit_length()
        return {
            "offset": self.ring + 1 + SLACK,
            "wrap": 1 + SLACK + 1,
            "key_offset": self.key_bits + self.ring + 1 + sums + SLACK,
            "key_wrap": self.key_bits + SLACK + 1,
        }

    @property
    def piece(self) -> int:
        """Bits of <Y>, hence of the exponents of beta, and of the pieces that the exponent of alpha is cut into."""
        return self.ring + SLACK + 2

    @property
    def pieces(self) -> int:
        """Pieces of <s.Y>, whose greatest part is the sum of Y^ times shares of the keys."""
        longest = max(
            self.ring + self.key_share, self.share_bits["key_offset"], self.ring + self.share_bits["key_wrap"]
        )
        return -(-(longest + self.layer.fan_in.bit_length() + 1) // self.piece)

    @cached_property
    def used(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """(positions, fan_in): which terms are inputs, not padding."""
        if self.layer.is_dense:
            return np.ones((1, self.layer.inputs), np.bool_)
        return np.asarray(self.layer.window < self.layer.inputs, np.bool_)

    @property
    def valid(self) -> int:
        """Terms that are inputs, over all positions of one sample."""
        return int(np.count_nonzero(self.used))

    def share_shapes(self, batch: int) -> Mapping[str, tuple[int, ...]]:
        """Return the shape of each kind of share."""
        inputs, positions = self.layer.inputs, self.layer.positions
        shapes = {"key_offset": (batch, positions), "key_wrap": (batch, self.valid)}
        return {"offset": (batch, inputs), "wrap": (batch, inputs), **shapes}

    def first_shares(self, batch: int, seed1: Prg) -> dict[str, Ints]:
        """Return E1's shares, of which `wrap` and `key_wrap` are at most 0, the others at least."""
        shapes, out = self.share_shapes(batch), {}
        for name, bits in self.share_bits.items():
            shape, sign = shapes[name], -1 if name.endswith("wrap") else 1
            drawn = seed1.child(name).integers(int(np.prod(shape)), bits - (1 if sign < 0 else 0))
            out[name] = sign * drawn.reshape(shape)
        return out

    def terms(self, columns: Ints) -> Ints:
        """Return (batch, valid) of (batch, positions, fan_in): padding left out."""
        return columns[:, self.used]

    def columns(self, terms: Ints) -> Ints:
        """Return (batch, positions, fan_in) of (batch, valid): zeros for padding."""
        out = np.zeros((len(terms), *self.used.shape), object)
        out[:, self.used] = terms
        return out
