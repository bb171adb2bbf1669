"""Engine `dealt`: a dealer who knows W deals shares of U = W * R.

Secrecy of model and readings is perfect given the dealt masks (information-theoretic, but for the generator
that expands E1's seed). The price is that the dealer, HC's offline half, knows W and works for every query.
U is exact: U_1 + U_2 = W * R mod 2^k always [Bea91].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Field, Layout, Words
from pehealth.config import Engine, Party
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import LinearCost, MaskedEngine, Record, mask_layout, ring_mask, to_ring
from pehealth.engines.weights import Ready, RingWeights, load_share, share_fields, split_weights


@dataclass(frozen=True)
class DealtEngine:
    """The engine `dealt` over Z_{2^ring}. Its functions are those of `MaskedEngine`."""

    ring: int
    name: Engine = Engine.DEALT

    def check(self, layer: LinearMap, name: str) -> None:
        """Accept: any linear layer over any ring of at most 64 bits works."""

    def keygen(self, _rng: Prg) -> Record:
        """HC: there is no key."""
        return Record()

    def encrypt(
        self, _layer: LinearMap, weights: NDArray[np.int64], bias: NDArray[np.int64], _key: Record, rng: Prg
    ) -> tuple[Record, Record]:
        """HC: return additive shares of the weights and the bias; E1's is a seed."""
        return split_weights(weights, bias, self.ring, rng)

    def load(self, layer: LinearMap, model: Record) -> RingWeights:
        """Server: return W_b and bias_b, ready for use."""
        return load_share(layer, model, self.ring)

    def secret(self, _layer: LinearMap, weights: NDArray[np.int64], _key: Record) -> Record:
        """HC: the dealer must know the weights themselves."""
        return Record({"weights": to_ring(weights, self.ring)})

    def load_secret(self, layer: LinearMap, secret: Record) -> RingWeights:
        """Dealer: return W, ready for use."""
        return RingWeights.of(layer, secret["weights"], np.zeros(layer.out_channels, np.uint64), self.ring)

    def deal(self, layer: LinearMap, mask: Words, secret: RingWeights, seed1: Prg) -> Record:
        """Dealer: return E2's half of U = W * R."""
        own = self.expand(layer, len(mask), seed1)["products"]
        return Record({"products": (secret.apply(mask) - own) & ring_mask(self.ring)})

    def expand(self, layer: LinearMap, batch: int, seed1: Prg) -> Record:
        """E1: return its half of U, which is uniform."""
        return Record({"products": seed1.child("products").ring((batch, layer.outputs), self.ring)})

    def products(self, _layer: LinearMap, _model: RingWeights, material: Record) -> Words:
        """Server: return U_b, as dealt."""
        return material["products"]

    def prepare(self, layer: LinearMap, model: RingWeights, material: Record, _common: Prg) -> Ready:
        """Server: return bias_b - U_b beside W_b."""
        return Ready(model, model.offset(self.products(layer, model, material)))

    def linear(self, _layer: LinearMap, y_masked: Words, ready: Ready) -> Words:
        """Server, online: return z_b = W_b * Y^ + (bias_b - U_b) mod 2^k."""
        return ready.linear(y_masked)

    def model_layout(self, layer: LinearMap, party: Party) -> Layout:
        """Return the layout of a server's share of the weights: 32 bytes for E1."""
        return Layout(share_fields(layer, party, self.ring))

    def secret_layout(self, layer: LinearMap) -> Layout:
        """Return the layout of the weights, for the dealer."""
        return Layout((Field("weights", layer.weight_shape, self.ring),))

    def key_layout(self) -> Layout:
        """Return an empty layout."""
        return Layout(())

    def material_layout(self, layer: LinearMap, batch: int) -> Layout:
        """Return the layout of E2's half of U."""
        return Layout((Field("products", (batch, layer.outputs), self.ring),))

    def cost(self, layer: LinearMap, batch: int = 1) -> LinearCost:
        """Return sizes; nothing but ring products is computed."""
        return LinearCost(
            model=(self.model_layout(layer, Party.E1).size, self.model_layout(layer, Party.E2).size),
            secret=self.secret_layout(layer).size,
            material=self.material_layout(layer, batch).size,
            mask=mask_layout(layer, batch, self.ring).size,
            deal={},
            prepare={},
            linear={},
        )


def dealt(ring: int) -> MaskedEngine[RingWeights, RingWeights, Ready]:
    """Return the engine; the annotation makes the type checker hold it to the interface."""
    return DealtEngine(ring)
