"""A server's additive share of the weights: its record, and exact products mod 2^k with it.

Products are integer (`einsum` on uint64, which wraps mod 2^64). Splitting into float64 limbs for BLAS was
measured on one core: at k = 40 and 64 rows it gains at most a factor 1.5, at k >= 48 it loses, and it loses
for a single image at any k (36 against 18 microseconds at 845 -> 100). So there is one way only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Field, Words
from pehealth.config import Party
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import SEED_FIELD, Record, from_ring, ring_mask, seed_prg, seed_words, to_ring
from pehealth.errors import RangeError


@dataclass(frozen=True, repr=False, eq=False)
class RingWeights:
    """Weights mod 2^k and a bias, ready to be applied to any number of inputs.

    Attributes:
        weights: (out_channels, fan_in) mod 2^k.
        bias: (out_channels,) mod 2^k.
        ring: k.
        terms: (fan_in, positions) index of each term into a zero-padded sample; None for a dense layer.
    """

    weights: Words
    bias: Words
    ring: int
    terms: NDArray[np.intp] | None

    @classmethod
    def of(cls, layer: LinearMap, weights: Words, bias: Words, ring: int) -> RingWeights:
        """Return weights (out_channels, fan_in) and bias (out_channels,) ready for use."""
        terms = None if layer.is_dense else np.ascontiguousarray(layer.window.T)
        return cls(np.ascontiguousarray(weights), bias, ring, terms)

    def __repr__(self) -> str:
        return f"<RingWeights {list(self.weights.shape)} mod 2^{self.ring}>"

    def apply(self, x: Words) -> Words:
        """Return W * x mod 2^k, without the bias.

        Shapes:  x (batch, inputs) -> (batch, outputs), channel-major
        """
        out: Words
        if self.terms is None:
            out = np.einsum("oi,bi->bo", self.weights, x)
        else:
            padded = np.zeros((len(x), x.shape[1] + 1), np.uint64)
            padded[:, :-1] = x
            out = np.einsum("of,bfp->bop", self.weights, padded.take(self.terms, axis=1)).reshape(len(x), -1)
        out &= ring_mask(self.ring)
        return out

    def offset(self, products: Words) -> Words:
        """Return bias_b - U_b mod 2^k (batch, outputs): all of a share of z that does not depend on Y^."""
        maps = products.reshape(len(products), len(self.bias), -1)
        return ((self.bias[:, None] - maps) & ring_mask(self.ring)).reshape(products.shape)


@dataclass(frozen=True, repr=False, eq=False)
class Ready:
    """All of z_b = W_b * Y^ + (bias_b - U_b) but the public input.

    Attributes:
        weights: W_b, shared with every query of the layer.
        offset: (batch, outputs) bias_b - U_b mod 2^k; serves one query.
    """

    weights: RingWeights
    offset: Words

    def __repr__(self) -> str:
        return f"<Ready offset{list(self.offset.shape)} of {self.weights!r}>"

    def linear(self, y_masked: Words) -> Words:
        """Return the share of z (batch, outputs)."""
        out = self.weights.apply(y_masked)
        out += self.offset
        out &= ring_mask(self.weights.ring)
        return out


def split_weights(weights: NDArray[Any], bias: NDArray[Any], ring: int, rng: Prg) -> tuple[Record, Record]:
    """HC: return additive shares mod 2^k of signed weights and bias: a seed for E1, words for E2.

    Raises:
        RangeError: a weight or a bias does not fit the ring.
    """
    for name, values in (("weight", weights), ("bias", bias)):
        if not np.array_equal(from_ring(to_ring(values, ring), ring), values):
            raise RangeError(f"a {name} does not fit a ring of {ring} bits: take a larger ring or fewer digits")
    first = Record({SEED_FIELD.name: seed_words(rng.key())})
    w1, b1 = read_share(weights.shape, first, ring)
    mask = ring_mask(ring)
    return first, Record({"weights": (to_ring(weights, ring) - w1) & mask, "bias": (to_ring(bias, ring) - b1) & mask})


def share_fields(layer: LinearMap, party: Party, ring: int) -> tuple[Field, ...]:
    """Return the fields that `split_weights` gives a server."""
    if party is Party.E1:
        return (SEED_FIELD,)
    return Field("weights", layer.weight_shape, ring), Field("bias", (layer.out_channels,), ring)


def read_share(shape: tuple[int, ...], record: Record, ring: int) -> tuple[Words, Words]:
    """Return a server's share of the weights and of the bias."""
    if SEED_FIELD.name not in record:
        return record["weights"], record["bias"]
    prg = seed_prg(record[SEED_FIELD.name])
    return prg.child("weights").ring(shape, ring), prg.child("bias").ring(shape[0], ring)


def load_share(layer: LinearMap, record: Record, ring: int) -> RingWeights:
    """Server: return its share of the weights, ready for use."""
    return RingWeights.of(layer, *read_share(layer.weight_shape, record, ring), ring)
