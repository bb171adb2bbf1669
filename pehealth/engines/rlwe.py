"""Engine `rlwe`: each server multiplies the encrypted weights by its share of the mask; nobody deals with W.

HC encrypts W once under a ring-LWE key s and hands both servers the same ciphertexts [LPR10]; the dealer, who
knows s but neither W nor the ciphertexts, deals shares mod q of R and R s; each server computes its share of
W * R mod 2^k alone, before the query [BKS19]. The servers hold no share of s.

Assumption: ring-LWE in the set's parameters, besides the generator. Error: U_1 + U_2 = W * R mod 2^k, or one unit
(of scale 10^(2d)) off with a probability an output that `cost` states. Leaks nothing to a server. The dealer with
either server learns everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Field, Layout, Words
from pehealth.config import Engine, Party
from pehealth.crypto.lattice import evaluate, noise, rlwe
from pehealth.crypto.lattice.packing import Packing, pack_layer
from pehealth.crypto.lattice.parameters import PARAMETER_SETS, LatticeParameters, parameter_set
from pehealth.crypto.lattice.residues import from_words, to_words, word_bits
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import (
    SEED_FIELD,
    LinearCost,
    MaskedEngine,
    Record,
    from_ring,
    mask_layout,
    seed_words,
)
from pehealth.engines.weights import Ready, RingWeights, load_share, share_fields, split_weights
from pehealth.errors import ConfigError, UnsupportedLayer

BLOCK = 8
"""Samples worked on at a time: about 1 MB of residues a polynomial, which a second-level cache holds."""

_ALPHA = Field("alpha", SEED_FIELD.shape, SEED_FIELD.bits)


@dataclass(frozen=True, repr=False, eq=False)
class RlweModel:
    """A server's model of a layer: its share of the weights, and the ciphertexts that both servers hold."""

    weights: RingWeights
    ciphertexts: evaluate.Ciphertexts

    def __repr__(self) -> str:
        return f"<RlweModel {self.weights!r} {self.ciphertexts!r}>"


@dataclass(frozen=True, repr=False, eq=False)
class RlweSecret:
    """The dealer's secret of a layer: the values (primes, N) of the key, in the order of the layer's packing."""

    values: Words

    def __repr__(self) -> str:
        return "<RlweSecret>"


