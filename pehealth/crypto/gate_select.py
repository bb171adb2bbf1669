"""Maximum and selection in one round, for argmax: y = max(0, x), and Delta where x >= 0, 0 elsewhere.

With x = a - b and Delta = i_a - i_b: b + y is the greater number and i_b + the selection its index; of equals, a's.
Beside x^, Delta^ = Delta + rho is opened. The comparison of `gate_max` carries one more word, s rho, and r_m rho is
dealt. In that notation [x >= 0] = r_m + s c if t = 0, and 1 - r_m - s c if t = 1, so with
Q = r_m Delta^ - r_m rho + V_s Delta^ - V_(s rho) the selection is Q if t = 0, and Delta^ - rho - Q if t = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pehealth.config import Party
from pehealth.crypto import dcf, gate_max, ring
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
class SelectGate:
    """max(0, x) and Delta * [x >= 0], mod 2^ring.

    Attributes:
        ring: k, 8 to 64.
    """

    ring: int
    masks: ClassVar[int] = 2
    terms: ClassVar[int] = 3

    def __post_init__(self) -> None:
        check_ring("select", self.ring)

    @property
    def comparison(self) -> DcfSpec:
        """Three words over k - 1 bits."""
        return DcfSpec(self.ring - 1, self.ring, 3)

    @property
    def span(self) -> tuple[int, int]:
        """All of the ring, for x and for Delta."""
        return -(1 << (self.ring - 1)), 1 << (self.ring - 1)


def deal(r: Words, rho: Words, gate: SelectGate, seed1: Prg, rng: Prg) -> Dealt[SelectGate]:
    """Return the material of len(r) gates; r masks x, rho masks Delta, both uniform below 2^ring."""
    alpha, beta, terms = gate_max.payload(gate, r)
    beta = np.concatenate([beta, (beta[0] * rho)[None]])
    terms = np.concatenate([terms, (terms[0] * rho)[None]])
    return share(gate, np.stack([r, rho]), terms, (alpha, beta), seed1, rng)


def evaluate(party: Party, x_hat: Words, delta_hat: Words, material: Material[SelectGate]) -> tuple[Words, Words]:
    """Return this server's shares of max(0, x) and of Delta * [x >= 0].

    Shapes:     x_hat, delta_hat (count,) below 2^ring, opened in one round -> two of (count,) below 2^ring
    Cost:       none on a link; one comparison a gate
    Error:      none
    Leaks:      nothing
    Reference:  [BCG21]
    """
    check_input(material, x_hat, delta_hat)
    top, low = split_low(x_hat, material.gate.ring)
    v_s, v_w, v_rho = dcf.evaluate(party.half, material.comparison, material.half.roots, low)
    greater = gate_max.combine(party, x_hat, v_s, v_w, material)
    r_m, _, r_m_rho = material.half.terms
    q = (r_m + v_s) * delta_hat - r_m_rho - v_rho
    plain = delta_hat if party is Party.E1 else np.zeros_like(delta_hat)
    selected = np.where((ONE - top).astype(bool), plain - material.half.masks[1] - q, q)
    mod = ring.mask(material.gate.ring)
    return greater & mod, selected & mod


def oracle(x: Signed, delta: Signed, gate: SelectGate) -> tuple[Signed, Signed]:
    """Return what the shares sum to, whatever the masks."""
    check_span(gate, x)
    return np.maximum(x, 0), np.where(x >= 0, delta, 0)
