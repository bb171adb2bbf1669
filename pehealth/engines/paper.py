"""The paper's linear layers, repaired: plain functions that get no channel, so no message can be sent [PEH20].

SecConv and SecFC are one function, `linear`; pooling and the selection of Protocol 3 (by a bit that SecReLU has
opened) are local too. Values are pairs <x>, <sk*x>; weights are ciphertexts; see `pehealth.engines.paper_model`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.config import Party
from pehealth.crypto.ddlog import Walk, blind, expected_steps, steps
from pehealth.crypto.groups import Group, ToyGroup, group
from pehealth.crypto.linear import Ints, LinearMap, pool_windows
from pehealth.crypto.multiexp import Exponents
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import reduce
from pehealth.engines.paper_model import (
    LayerModel,
    PairShare,
    encrypt,
    max_value,
    share_inputs,
)

__all__ = [
    "Label",
    "LayerModel",
    "Ops",
    "PairShare",
    "add",
    "combine_key_bits",
    "encrypt",
    "exponents",
    "linear",
    "linear_ops",
    "max_value",
    "pool_sum",
    "result_share",
    "select",
    "share_inputs",
    "subtract",
    "take",
]

Label = tuple[str | int | bytes, ...]
Progress = Callable[[int, int], None]

_BLOCK = 1 << 14
"""Conversions of a block in `toy32`; both servers must cut alike, as the blinding elements are derived by block."""


@dataclass(frozen=True)
class Ops:
    """What one server computed: the counters of a report.

    Attributes:
        exponentiations: alpha^a or beta^b, each counted, though they share squarings.
        conversions: walks.
        ddlog_steps: steps walked, all conversions together.
    """

    exponentiations: int
    conversions: int
    ddlog_steps: int

    def __add__(self, other: Ops) -> Ops:
        return Ops(
            self.exponentiations + other.exponentiations,
            self.conversions + other.conversions,
            self.ddlog_steps + other.ddlog_steps,
        )


def linear_ops(layer: LinearMap, grp: Group, walk: Walk, batch: int, *, keybits: bool) -> Ops:
    """Return what `linear` will count; `ddlog_steps` in expectation, the others exactly. Padding costs nothing."""
    rows = (1 + grp.key_bits if keybits else 1) * layer.out_channels
    terms = layer.real_terms * batch
    conversions = rows * layer.positions * batch
    return Ops(2 * rows * terms, conversions, round(conversions * expected_steps(walk)))


def linear(
    layer: LinearMap,
    model: LayerModel,
    pair: PairShare,
    walk: Walk,
    common: Prg,
    label: Label,
    party: Party,
    *,
    progress: Progress | None = None,
) -> tuple[PairShare, Ops]:
    """Return this server's shares of z = W x + b and of sk*z: SecConv and SecFC, Protocol 2 of [PEH20], no message.

    Protocol:   for each output, with i over its window:
                1. E1: h' = prod alpha_i^(-sx_i') beta_i^(x_i'); E2: h'' = prod alpha_i^(sx_i'') beta_i^(-x_i''), so
                   that h' = h'' g^(w.x)
                2. both multiply by the same random element, derived from `common` and `label`
                3. both walk to the first distinguished point: mu', mu''
                4. <z> = (-mu' + b', mu'' + b'')
                5. the same with [sk^(j) w] gives <sk^(j) w.x>; <sk z> = sum_j 2^(j-1) <sk^(j) w.x> + <sk b>
    Repairs:    products are accumulated over the window, in the exponent, and converted once an output (the text never
                sums, and converts once a weight); the bias is added once (the text: once a weight); <sk b> is shared
                and added (the text adds b to the key-bit shares); E2's share is mu'' (line 9 assigns mu'); a
                distinguished point is a run of w zeros under a common key and a label (the text's phi hits zero with
                probability 1/q); Theta has a defined outcome (`Walk`); the last layer needs no <sk z> (a model without
                key bits)
    Shapes:     pair (batch, inputs) -> (batch, outputs), channel-major
    Scale:      weights 10^d, pair 10^(nd), bias and output 10^((n+1)d); nothing is rescaled
    Requires:   |z| <= max_value(group); both servers give the same walk, common key, label and layer, the label once
    Error:      each conversion of a value v fails with `ddlog.failure_probability(v)`; undetected
    Leaks:      nothing; but the time depends on the shares
    """
    grp = group(model.group_name)
    batch, rows = len(pair.x), model.ciphertexts.shape[0] * model.ciphertexts.shape[1]
    bases = model.ciphertexts.reshape(rows, -1)
    terms = Exponents.of(grp, exponents(grp, layer, pair, party))
    width = batch * layer.positions
    mu = np.empty((rows, width), np.int64)
    block = _block_rows(grp, width)
    for at in range(0, rows, block):
        powers = terms.product(bases[at : at + block]).T
        starts = blind(grp, powers, common.child("ddlog", *label, at))
        mu[at : at + block] = steps(grp, starts, walk)
        if progress is not None:
            progress(min(at + block, rows) * width, mu.size)
    ops = linear_ops(layer, grp, walk, batch, keybits=model.keybits)
    shares = (-mu if party is Party.E1 else mu).reshape(-1, layer.out_channels, batch, layer.positions)
    z = shares.transpose(0, 2, 1, 3).reshape(-1, batch, layer.outputs)
    out = PairShare(layer.add_bias(z[0], model.bias), combine_key_bits(grp, layer, z[1:], model.sk_bias))
    return out, Ops(ops.exponentiations, ops.conversions, int(mu.sum()))


def _block_rows(grp: Group, width: int) -> int:
    """Return ciphertext rows a block: bounds memory in `toy32`, one row at a time elsewhere."""
    return max(_BLOCK // width, 1) if isinstance(grp, ToyGroup) else 1


def exponents(grp: Group, layer: LinearMap, pair: PairShare, party: Party) -> Ints:
    """Return (batch * positions, 2 * fan_in) exponents of alpha, beta, alpha, ...: step 1, signs by party."""
    if pair.skx is None:
        raise ValueError("a linear layer needs <sk*x>; the layer before it was run without key bits")
    alpha, beta = grp.exponents(pair.skx), grp.exponents(pair.x)
    if party is Party.E1:
        alpha = grp.exponents(-pair.skx)
    else:
        beta = grp.exponents(-pair.x)
    terms = np.stack([layer.columns(alpha), layer.columns(beta)], axis=-1)
    return terms.reshape(-1, 2 * layer.fan_in)


def combine_key_bits(grp: Group, layer: LinearMap, z: Ints, sk_bias: Ints | None) -> Ints | None:
    """Return sum_j 2^(j-1) z_j + <sk b>: equation 4 of the paper. z (l, batch, outputs)."""
    if sk_bias is None:
        return None
    total: Ints = np.zeros(z.shape[1:], np.int64)
    if not isinstance(grp, ToyGroup):
        total = grp.exponents(total)
    for share in z[::-1]:
        total = (2 * total + share) % grp.q if isinstance(grp, ToyGroup) else 2 * total + share
    return layer.add_bias(total, sk_bias)


def _both(pair: PairShare, change: Callable[[Ints], Ints]) -> PairShare:
    return PairShare(change(pair.x), None if pair.skx is None else change(pair.skx))


def add(a: PairShare, b: PairShare) -> PairShare:
    """Return the pair of a + b."""
    return PairShare(a.x + b.x, None if a.skx is None or b.skx is None else a.skx + b.skx)


def subtract(a: PairShare, b: PairShare) -> PairShare:
    """Return the pair of a - b."""
    return PairShare(a.x - b.x, None if a.skx is None or b.skx is None else a.skx - b.skx)


def select(keep: NDArray[np.bool_], a: PairShare, b: PairShare | None = None) -> PairShare:
    """Return a where the public bit is set, else b, or zero shares as SecReLU does (Protocol 3, lines 3-7)."""
    if b is None:
        return _both(a, lambda v: np.where(keep, v, 0))
    other = b.skx if a.skx is not None else None
    skx = None if a.skx is None or other is None else np.where(keep, a.skx, other)
    return PairShare(np.where(keep, a.x, b.x), skx)


def take(pair: PairShare, index: NDArray[np.intp]) -> PairShare:
    """Return the elements that index (m,) or (batch, m) names in each sample: a pool's windows, or its winners."""
    if index.ndim == 1:
        return _both(pair, lambda v: v[:, index])
    return _both(pair, lambda v: np.take_along_axis(v, index, axis=1))


def pool_sum(
    pair: PairShare, shape: tuple[int, ...], window: tuple[int, ...], steps: tuple[int, ...] | None = None
) -> PairShare:
    """Return the sum over each window: SecPool's mean without its factor, with no message.

    Repair: the text multiplies by the inverse of the window's size mod q, which is right only if the sum divides
    exactly; here the factor stays in the scale.
    """
    index = pool_windows(shape, window, steps or window)
    return _both(pair, lambda v: v[:, index].sum(axis=2))


def result_share(pair: PairShare, bits: int, common: Prg, label: Label, party: Party) -> NDArray[np.uint64]:
    """Return the share mod 2^bits of the last layer's output, re-randomised: E1 adds a pad, E2 subtracts it.

    The pad is derived from the servers' common key; without it HC would see walk counts, which depend on more than the
    result.
    """
    pad = common.child("result", *label).ring(pair.shape, bits)
    share = pair.ring(bits)
    return reduce(share + pad if party is Party.E1 else share - pad, bits)
