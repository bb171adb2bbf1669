"""ReLU that brings the scale back down: y = max(0, x) / S from one opened x^ and one comparison [BCG21].

With h = 2^(k-1), x^ = x^_m h + x^_l, r = r_m h + r_l, t = 1 - x^_m, a = floor(x^_l / S), c = [x^_l < r_l] and
u = t xor r_m, the sign of x is u xor 1 xor c (1: not negative), and

    u = 0:  y = c (a + A_1)        A_1 = ceil((h - r_l) / S)
    u = 1:  y = (1 - c)(a + A_0)   A_0 = -floor(r_l / S)

Both come from one function with payload (s, w_0, w_1), s = 1 - 2 r_m, of which a server reads s and w_t, and from
shares of r_m, r_m A_0 and (1 - r_m) A_0. Write x = S T + phi, 0 <= phi < S: for x >= 0 the result is
T + [phi > x^_l mod S], so floor or ceiling of x / S.

Low bits nu with 2^nu <= S are left out of the comparison, made inclusive: c changes only where their high parts
are equal and x^_l >= r_l. If u = 1 then 0 <= x < 2^nu, and y is 0 where it was 0 or 1; if u = 0 then
x < -h + 2^nu, which `span` excludes.
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
class ReluGate:
    """max(0, x) / scale mod 2^ring.

    Attributes:
        ring: k, 8 to 64.
        scale: S, any integer from 1: 10^d times the window of a mean pooling.
    """

    ring: int
    scale: int
    masks: ClassVar[int] = 1
    terms: ClassVar[int] = 3

    def __post_init__(self) -> None:
        check_ring("ReLU", self.ring, self.scale)

    @property
    def dropped(self) -> int:
        """nu: low bits left out of the comparison, the most with 2^nu <= S."""
        return self.scale.bit_length() - 1

    @property
    def comparison(self) -> DcfSpec:
        """Three words over k - 1 - nu bits; inclusive if bits are left out."""
        return DcfSpec(self.ring - 1 - self.dropped, self.ring, 3, inclusive=self.dropped > 0)

    @property
    def span(self) -> tuple[int, int]:
        """All of the ring; with low bits left out, without the 2^nu lowest values."""
        half = 1 << (self.ring - 1)
        return -half + (1 << self.dropped if self.dropped else 0), half


def deal(r: Words, gate: ReluGate, seed1: Prg, rng: Prg) -> Dealt[ReluGate]:
    """Return the material of len(r) gates.

    Args:
        r: (count,) uniform below 2^ring: the input masks.
        gate: the public description.
        seed1: E1's generator for this layer and query; E1's half is a function of it alone.
        rng: the dealer's own randomness.
    """
    scale = np.uint64(gate.scale)
    sign, low = split_low(r, gate.ring)
    shift_0 = np.negative(low // scale)
    shift_1 = (np.uint64(2 ** (gate.ring - 1)) - low + scale - ONE) // scale
    negative = sign.astype(bool)
    beta = np.stack(
        [
            ONE - (sign << ONE),
            np.where(negative, np.negative(shift_0), shift_1),
            np.where(negative, shift_1, np.negative(shift_0)),
        ]
    )
    terms = np.stack([sign, sign * shift_0, (ONE - sign) * shift_0])
    return share(gate, r[None], terms, (low >> np.uint64(gate.dropped), beta), seed1, rng)


def evaluate(party: Party, x_hat: Words, material: Material[ReluGate]) -> Words:
    """Return this server's share of max(0, x) / S.

    Shapes:     x_hat (count,) below 2^ring, opened -> (count,) below 2^ring
    Cost:       none on a link; one comparison a gate
    Error:      |y - x/S| < 1, y = 0 for x <= 0, mean 0 over the mask; x in `gate.span`
    Leaks:      nothing
    Reference:  [BCG21]
    """
    check_input(material, x_hat)
    gate = material.gate
    top, low = split_low(x_hat, gate.ring)
    t = ONE - top
    a = low // np.uint64(gate.scale)
    v_s, v_w = dcf.evaluate(
        party.half, material.comparison, material.half.roots, low >> np.uint64(gate.dropped), pick=t
    )
    e_s, e_0, e_1 = material.half.terms
    y: Words = a * (v_s + e_s)
    y *= ONE - (t << ONE)
    y += v_w
    y += np.where(t.astype(bool), e_1 + a if party is Party.E1 else e_1, e_0)
    y &= ring.mask(gate.ring)
    return y


def oracle(x: Signed, r: Words, gate: ReluGate) -> Signed:
    """Return exactly what the shares sum to when x is masked by r.

    Raises:
        RangeError: an x outside `gate.span`.
    """
    check_span(gate, x)
    x_top, x_low = split_low((ring.from_signed(x, gate.ring) + r) & ring.mask(gate.ring), gate.ring)
    r_top, r_low = split_low(r, gate.ring)
    scale = np.int64(gate.scale)
    up = x % scale > (x_low % np.uint64(gate.scale)).astype(np.int64)
    y = x // scale + up
    if gate.dropped:
        nu = np.uint64(gate.dropped)
        y[(x_top == r_top) & (x_low >> nu == r_low >> nu)] = 0
    y[x <= 0] = 0
    return y
