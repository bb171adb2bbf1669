"""Names and settings that every layer shares: parties, engines, groups, the parameters of a run."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

Reveal = Literal["logits", "class"]
"""What the centre receives: all logits, or the class alone."""


class Party(enum.StrEnum):
    """Who takes part. Several sensors are "HMS1", "HMS2", ...; a single one is "HMS1" too."""

    E1 = "E1"
    E2 = "E2"
    HC = "HC"
    HMS = "HMS"
    DEALER = "DEALER"

    @property
    def half(self) -> int:
        """0 for E1, 1 for E2: which half of a sharing the server holds."""
        return {Party.E1: 0, Party.E2: 1}[self]

    @property
    def other(self) -> Party:
        """The other server."""
        return {Party.E1: Party.E2, Party.E2: Party.E1}[self]


class Engine(enum.StrEnum):
    """How linear layers are computed."""

    PAPER = "paper"
    DEALT = "dealt"
    RLWE = "rlwe"
    DDH = "ddh"


class GroupName(enum.StrEnum):
    """The groups of `paper` and `ddh`. `toy32` is INSECURE: a discrete logarithm in it takes milliseconds."""

    TOY32 = "toy32"
    MODP1536 = "modp1536"
    MODP2048 = "modp2048"
    MODP3072 = "modp3072"


SECURITY_BITS = {
    GroupName.TOY32: 16,
    GroupName.MODP1536: 90,
    GroupName.MODP2048: 112,
    GroupName.MODP3072: 128,
}
"""Estimated bits of security: RFC 3526 section 8 and NIST SP 800-57; `toy32` by Pollard's rho."""

INSECURE_BELOW_BITS = 112


@dataclass(frozen=True, slots=True)
class Parameters:
    """The public settings on which every party of a run must agree; they are compared in the handshake.

    Attributes:
        engine: how linear layers are computed.
        digits: d; a real number x0 is carried as floor(x0 * 10^d).
        group: the group of `paper` and `ddh`; None elsewhere.
        walk: w of the DDLog: a point is distinguished when w bits are zero. None where nothing walks.
        cap: the paper's Theta, the greatest number of steps of one walk. None where nothing walks.
        ring: k; masked engines compute mod 2^k, SecCmp compares l = k bits.
        lattice: name of the lattice parameter set of `rlwe`; None elsewhere.
        splits: how `ddh` splits and converts each layer (`pehealth.engines.ddh_plan`); `walk` and `cap` are then those
            of the layer with the longest walk. None elsewhere.
        batch: samples in a query.
        sensors: how many sensors assemble a query.
        reveal: what the centre receives.
    """

    engine: Engine
    digits: int
    ring: int
    group: GroupName | None = None
    walk: int | None = None
    cap: int | None = None
    lattice: str | None = None
    batch: int = 1
    sensors: int = 1
    reveal: Reveal = "logits"
    splits: str | None = None

    @property
    def security_bits(self) -> int:
        """Bits of security of the weakest assumption in use."""
        return SECURITY_BITS[self.group] if self.group is not None else 128

    @property
    def insecure(self) -> bool:
        """True below 112 bits; whoever shows a result must show this too."""
        return self.security_bits < INSECURE_BELOW_BITS

    def fields(self) -> dict[str, str]:
        """Every setting as text, for a handshake that names the first one that differs."""
        return {f.name: str(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def digest(self) -> bytes:
        """SHA-256 of the settings in canonical JSON."""
        return hashlib.sha256(json.dumps(self.fields(), sort_keys=True).encode()).digest()
