"""Bring the scale back down without a ReLU: y = x / S for signed x, from one opened x^ and no comparison.

Keep x one bit below the ring, q = 2^(k-2), -q <= x < q, and let X = x + q, so 0 <= X < 2^(k-1). The servers know
X^ = x^ + q = X + r mod 2^k. X has no top bit, so whether the sum wrapped is told by two bits, one public and one the
dealer's: wrapped = r_m and not X^_m. Over the integers x = X^ - q - r + wrapped 2^k, hence

    y = floor(X^ / S) + C,     C = ceil((-q - r) / S), or ceil((2^k - q - r) / S) if it wrapped,

that is ceil((x - X^ mod S) / S): floor or ceiling of x / S. The dealer shares C for both values of X^_m. It is the
lift of a masked value to the integers, with rounding: perfect secrecy, no function secret sharing key, no AES.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pehealth.config import Party
from pehealth.crypto import ring
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
class RescaleGate:
    """x / scale mod 2^ring, signed.

    Attributes:
        ring: k, 8 to 64.
        scale: S, any integer from 1.
    """

    ring: int
    scale: int
    masks: ClassVar[int] = 1
    terms: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_ring("rescale", self.ring, self.scale)

    @property
    def comparison(self) -> DcfSpec | None:
        """None is needed."""
        return None

    @property
    def offset(self) -> int:
        """Q = 2^(ring - 2)."""
        return 1 << (self.ring - 2)

    @property
    def span(self) -> tuple[int, int]:
        """One bit below the ring: [-2^(ring-2), 2^(ring-2))."""
        return -self.offset, self.offset


def deal(r: Words, gate: RescaleGate, seed1: Prg, rng: Prg) -> Dealt[RescaleGate]:
    """Return the material of len(r) gates; see `gate_relu.deal`."""
    q, scale, mod = np.uint64(gate.offset), np.uint64(gate.scale), ring.mask(gate.ring)
    # floor((q + r) / S) by parts: q + r itself may not fit 64 bits.
    kept = np.negative(q // scale + r // scale + (q % scale + r % scale) // scale)
    # Only used where r_m = 1, and then 2^k - q - r lies in (-q, q].
    wrapped = -(np.negative((mod - r - q + ONE).view(np.int64)) // np.int64(gate.scale))
    sign, _ = split_low(r, gate.ring)
    terms = np.stack([np.where(sign.astype(bool), wrapped.view(np.uint64), kept), kept])
    return share(gate, r[None], terms, None, seed1, rng)


def evaluate(party: Party, x_hat: Words, material: Material[RescaleGate]) -> Words:
    """Return this server's share of x / S.

    Shapes:     x_hat (count,) below 2^ring, opened -> (count,) below 2^ring
    Cost:       none on a link; no comparison
    Error:      |y - x/S| < 1, mean 0 over the mask; never of the wrong sign; x in `gate.span`
    Leaks:      nothing
    """
    check_input(material, x_hat)
    gate, mod = material.gate, ring.mask(material.gate.ring)
    shifted = (x_hat + np.uint64(gate.offset)) & mod
    top, _ = split_low(shifted, gate.ring)
    y = material.half.terms[top.astype(np.intp), np.arange(material.count)]
    if party is Party.E1:
        y += shifted // np.uint64(gate.scale)
    return y & mod


def oracle(x: Signed, r: Words, gate: RescaleGate) -> Signed:
    """Return exactly what the shares sum to when x is masked by r.

    Raises:
        RangeError: an x outside `gate.span`.
    """
    check_span(gate, x)
    shifted = (ring.from_signed(x + np.int64(gate.offset), gate.ring) + r) & ring.mask(gate.ring)
    scale = np.int64(gate.scale)
    return x // scale + (x % scale > (shifted % np.uint64(gate.scale)).astype(np.int64))
