"""Engine `ddh`: the paper's ElGamal at real size. Each server multiplies encrypted weights in the exponent, online.

HC encrypts W under ElGamal, one random exponent a row and one key a term (`crypto.elgamal_rows`), and hands both
servers the same ciphertexts and an integer sharing of the keys s_j. The dealer, who knows the keys but neither W nor
the ciphertexts, deals integer shares of what turns the public Y^ = Y + R into Y over the integers (`crypto.lift`),
and of s_j times it. So each server has <Y> and <s.Y> with no message; a multi-exponentiation and a share conversion
[BGI17, BCG17] an output give its share of W * Y.

Assumption: DDH with short exponents in an RFC 3526 group ([RFC3526], [BBS03]), besides the generator. No circular
security: no key is encrypted. Hiding of the shares is statistical: 2^-128 for the keys, 2^-80 a dealt value.
Error: none, unless a conversion fails; then an output is off by an arbitrary amount and nobody notices. A value v
fails with probability about |v| / 2^(w+1) (`crypto.ddlog`), and where jumps follow if these fail too
(`crypto.ddlog_jumps`). Leaks: nothing to a server but through the time that the walks take, which depends on keys and
data. The dealer with either server learns everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import gmpy2
import numpy as np
from numpy.typing import NDArray

from pehealth.codec.limbs import element_field, integer_field, pack_limbs, pack_octets, unpack_limbs, unpack_octets
from pehealth.codec.packing import Field, Layout, Words
from pehealth.config import Engine, GroupName, Party
from pehealth.crypto.ddlog import expected_steps
from pehealth.crypto.elgamal_rows import column_keys, encrypt_rows
from pehealth.crypto.groups import Elements, ModpGroup, group
from pehealth.crypto.lift import offsets
from pehealth.crypto.linear import Ints, LinearMap
from pehealth.crypto.prg import Prg
from pehealth.crypto.signed_digits import split
from pehealth.engines.ddh_plan import SplitPlan
from pehealth.engines.ddh_sizes import Sizes
from pehealth.engines.ddh_work import DdhReady, work
from pehealth.engines.interface import (
    SEED_FIELD,
    LinearCost,
    MaskedEngine,
    Record,
    Report,
    Worked,
    mask_layout,
    ring_mask,
    seed_prg,
    seed_words,
    to_ring,
)
from pehealth.engines.workers import Workers
from pehealth.errors import ConfigError


@dataclass(frozen=True, repr=False, eq=False)
class DdhModel:
    """A server's model of a layer, a row for each digit of each output.

    Attributes:
        party: whose it is.
        bases: (rows, pieces + fan_in): alpha^(2^(i * piece)), then beta_1 .. beta_n.
        keys: (fan_in,) integer share of s.
        bias: (out_channels,) share mod 2^k.
    """

    party: Party
    bases: Elements
    keys: Ints
    bias: Words

    def __repr__(self) -> str:
        return f"<DdhModel of {self.party} {list(self.bases.shape)}>"


@dataclass(frozen=True, repr=False, eq=False)
class DdhSecret:
    """The dealer's secret of a layer: the keys s_1 .. s_n."""

    keys: Ints

    def __repr__(self) -> str:
        return "<DdhSecret>"


