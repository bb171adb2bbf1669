"""The maximum of two shared numbers: y = max(0, x) without a change of scale, max(a, b) = b + y(a - b).

Notation of `gate_relu`, with S = 1. As 2h = 0 mod 2^k, both cases need the same payload (s, -s r_l + (1 - r_m) h):

    t = 0:  y =   V_s x^_l + V_w           + x^_l r_m - r_m r_l
    t = 1:  y = -(V_s (x^_l + h) + V_w)    + x^_l (1 - r_m) - r_l + r_m r_l

The share of r_l is r less h r_m, so only r_m and -r_m r_l are dealt. Exact for every x [BCG21].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pehealth.config import Party
from pehealth.crypto import dcf, ring
from pehealth.crypto.dcf import DcfSpec
from pehealth.crypto.gates import (
    ONE,
    Dealt,
    G,
    Gate,
    Material,
    Signed,
    check_input,
    check_ring,
    check_span,
    share,
    split_low,
)
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import Words


@dataclass(frozen=True, slots=True)
class MaxGate:
    """max(0, x) mod 2^ring; as max(a, b) it needs |a|, |b| < 2^(ring - 2).

    Attributes:
        ring: k, 8 to 64.
    """

    ring: int
    masks: ClassVar[int] = 1
    terms: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_ring("max", self.ring)

    @property
    def comparison(self) -> DcfSpec:
        """Two words over k - 1 bits."""
        return DcfSpec(self.ring - 1, self.ring, 2)

    @property
    def span(self) -> tuple[int, int]:
        """All of the ring."""
        return -(1 << (self.ring - 1)), 1 << (self.ring - 1)


def payload(gate: Gate, r: Words) -> tuple[Words, Words, Words]:
    """Return alpha = r_l, the payload (2, count) and the terms (2, count) of a maximum masked by r."""
    sign, low = split_low(r, gate.ring)
    factor = ONE - (sign << ONE)
    offset = (ONE - sign) << np.uint64(gate.ring - 1)
    return low, np.stack([factor, offset - factor * low]), np.stack([sign, np.negative(sign * low)])


def combine(party: Party, x_hat: Words, v_s: Words, v_w: Words, material: Material[G]) -> Words:
    """Return the share of max(0, x), not reduced, from the comparison's words and the first two terms."""
    top, low = split_low(x_hat, material.gate.ring)
    half = np.uint64(material.gate.ring - 1)
    t = ONE - top
    r_m, r_product = material.half.terms[:2]
    r_low = material.mask - (r_m << half)
    y = v_s * (low + (t << half)) + v_w + low * r_m + r_product
    plain = low if party is Party.E1 else np.zeros_like(low)
    out: Words = np.where(t.astype(bool), plain - r_low - y, y)
    return out


def deal(r: Words, gate: MaxGate, seed1: Prg, rng: Prg) -> Dealt[MaxGate]:
    """Return the material of len(r) gates; see `gate_relu.deal`."""
    alpha, beta, terms = payload(gate, r)
    return share(gate, r[None], terms, (alpha, beta), seed1, rng)


def evaluate(party: Party, x_hat: Words, material: Material[MaxGate]) -> Words:
    """Return this server's share of max(0, x).

    Shapes:     x_hat (count,) below 2^ring, opened -> (count,) below 2^ring
    Cost:       none on a link; one comparison a gate
    Error:      none
    Leaks:      nothing
    Reference:  [BCG21]
    """
    check_input(material, x_hat)
    _, low = split_low(x_hat, material.gate.ring)
    v_s, v_w = dcf.evaluate(party.half, material.comparison, material.half.roots, low)
    return combine(party, x_hat, v_s, v_w, material) & ring.mask(material.gate.ring)


def oracle(x: Signed, _r: Words, gate: MaxGate) -> Signed:
    """Return what the shares sum to: max(0, x), whatever the mask."""
    check_span(gate, x)
    return np.maximum(x, 0)
