"""Residues, packed words, and rounding between Z_{2^k} and Z_q, against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.crypto.lattice.parameters import N4096, N8192, LatticeParameters
from pehealth.crypto.lattice.residues import (
    compose,
    from_words,
    reduce,
    residues,
    subtract,
    to_words,
    uniform,
    word_bits,
)
from pehealth.crypto.lattice.rounding import encode, round_to_ring
from pehealth.crypto.prg import Prg

SETS = (N4096, N8192)
BOTH = pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)


def split(values: list[int], parameters: LatticeParameters) -> np.ndarray:
    return np.array([[v % p for v in values] for p in parameters.primes], np.uint64)


def rounded(c: int, ring: int, q: int) -> int:
    """floor(2^k c / q + 1/2) mod 2^k."""
    return ((c << (ring + 1)) + q) // (2 * q) % (1 << ring)


@BOTH
@given(data=st.data(), ring=st.integers(8, 64))
def test_products_round_to_the_ring_as_integers_do(
    parameters: LatticeParameters, data: st.DataObject, ring: int
) -> None:
    q = parameters.modulus
    values = data.draw(st.lists(st.integers(0, q - 1), min_size=1, max_size=5))
    got = round_to_ring(split(values, parameters), ring, parameters)
    assert got.tolist() == [rounded(v, ring, q) for v in values]


@BOTH
@pytest.mark.parametrize("ring", [8, 32, 40, 48, 63, 64])
def test_rounding_is_exact_on_both_sides_of_every_tie(parameters: LatticeParameters, ring: int) -> None:
    """The values next to (u + 1/2) q / 2^k: nearer to the tie than 96 bits can tell."""
    q, values = parameters.modulus, [0, 1, parameters.modulus - 1]
    for u in (0, 1, 12345 % (1 << ring), (1 << ring) - 2, (1 << ring) - 1):
        tie = ((2 * u + 1) * q) >> (ring + 1)
        values += [v % q for v in range(tie - 3, tie + 4)]
    assert round_to_ring(split(values, parameters), ring, parameters).tolist() == [rounded(v, ring, q) for v in values]


@BOTH
@given(ring=st.integers(8, 64), data=st.data())
def test_weights_are_scaled_to_the_nearest_multiple(
    parameters: LatticeParameters, ring: int, data: st.DataObject
) -> None:
    h = 1 << (ring - 1)
    values = data.draw(st.lists(st.integers(-h + 1, h - 1), min_size=1, max_size=5))
    got = compose(encode(np.array(values, np.int64), ring, parameters), parameters.primes)
    q = parameters.modulus
    for v, m in zip(values, got, strict=True):
        error = (m - (q * v >> ring)) % q
        assert error in {0, 1}
        assert abs(((q * v >> ring) + error << ring) - q * v) * 2 <= 1 << ring


@BOTH
def test_words_hold_residues_without_loss(parameters: LatticeParameters) -> None:
    primes = parameters.primes
    top = np.array(primes, np.uint64)[:, None] - np.uint64(1)
    for res in (top, np.zeros_like(top), uniform(Prg.insecure_seed(1), (2, 3, 5), primes)):
        words = to_words(res)
        widths = word_bits(len(primes))
        assert sum(widths) - 26 * len(primes) < 8
        assert [w % 8 for w in widths] == [0] * len(words)
        assert all(w.max() < 1 << bits for w, bits in zip(words, widths, strict=True) if bits < 64)
        assert np.array_equal(from_words(words, primes), res)


def test_words_of_a_peer_are_reduced() -> None:
    ones = [np.full((1,), (1 << b) - 1, np.uint64) for b in word_bits(4)]
    got = from_words(ones, N4096.primes)[:, 0]
    assert got.tolist() == [(1 << 26) - 1 - p for p in N4096.primes]


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6))
def test_signed_integers_and_residues_agree(values: list[int]) -> None:
    res = residues(np.array(values, np.int64), N4096.primes)
    assert res.dtype == np.uint64
    assert res.tolist() == [[v % p for v in values] for p in N4096.primes]
    assert compose(res, N4096.primes).tolist() == [v % N4096.modulus for v in values]


def test_reduce_and_subtract_at_their_edges() -> None:
    primes = N4096.primes
    words = np.array([[0, p - 1, p, p + 1, 2**52, 2**64 - 1] for p in primes], np.uint64)
    assert reduce(words, primes).tolist() == [[int(w) % p for w in row] for row, p in zip(words, primes, strict=True)]
    x = np.array([[0, 0, p - 1, p - 1, 5] for p in primes], np.uint64)
    y = np.array([[0, p - 1, 0, p - 1, 6] for p in primes], np.uint64)
    assert subtract(x, y, primes).tolist() == [[0, 1, p - 1, 0, p - 1] for p in primes]


def test_uniform_residues_are_uniform_and_repeatable() -> None:
    count = 1 << 16
    res = uniform(Prg.insecure_seed(7), (count,), N4096.primes)
    assert np.array_equal(res, uniform(Prg.insecure_seed(7), (count,), N4096.primes))
    for row, p in zip(res, N4096.primes, strict=True):
        assert row.max() < p
        counts = np.bincount((row * np.uint64(256) // np.uint64(p)).astype(int), minlength=256)
        # 255 degrees of freedom: mean 255, deviation 22.6; 400 is beyond six deviations
        assert ((counts - count / 256) ** 2 / (count / 256)).sum() < 400