@dataclass(frozen=True)
class DdhEngine:
    """The engine `ddh` over Z_{2^ring}. Its functions are those of `MaskedEngine`, and `work` of `HeavyEngine`."""

    ring: int
    group_name: GroupName
    plan: SplitPlan
    name: Engine = Engine.DDH

    @property
    def group(self) -> ModpGroup:
        """The group.

        Raises:
            ConfigError: it is not one of RFC 3526.
        """
        found = group(self.group_name)
        if not isinstance(found, ModpGroup):
            raise ConfigError(f"engine ddh needs a group of real size, such as modp3072; {self.group_name} is none")
        return found

    def sizes(self, layer: LinearMap) -> Sizes:
        """Return the bits of everything that is dealt for a layer."""
        return Sizes(self.ring, self.group.key_bits, layer)

    def rows(self, layer: LinearMap) -> int:
        """Return the rows of ciphertexts: a digit of an output each."""
        return self.plan.split(layer).count * layer.out_channels

    def check(self, layer: LinearMap, _name: str) -> None:
        """Accept any layer that the plan knows.

        Raises:
            ConfigError: its shape was not planned, or the group is not of real size.
        """
        self.plan.split(layer)
        self.sizes(layer)

    def keygen(self, rng: Prg) -> Record:
        """HC: return a seed that all layers' keys come from."""
        return Record({SEED_FIELD.name: seed_words(rng.key())})

    def encrypt(
        self, layer: LinearMap, weights: NDArray[np.int64], bias: NDArray[np.int64], key: Record, rng: Prg
    ) -> tuple[Record, Record]:
        """HC: return the ciphertexts for both, with a fresh sharing of the keys and of the bias; E1's is a seed."""
        grp, sizes, spec = self.group, self.sizes(layer), self.plan.split(layer)
        keys = column_keys(grp, layer.fan_in, seed_prg(key[SEED_FIELD.name]))
        digits = split(weights, spec.base, spec.count).reshape(-1, layer.fan_in)
        alpha, beta = encrypt_rows(grp, digits, keys, rng.child("rows"))
        common = {"alpha": pack_limbs(grp, alpha), "beta": pack_limbs(grp, beta)}
        seed = rng.key()
        first = _first_model(sizes, layer, self.ring, Prg(seed))
        second = {
            "keys": pack_octets(keys - first[0], sizes.key_share),
            "bias": (to_ring(bias, self.ring) - first[1]) & ring_mask(self.ring),
        }
        return Record({SEED_FIELD.name: seed_words(seed), **common}), Record({**second, **common})

    def load(self, layer: LinearMap, model: Record) -> DdhModel:
        """Server: return its model, ready for use.

        Raises:
            PeerProtocolError: an element is not in [1, p).
        """
        grp, sizes = self.group, self.sizes(layer)
        alpha, beta = unpack_limbs(grp, model["alpha"]), unpack_limbs(grp, model["beta"])
        shifts = [1 << (i * sizes.piece) for i in range(sizes.pieces)]
        steps = [[gmpy2.powmod(a, shift, grp.modulus) for shift in shifts] for a in alpha]
        bases = np.concatenate([np.array(steps, object).reshape(len(alpha), sizes.pieces), beta], axis=1)
        if SEED_FIELD.name in model:
            keys, bias = _first_model(sizes, layer, self.ring, seed_prg(model[SEED_FIELD.name]))
            return DdhModel(Party.E1, bases, keys, bias)
        return DdhModel(Party.E2, bases, unpack_octets(model["keys"]), model["bias"])

    def secret(self, _layer: LinearMap, _weights: NDArray[np.int64], key: Record) -> Record:
        """HC: the dealer must know the keys, nothing of the weights."""
        return Record({SEED_FIELD.name: key[SEED_FIELD.name]})

    def load_secret(self, layer: LinearMap, secret: Record) -> DdhSecret:
        """Dealer: return the layer's keys."""
        return DdhSecret(column_keys(self.group, layer.fan_in, seed_prg(secret[SEED_FIELD.name])))

    def deal(self, layer: LinearMap, mask: Words, secret: DdhSecret, seed1: Prg) -> Record:
        """Dealer: return E2's shares of T, v, s.T at each position and s_j v at each term (`crypto.lift`)."""
        sizes, batch = self.sizes(layer), len(mask)
        T, v = offsets(mask, self.ring)
        dealt = {
            "offset": T,
            "wrap": v,
            "key_offset": layer.columns(T) @ secret.keys,
            "key_wrap": sizes.terms(layer.columns(v) * secret.keys),
        }
        first = sizes.first_shares(batch, seed1)
        bits = sizes.share_bits
        return Record({name: pack_octets(value - first[name], bits[name]) for name, value in dealt.items()})

    def expand(self, layer: LinearMap, batch: int, seed1: Prg) -> Record:
        """E1: return its shares, which are uniform."""
        sizes = self.sizes(layer)
        first = sizes.first_shares(batch, seed1)
        return Record({name: pack_octets(value, sizes.share_bits[name]) for name, value in first.items()})

    def products(self, _layer: LinearMap, _model: DdhModel, _material: Record) -> Words:
        """Refuse: there is no U here; z is converted from W * Y directly, and is exact unless a conversion fails."""
        raise TypeError("engine ddh computes W * Y itself; it has no shares of W * R")

    def prepare(self, layer: LinearMap, model: DdhModel, material: Record, common: Prg) -> DdhReady:
        """Server: return the shares as integers, the elements that blind the walks, and the pad of the output."""
        sizes, grp = self.sizes(layer), self.group
        shares = {name: unpack_octets(material[name]) for name in material.arrays}
        batch = len(shares["offset"])
        count = self.rows(layer) * batch * layer.positions
        pad = common.child("pad").ring((batch, layer.outputs), self.ring)
        return DdhReady(
            party=model.party,
            bases=model.bases,
            keys=model.keys,
            bias=model.bias,
            offset=shares["offset"],
            wrap=shares["wrap"],
            key_offset=shares["key_offset"],
            key_wrap=sizes.columns(shares["key_wrap"]),
            blinding=grp.random(common.child("blinding"), count).reshape(self.rows(layer), -1),
            pad=pad if model.party is Party.E1 else (-pad) & ring_mask(self.ring),
        )

    def linear(self, layer: LinearMap, y_masked: Words, ready: DdhReady) -> Words:
        """Server, online: as `work`, in this process and with nobody told."""
        return self.work(layer, y_masked, ready, Workers(), _silent).share

    def work(self, layer: LinearMap, y_masked: Words, ready: DdhReady, workers: Workers, report: Report) -> Worked:
        """Server, online: return its share of W * Y + bias; seconds to minutes of exponentiations and walks."""
        spec, steps = self.plan.split(layer), self.plan.steps(layer)
        return work(self.group, self.sizes(layer), spec, steps, y_masked, ready, workers, report)

    def model_layout(self, layer: LinearMap, party: Party) -> Layout:
        """Return the layout of a server's model: its own part, then the ciphertexts that both hold."""
        grp, rows = self.group, self.rows(layer)
        own: tuple[Field, ...] = (SEED_FIELD,)
        if party is Party.E2:
            keys = integer_field("keys", (layer.fan_in,), self.sizes(layer).key_share)
            own = (keys, Field("bias", (layer.out_channels,), self.ring))
        return Layout((*own, element_field("alpha", grp, (rows,)), element_field("beta", grp, (rows, layer.fan_in))))

    def secret_layout(self, _layer: LinearMap) -> Layout:
        """Return the layout of the keys' seed."""
        return Layout((SEED_FIELD,))

    def key_layout(self) -> Layout:
        """Return the layout of the keys' seed."""
        return Layout((SEED_FIELD,))

    def material_layout(self, layer: LinearMap, batch: int) -> Layout:
        """Return the layout of E2's shares."""
        sizes = self.sizes(layer)
        shapes = sizes.share_shapes(batch)
        return Layout(tuple(integer_field(name, shapes[name], bits) for name, bits in sizes.share_bits.items()))

    def cost(self, layer: LinearMap, batch: int = 1) -> LinearCost:
        """Return sizes and operations; `ddlog_steps` and `ddlog_jumps` in expectation, the rest exactly."""
        rows, terms, jumps = self.rows(layer), self.sizes(layer).valid, self.plan.split(layer).jumps
        conversions = rows * batch * layer.positions
        return LinearCost(
            model=(self.model_layout(layer, Party.E1).size, self.model_layout(layer, Party.E2).size),
            secret=self.secret_layout(layer).size,
            material=self.material_layout(layer, batch).size,
            mask=mask_layout(layer, batch, self.ring).size,
            deal={},
            prepare={},
            linear={
                "exponentiations": rows * batch * (layer.positions + terms),
                "conversions": conversions,
                "ddlog_steps": round(conversions * expected_steps(self.plan.steps(layer))),
                **({"ddlog_jumps": conversions << jumps} if jumps else {}),
            },
        )


def _first_model(sizes: Sizes, layer: LinearMap, ring: int, prg: Prg) -> tuple[Ints, Words]:
    """Return E1's share of the keys and of the bias."""
    keys = prg.child("keys").integers(layer.fan_in, sizes.key_share)
    return keys, prg.child("bias").ring(layer.out_channels, ring)


def _silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def ddh_engine(ring: int, group_name: GroupName, plan: SplitPlan) -> MaskedEngine[DdhModel, DdhSecret, DdhReady]:
    """Return the engine; the annotation makes the type checker hold it to the interface."""
    return DdhEngine(ring, group_name, plan)
