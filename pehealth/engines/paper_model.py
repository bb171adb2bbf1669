"""What the servers hold in the paper's engine: an encrypted layer, and pairs of shares (<x>, <sk*x>).

Sizes of integer shares follow from two bounds: values that are shared (inputs, biases) are below `max_value`, and
integer shares of a value below 2^b are uniform below 2^(b + slack).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.config import GroupName
from pehealth.crypto import elgamal
from pehealth.crypto.elgamal import KeyPair
from pehealth.crypto.groups import Elements, Group, ModpGroup, ToyGroup
from pehealth.crypto.linear import Ints, LinearMap
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import from_signed
from pehealth.crypto.sharing import share_integers, share_modulo
from pehealth.errors import RangeError

MODP_VALUE_BITS = 32
"""Inputs and biases in the RFC 3526 groups are below 2^32: further apart no walk is feasible."""

TOY_VALUE_BITS = 30
TOY_SLACK_BITS = 24
"""Bias shares of `toy32` are below 2^54: a sum over a window of 256 still fits an int64."""


def max_value(grp: Group) -> int:
    """Return the greatest |v| that an input, a bias or an output may have: (q-1)/2 in `toy32`, else 2^32 - 1."""
    return (grp.q - 1) // 2 if isinstance(grp, ToyGroup) else (1 << MODP_VALUE_BITS) - 1


@dataclass(frozen=True, eq=False, repr=False)
class PairShare:
    """One server's shares of x and of sk*x for a batch.

    Attributes:
        x: (batch, n). Of an input: mod q in `toy32`, else over the integers. Of a layer's output: over the integers,
            always.
        skx: (batch, n), mod q in `toy32` (any representative), else over the integers; None after the last linear
            layer. int64 in `toy32`, object arrays of gmpy2 integers elsewhere.
    """

    x: Ints
    skx: Ints | None

    @property
    def shape(self) -> tuple[int, ...]:
        """(batch, n)."""
        return self.x.shape

    def __repr__(self) -> str:
        return f"<PairShare {self.x.shape} {self.x.dtype}{'' if self.skx is None else ' with sk*x'}>"

    def ring(self, bits: int) -> NDArray[np.uint64]:
        """Return the share of x mod 2^bits (uint64), for SecCmp; not for inputs of `toy32`, which are mod q."""
        if self.x.dtype == object:
            low = (1 << bits) - 1
            return np.array([int(v) & low for v in self.x.reshape(-1)], np.uint64).reshape(self.x.shape)
        return from_signed(self.x, bits)


@dataclass(frozen=True, eq=False, repr=False)
class LayerModel:
    """A linear layer as one server holds it.

    Attributes:
        group_name: the group.
        ciphertexts: (1 + l or 1, out_channels, fan_in, 2): [w], then [sk^(j) w], j = 1 .. l; the same at both servers.
        bias: (out_channels,) share of b over the integers.
        sk_bias: (out_channels,) share of sk*b (mod q in `toy32`); None without key bits.
    """

    group_name: GroupName
    ciphertexts: Elements
    bias: Ints
    sk_bias: Ints | None

    @property
    def keybits(self) -> bool:
        """True if the layer's output carries <sk*z>."""
        return self.sk_bias is not None

    def __repr__(self) -> str:
        return f"<LayerModel {self.group_name} ciphertexts {self.ciphertexts.shape[:3]}>"


def _check(grp: Group, values: Ints, what: str) -> None:
    bound = max_value(grp)
    if values.size and max(-int(values.min()), int(values.max())) > bound:
        raise RangeError(f"{what} must be at most {bound} in size in {grp.name}; a larger one came. Lower the digits")


def _share_sk(values: NDArray[np.int64], key: KeyPair, rng: Prg) -> tuple[Ints, Ints]:
    grp = key.group
    if isinstance(grp, ToyGroup):
        return share_modulo(values % grp.q * key.secret % grp.q, grp.q, rng)
    product = grp.exponents(values) * key.secret
    return share_integers(product, MODP_VALUE_BITS + grp.key_bits, grp.slack, rng)


def share_inputs(x: NDArray[np.int64], key: KeyPair, rng: Prg) -> tuple[PairShare, PairShare]:
    """Return E1's and E2's shares of readings x (batch, n) and of sk*x: what each sensor does.

    `toy32`: uniform mod q, perfect. Elsewhere over the integers with 80 bits of slack, statistically hiding to 2^-80.

    Raises:
        RangeError: a reading is larger than `max_value`.
    """
    grp = key.group
    _check(grp, x, "a reading")
    if isinstance(grp, ToyGroup):
        first, second = share_modulo(x, grp.q, rng)
    else:
        first, second = share_integers(grp.exponents(x), MODP_VALUE_BITS, grp.slack, rng)
    sk_first, sk_second = _share_sk(x, key, rng)
    return PairShare(first, sk_first), PairShare(second, sk_second)


def encrypt(
    layer: LinearMap,
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    key: KeyPair,
    rng: Prg,
    *,
    keybits: bool,
) -> tuple[LayerModel, LayerModel]:
    """Encrypt one layer for both servers: Protocol 1 of [PEH20], done by HC at deployment.

    1 + l ciphertexts a weight (1 without key bits), the same for both servers; shares of b, and of sk*b, which the
    paper forgets (repair: the bias must be in <sk*z> too).

    Shapes:  weights (out_channels, fan_in), bias (out_channels,); int64 of any sign
    Raises:
        RangeError: a weight or a bias is larger than `max_value`.
    """
    grp = key.group
    if weights.shape != layer.weight_shape or bias.shape != (layer.out_channels,):
        raise ValueError(f"weights {weights.shape} and bias {bias.shape} do not fit {layer.weight_shape}")
    _check(grp, weights, "a weight")
    _check(grp, bias, "a bias")
    bits = np.array((1, *key.bits) if keybits else (1,), np.int64)
    ciphertexts = elgamal.encrypt(bits[:, None, None] * weights, key.public, rng)
    if isinstance(grp, ModpGroup):
        first, second = share_integers(grp.exponents(bias), MODP_VALUE_BITS, grp.slack, rng)
    else:
        first, second = share_integers(bias, TOY_VALUE_BITS, TOY_SLACK_BITS, rng)
    sk_first, sk_second = _share_sk(bias, key, rng) if keybits else (None, None)
    return (
        LayerModel(grp.name, ciphertexts, first, sk_first),
        LayerModel(grp.name, ciphertexts, second, sk_second),
    )
