"""What all gates share: a public description, one-time material in two halves, and how it is split.

A gate takes a public masked input x^ = x + r mod 2^k, which both servers opened, and gives each a share of f(x). The
dealer knows the mask r beforehand and deals, for each element,

    masks     shares of r (and of the masks of further inputs)
    terms     shares of a few words that f's formula needs
    common    the correction words of one comparison function, the same for both servers (most of the bytes)
    roots     a server's own root seeds of that function

E1's half is a pure function of one generator (`expand_first`); E2's masks and terms are the values less E1's half,
given explicitly, and its roots come from a seed of 32 bytes. Material is used once: two inputs opened under one mask
tell their difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pehealth.config import Party
from pehealth.crypto import dcf, ring
from pehealth.crypto.dcf import DcfCommon, DcfSpec
from pehealth.crypto.mmo import Blocks
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import Words
from pehealth.errors import RangeError

Signed = NDArray[np.int64]
"""Centred representatives of ring elements."""

MIN_RING, MAX_RING = 8, 64
ONE = np.uint64(1)


class Gate(Protocol):
    """The public description of a gate."""

    @property
    def ring(self) -> int:
        """k: shares are mod 2^k."""
        ...

    @property
    def comparison(self) -> DcfSpec | None:
        """Sizes of its comparison function; None if it needs none."""
        ...

    @property
    def masks(self) -> int:
        """Masked inputs of an element."""
        ...

    @property
    def terms(self) -> int:
        """Dealt words of an element."""
        ...

    @property
    def span(self) -> tuple[int, int]:
        """(low, high): the gate is right for every x with low <= x < high."""
        ...


G = TypeVar("G", bound=Gate)


@dataclass(frozen=True, slots=True)
class Half:
    """One server's own part of a layer of gates.

    Attributes:
        masks: (masks, count) shares of the input masks.
        terms: (terms, count) shares.
        roots: (count, 2) root seeds; (0, 2) for a gate without a comparison.
    """

    masks: Words = field(repr=False)
    terms: Words = field(repr=False)
    roots: Blocks = field(repr=False)


@dataclass(frozen=True, slots=True)
class Material(Generic[G]):
    """What one server needs for one layer of gates, once."""

    gate: G
    common: DcfCommon | None
    half: Half

    @property
    def count(self) -> int:
        """Gates."""
        return len(self.half.masks[0])

    @property
    def mask(self) -> Words:
        """(count,) this server's share of r, which it adds to its share of x before the opening."""
        mask: Words = self.half.masks[0]
        return mask

    @property
    def comparison(self) -> DcfCommon:
        """The comparison's common part, of a gate that has one."""
        if self.common is None:
            raise ValueError(f"{self.gate} has no comparison")
        return self.common


@dataclass(frozen=True, slots=True)
class Dealt(Generic[G]):
    """What the dealer made for one layer of gates.

    Attributes:
        gate: the public description.
        common: what both servers get; None for a gate without a comparison.
        first, second: the halves of E1 and E2.
        second_seed: the 32 bytes behind E2's roots; with `second.masks` and `second.terms` it is all that E2 alone
            gets. E1 alone gets nothing but the key of the generator that `deal` was given.
    """

    gate: G
    common: DcfCommon | None
    first: Half
    second: Half
    second_seed: bytes = field(repr=False)

    def material(self, party: Party) -> Material[G]:
        """Return the material of one server."""
        return Material(self.gate, self.common, (self.first, self.second)[party.half])


def check_ring(gate: str, bits: int, scale: int = 1) -> None:
    """Raise RangeError unless `gate` can work mod 2^bits with this scale."""
    if not MIN_RING <= bits <= MAX_RING:
        raise RangeError(f"{gate}: a ring of {bits} bits; {MIN_RING} to {MAX_RING} bits work")
    if not 1 <= scale < 2 ** (bits - 2):
        raise RangeError(f"{gate}: a scale of {scale} does not fit {bits} bits; take fewer digits or a larger ring")


def expand_first(gate: Gate, count: int, seed: Prg) -> Half:
    """Return E1's half: uniform words, all from `seed`."""
    roots = dcf.root_seeds(seed.child("roots"), 0, count if gate.comparison else 0)
    return Half(*_uniform(gate, count, seed), roots)


def restore_second(gate: Gate, seed: bytes, masks: Words, terms: Words) -> Half:
    """Return E2's half from what it was sent."""
    roots = dcf.root_seeds(Prg(seed), 1, masks.shape[1] if gate.comparison else 0)
    return Half(masks, terms, roots)


def _uniform(gate: Gate, count: int, seed: Prg) -> tuple[Words, Words]:
    masks = seed.child("masks").ring((gate.masks, count), gate.ring)
    return masks, seed.child("terms").ring((gate.terms, count), gate.ring)


def share(gate: G, masks: Words, terms: Words, compare: tuple[Words, Words] | None, seed1: Prg, rng: Prg) -> Dealt[G]:
    """Split a layer's words between the servers and deal its comparison.

    Args:
        gate: the public description.
        masks: (gate.masks, count) below 2^ring, uniform.
        terms: (gate.terms, count), taken mod 2^ring.
        compare: (alpha, beta) of the comparison function; None for a gate without one.
        seed1: E1's generator for this layer and query.
        rng: the dealer's own randomness.
    """
    mod, second_seed = ring.mask(gate.ring), rng.key()
    masks1, terms1 = _uniform(gate, masks.shape[1], seed1)
    common, roots = None, (np.empty((0, 2), np.uint64),) * 2
    if gate.comparison is not None and compare is not None:
        keys = dcf.deal(gate.comparison, *compare, (seed1.child("roots"), Prg(second_seed)), rng)
        common, roots = keys.common, keys.roots
    return Dealt(
        gate,
        common,
        Half(masks1, terms1, roots[0]),
        Half((masks - masks1) & mod, (terms - terms1) & mod, roots[1]),
        second_seed,
    )


def split_low(words: Words, bits: int) -> tuple[Words, Words]:
    """Return (most significant bit, the bits - 1 low ones) of each word of `bits` bits."""
    return words >> np.uint64(bits - 1), words & ring.mask(bits - 1)


def check_span(gate: Gate, x: Signed) -> None:
    """Raise RangeError if an oracle is asked for an x for which the gate is not specified."""
    low, high = gate.span
    if x.size and not (low <= int(x.min()) and int(x.max()) < high):
        raise RangeError(f"{gate} takes {low} <= x < {high}; {int(x.min())} to {int(x.max())} came; use a larger ring")


def check_input(material: Material[G], *inputs: Words) -> None:
    """Raise ValueError unless every opened input has one element a gate: our own mistake."""
    for x in inputs:
        if x.shape != (material.count,):
            raise ValueError(f"{material.gate} has material for {material.count} gates; the input has shape {x.shape}")
