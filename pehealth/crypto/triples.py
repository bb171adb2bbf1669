"""Beaver triples [Bea91]: shares of random a, b and of c = a b, to multiply shared values with one opening.

For bits, packed eight to a byte, sharing is by XOR and the product AND; for words mod 2^k it is additive. Each server
expands its part from a 32-byte seed, but for E2's c, the only part that must be sent. Whoever deals knows everything
and must not see the openings. A triple serves one product; who enforces that is the store of one-time material.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import reduce

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False, repr=False)
class BitTriples:
    """One server's XOR shares of bits a, b, c = a AND b: uint8 arrays of one shape, eight triples a byte."""

    a: Bytes
    b: Bytes
    c: Bytes

    def __repr__(self) -> str:
        return f"<BitTriples {self.a.shape} bytes>"


@dataclass(frozen=True, eq=False, repr=False)
class RingTriples:
    """One server's additive shares mod 2^bits of a, b, c = a b: uint64 arrays of one shape."""

    a: Words
    b: Words
    c: Words
    bits: int

    def __repr__(self) -> str:
        return f"<RingTriples {self.a.shape} mod 2^{self.bits}>"


def _bytes(seed: Prg, name: str, shape: tuple[int, ...]) -> Bytes:
    return np.frombuffer(seed.child("bit triples", name).bytes(int(np.prod(shape))), np.uint8).reshape(shape)


def bit_triples_e1(shape: tuple[int, ...], seed: Prg) -> BitTriples:
    """Return E1's triples; `shape` counts bytes."""
    return BitTriples(_bytes(seed, "a", shape), _bytes(seed, "b", shape), _bytes(seed, "c", shape))


def bit_triples_e2(shape: tuple[int, ...], seed: Prg, c2: Bytes) -> BitTriples:
    """Return E2's triples from its seed and the c that it was sent."""
    return BitTriples(_bytes(seed, "a", shape), _bytes(seed, "b", shape), c2.reshape(shape))


def deal_bit_triples(shape: tuple[int, ...], seed1: Prg, seed2: Prg) -> Bytes:
    """Return E2's c for 8 * prod(shape) triples; E1 gets seed1's key, E2 seed2's."""
    one = bit_triples_e1(shape, seed1)
    a = one.a ^ _bytes(seed2, "a", shape)
    b = one.b ^ _bytes(seed2, "b", shape)
    return (a & b) ^ one.c


def _words(seed: Prg, name: str, shape: tuple[int, ...], bits: int) -> Words:
    return seed.child("ring triples", name).ring(shape, bits)


def ring_triples_e1(shape: tuple[int, ...], bits: int, seed: Prg) -> RingTriples:
    """Return E1's triples mod 2^bits."""
    a, b, c = (_words(seed, name, shape, bits) for name in "abc")
    return RingTriples(a, b, c, bits)


def ring_triples_e2(shape: tuple[int, ...], bits: int, seed: Prg, c2: Words) -> RingTriples:
    """Return E2's triples from its seed and the c that it was sent."""
    return RingTriples(_words(seed, "a", shape, bits), _words(seed, "b", shape, bits), c2.reshape(shape), bits)


def deal_ring_triples(shape: tuple[int, ...], bits: int, seed1: Prg, seed2: Prg) -> Words:
    """Return E2's c for prod(shape) triples mod 2^bits."""
    one = ring_triples_e1(shape, bits, seed1)
    a = one.a + _words(seed2, "a", shape, bits)
    b = one.b + _words(seed2, "b", shape, bits)
    return reduce(a * b - one.c, bits)