@dataclass(frozen=True)
class RlweEngine:
    """The engine `rlwe` over Z_{2^ring}. Its functions are those of `MaskedEngine`."""

    ring: int
    parameters: LatticeParameters
    name: Engine = Engine.RLWE

    def packing(self, layer: LinearMap) -> Packing:
        """Return where the layer's weights sit in its ciphertexts."""
        return pack_layer(layer, self.parameters.degree)

    def check(self, layer: LinearMap, name: str) -> None:
        """Accept the layer, or refuse it.

        Raises:
            ConfigError: the set's noise is too large for the ring.
            UnsupportedLayer: a kernel that does not fit a polynomial.
        """
        try:
            packing = self.packing(layer)
        except UnsupportedLayer as error:
            raise UnsupportedLayer(f"{name}: {error}") from error
        noise.require_supported(self.parameters, self.ring, packing.terms, name)

    def error_probability(self, layer: LinearMap) -> float:
        """Return the bound on the probability that one output's U_1 + U_2 is one unit off."""
        return noise.error_probability(self.parameters, self.ring, self.packing(layer).terms)

    def keygen(self, rng: Prg) -> Record:
        """HC: return a fresh key s, as s + 1."""
        return Record({"key": (rlwe.keygen(self.parameters, rng) + 1).view(np.uint64)})

    def encrypt(
        self, layer: LinearMap, weights: NDArray[np.int64], bias: NDArray[np.int64], key: Record, rng: Prg
    ) -> tuple[Record, Record]:
        """HC: return shares of the weights and the bias, each beside the same ciphertexts of the weights.

        Raises:
            ConfigError: see `check`.
        """
        self.check(layer, "the layer")
        seed, b = rlwe.encrypt(self.parameters, self.packing(layer), weights, self.ring, _key(key), rng)
        common = {_ALPHA.name: seed_words(seed)} | _named("b", to_words(b))
        first, second = split_weights(weights, bias, self.ring, rng)
        return Record({**first.arrays, **common}), Record({**second.arrays, **common})

    def load(self, layer: LinearMap, model: Record) -> RlweModel:
        """Server: expand and transform the ciphertexts, once a deployment."""
        b = from_words(_words(model, "b"), self.parameters.primes)
        seed = model[_ALPHA.name].astype("<u8").tobytes()
        ciphertexts = evaluate.load(self.parameters, self.packing(layer), seed, b)
        return RlweModel(load_share(layer, model, self.ring), ciphertexts)

    def secret(self, _layer: LinearMap, _weights: NDArray[np.int64], key: Record) -> Record:
        """HC: the dealer must know the key, and nothing of the weights."""
        return key

    def load_secret(self, layer: LinearMap, secret: Record) -> RlweSecret:
        """Dealer: transform the key, once a deployment."""
        order = rlwe.server_order(self.parameters, self.packing(layer).size)
        return RlweSecret(rlwe.key_values(self.parameters, _key(secret))[:, order.positions])

    def deal(self, layer: LinearMap, mask: Words, secret: RlweSecret, seed1: Prg) -> Record:
        """Dealer: return E2's shares of R and R s mod q."""
        packing, centred = self.packing(layer), from_ring(mask, self.ring)
        first = rlwe.expand_share(self.parameters, packing, len(mask), seed1)
        blocks = []
        for b in _blocks(len(mask)):
            share = rlwe.deal_share(self.parameters, packing, centred[b], secret.values, first.part(b))
            blocks.append(_named("r", to_words(share.mask)) | _named("rs", to_words(share.product)))
        return Record({name: np.concatenate([words[name] for words in blocks]) for name in blocks[0]})

    def expand(self, layer: LinearMap, batch: int, seed1: Prg) -> Record:
        """E1: return its shares of R and R s mod q: uniform residues, with a leading axis for the primes."""
        share = rlwe.expand_share(self.parameters, self.packing(layer), batch, seed1)
        return Record({"r": share.mask, "rs": share.product})

    def products(self, _layer: LinearMap, model: RlweModel, material: Record) -> Words:
        """Server: return U_b, with U_1 + U_2 = W * R mod 2^k but for the rounding error."""
        batch = material["r"].shape[1] if "r" in material else len(material["r0"])
        parts = [evaluate.multiply(model.ciphertexts, self._share(material, b), self.ring) for b in _blocks(batch)]
        return np.concatenate(parts)

    def _share(self, material: Record, samples: slice) -> rlwe.MaskShare:
        if "r" in material:
            return rlwe.MaskShare(material["r"], material["rs"]).part(samples)
        r, rs = (
            from_words([w[samples] for w in _words(material, name)], self.parameters.primes) for name in ("r", "rs")
        )
        return rlwe.MaskShare(r, rs)

    def prepare(self, layer: LinearMap, model: RlweModel, material: Record, _common: Prg) -> Ready:
        """Server: return bias_b - U_b beside W_b."""
        return Ready(model.weights, model.weights.offset(self.products(layer, model, material)))

    def linear(self, _layer: LinearMap, y_masked: Words, ready: Ready) -> Words:
        """Server, online: return z_b = W_b * Y^ + (bias_b - U_b) mod 2^k."""
        return ready.linear(y_masked)

    def model_layout(self, layer: LinearMap, party: Party) -> Layout:
        """Return the layout of a server's model: its share of the weights, alpha's seed, b."""
        packing = self.packing(layer)
        shape = packing.ciphertexts, packing.groups, packing.used, packing.size
        return Layout((*share_fields(layer, party, self.ring), _ALPHA, *self._fields("b", shape)))

    def secret_layout(self, _layer: LinearMap) -> Layout:
        """Return the layout of the key."""
        return self.key_layout()

    def key_layout(self) -> Layout:
        """Return the layout of the key: two bits a coefficient."""
        return Layout((Field("key", (self.parameters.degree,), 2),))

    def material_layout(self, layer: LinearMap, batch: int) -> Layout:
        """Return the layout of E2's shares of R (coefficients) and R s (values) mod q."""
        packing = self.packing(layer)
        values = self._fields("rs", (batch, packing.polynomials, packing.degree))
        return Layout((*self._fields("r", (batch, layer.inputs)), *values))

    def _fields(self, name: str, shape: tuple[int, ...]) -> tuple[Field, ...]:
        """Return the fields of elements mod q: words of whole bytes."""
        widths = word_bits(len(self.parameters.primes))
        return tuple(Field(f"{name}{i}", shape, bits) for i, bits in enumerate(widths))

    def cost(self, layer: LinearMap, batch: int = 1) -> LinearCost:
        """Return sizes; `ntts`: transforms of a polynomial modulo all primes, whatever its length; `multiply_adds`."""
        packing = self.packing(layer)
        forward = packing.groups * packing.used if packing.pixels > 1 else 0
        return LinearCost(
            model=(self.model_layout(layer, Party.E1).size, self.model_layout(layer, Party.E2).size),
            secret=self.secret_layout(layer).size,
            material=self.material_layout(layer, batch).size,
            mask=mask_layout(layer, batch, self.ring).size,
            deal={"ntts": batch * packing.polynomials},
            prepare={
                "ntts": batch * packing.tiles * (forward + packing.ciphertexts),
                "multiply_adds": batch * packing.work * len(self.parameters.primes),
            },
            linear={},
        )


def _key(record: Record) -> NDArray[np.int64]:
    return record["key"].view(np.int64) - 1


def _named(name: str, words: list[Words]) -> dict[str, Words]:
    return {f"{name}{i}": w for i, w in enumerate(words)}


def _words(record: Record, name: str) -> list[Words]:
    return [record[f"{name}{i}"] for i in range(len(record.arrays)) if f"{name}{i}" in record]


def _blocks(batch: int) -> list[slice]:
    return [slice(at, at + BLOCK) for at in range(0, batch, BLOCK)]


def choose_lattice(layers: Iterable[LinearMap], ring: int) -> LatticeParameters:
    """Return the smallest parameter set whose noise all layers bear in a ring of `ring` bits.

    Raises:
        ConfigError: no set does, or a kernel does not fit a polynomial of any.
    """
    layers = tuple(layers)
    problems = []
    for parameters in PARAMETER_SETS.values():
        engine = RlweEngine(ring, parameters)
        try:
            for index, layer in enumerate(layers, 1):
                engine.check(layer, f"linear layer {index}")
        except ConfigError as error:
            problems.append(str(error))
        else:
            return parameters
    raise ConfigError(*problems)


def rlwe_engine(ring: int, lattice: str) -> MaskedEngine[RlweModel, RlweSecret, Ready]:
    """Return the engine with the parameter set called `lattice`; the annotation has the type checker hold it.

    Raises:
        ConfigError: there is no such set.
    """
    return RlweEngine(ring, parameter_set(lattice))
