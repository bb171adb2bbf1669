"""Distributed comparison functions: right everywhere, and silent about alpha."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.crypto import dcf
from pehealth.crypto.dcf import DcfCommon, DcfKeys, DcfSpec
from pehealth.crypto.mmo import Mmo
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import Words, mask

COUNT = 4096


def deal(spec: DcfSpec, alpha: Words, beta: Words, seed: int = 0) -> DcfKeys:
    rng = Prg.insecure_seed(seed)
    return dcf.deal(spec, alpha, beta, (rng.child("first"), rng.child("second")), rng)


def reconstruct(keys: DcfKeys, x: Words, pick: Words | None = None) -> Words:
    first, second = (dcf.evaluate(half, keys.common, keys.roots[half], x, pick) for half in (0, 1))
    return (first + second) & mask(keys.common.spec.ring)


def expected(spec: DcfSpec, alpha: Words, beta: Words, x: Words) -> Words:
    return np.where(x <= alpha if spec.inclusive else x < alpha, beta & mask(spec.ring), np.uint64(0))


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("words", [1, 2, 3])
@pytest.mark.parametrize("domain", [1, 2, 3, 4, 6])
def test_every_alpha_and_x_of_small_domains(domain: int, words: int, inclusive: bool) -> None:
    size = 1 << domain
    alpha = np.repeat(np.arange(size, dtype=np.uint64), size)
    x = np.tile(np.arange(size, dtype=np.uint64), size)
    for ring in (8, 42, 43, 64):
        spec = DcfSpec(domain, ring, words, inclusive)
        beta = Prg.insecure_seed(ring).words64((words, size * size))
        assert np.array_equal(reconstruct(deal(spec, alpha, beta), x), expected(spec, alpha, beta, x))


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(7, 64), st.integers(8, 64), st.integers(1, 3), st.booleans())
def test_any_domain_ring_and_payload(data: st.DataObject, domain: int, ring: int, words: int, inclusive: bool) -> None:
    spec = DcfSpec(domain, ring, words, inclusive)
    alpha = np.array([data.draw(st.integers(0, (1 << domain) - 1))] * 4, np.uint64)
    beta = np.array([[data.draw(st.integers(0, 2**64 - 1))] * 4 for _ in range(words)], np.uint64)
    a = int(alpha[0])
    near = [a, max(a - 1, 0), min(a + 1, (1 << domain) - 1), data.draw(st.integers(0, (1 << domain) - 1))]
    x = np.array(near, np.uint64)
    assert np.array_equal(reconstruct(deal(spec, alpha, beta), x), expected(spec, alpha, beta, x))


@pytest.mark.parametrize("ring", [40, 64])
def test_picking_a_word_gives_what_all_words_give(ring: int) -> None:
    spec, rng = DcfSpec(20, ring, 3), Prg.insecure_seed(1)
    alpha, x, beta, pick = rng.ring(500, 20), rng.ring(500, 20), rng.ring((3, 500), ring), rng.ring(500, 1)
    keys = deal(spec, alpha, beta)
    for half in (0, 1):
        everything = dcf.evaluate(half, keys.common, keys.roots[half], x)
        two = dcf.evaluate(half, keys.common, keys.roots[half], x, pick)
        assert np.array_equal(two[0], everything[0])
        assert np.array_equal(two[1], np.where(pick.astype(bool), everything[2], everything[1]))


def test_chunks_do_not_change_keys_or_results(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, rng = DcfSpec(26, 40, 3, inclusive=True), Prg.insecure_seed(2)
    alpha, x, beta = rng.ring(100, 26), rng.ring(100, 26), rng.ring((3, 100), 40)
    whole = deal(spec, alpha, beta)
    share = dcf.evaluate(0, whole.common, whole.roots[0], x)
    monkeypatch.setattr(dcf, "CHUNK", 7)
    parts = deal(spec, alpha, beta)
    for name in ("seed", "tau", "value", "leaf"):
        assert np.array_equal(getattr(whole.common, name), getattr(parts.common, name))
    assert np.array_equal(dcf.evaluate(0, parts.common, parts.roots[0], x), share)


def test_each_batch_has_its_own_public_hash_key() -> None:
    spec, rng = DcfSpec(8, 40, 1), Prg.insecure_seed(3)
    alpha, beta = np.zeros(1, np.uint64), np.ones((1, 1), np.uint64)
    seeds = rng.child("a"), rng.child("b")
    assert (
        dcf.deal(spec, alpha, beta, seeds, rng).common.hash_key
        != dcf.deal(spec, alpha, beta, seeds, rng).common.hash_key
    )


def test_a_share_alone_is_balanced_on_both_sides_of_alpha() -> None:
    spec, rng = DcfSpec(20, 40, 1), Prg.insecure_seed(4)
    alpha = np.full(COUNT, 1 << 19, np.uint64)
    keys = deal(spec, alpha, np.full((1, COUNT), 77, np.uint64))
    for x in (0, (1 << 20) - 1):
        for half in (0, 1):
            share = dcf.evaluate(half, keys.common, keys.roots[half], np.full(COUNT, x, np.uint64))[0]
            ones = (share[:, None] >> np.arange(40, dtype=np.uint64) & np.uint64(1)).mean(axis=0)
            assert np.abs(ones - 0.5).max() < 5 * 0.5 / COUNT**0.5
    assert rng.words == 0


# ---- what is published says nothing about alpha


def bits_of(words: Words, bits: int) -> np.ndarray:
    """(count,) words -> (count, bits) of +1 and -1."""
    return 1.0 - 2.0 * (words[:, None] >> np.arange(bits, dtype=np.uint64) & np.uint64(1)).astype(float)


def worst_correlation(common: DcfCommon, secret: Words) -> float:
    """Return the greatest z-score of a level's bit of `secret` with any published bit, or the xor of any two, of it."""
    spec, worst = common.spec, 0.0
    for level in range(spec.levels):
        guess = bits_of(secret >> np.uint64(spec.domain - 1 - level), 1)
        published = np.hstack(
            [
                np.ones((len(secret), 1)),
                bits_of(common.seed[level, :, 0], 64),
                bits_of(common.seed[level, :, 1], 64),
                bits_of(common.tau[level], 1),
                *(bits_of(word[level], spec.ring) for word in common.value),
            ]
        )
        scores = published.T @ (published * guess) / len(secret) ** 0.5
        worst = max(worst, np.abs(scores[~np.eye(len(scores), dtype=bool)]).max())
    return worst


def published_keys() -> tuple[DcfCommon, Words, Words]:
    """Keys as a ReLU has them, alpha, and the mask's sign in place of each bit of alpha."""
    spec, rng = DcfSpec(12, 40, 3, inclusive=True), Prg.insecure_seed(5)
    alpha, sign = rng.ring(COUNT, 12), rng.ring(COUNT, 1)
    factor = np.uint64(1) - (sign << np.uint64(1))
    keys = deal(spec, alpha, np.stack([factor, rng.ring(COUNT, 40), rng.ring(COUNT, 40)]))
    return keys.common, alpha, sign * mask(12)


@pytest.mark.slow
def test_published_corrections_say_nothing_about_alpha_or_the_sign_of_the_mask() -> None:
    """250 bits and their pairs, ten levels: 3e5 scores a secret; a normal one exceeds 6 with probability 2e-9."""
    common, alpha, sign = published_keys()
    assert worst_correlation(common, alpha) < 6
    assert worst_correlation(common, sign) < 6


@pytest.mark.slow
def test_leaving_the_control_bit_in_is_caught_by_the_same_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcf, "_without_control_bit", lambda word: word.copy())
    common, alpha, _ = published_keys()
    assert worst_correlation(common, alpha) > 25


def test_published_words_are_reduced() -> None:
    common, _, _ = published_keys()
    assert int(common.value.max()) < 1 << 40
    assert int(common.leaf.max()) < 1 << 40
    assert int(common.tau.max()) == 1


# ---- edges


@pytest.mark.parametrize("bad", [(0, 40, 1), (65, 40, 1), (8, 0, 1), (8, 65, 1), (8, 40, 0), (8, 40, 4)])
def test_sizes_that_do_not_exist_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no comparison function"):
        DcfSpec(*bad)


def test_shapes_that_do_not_fit_are_refused() -> None:
    spec, rng = DcfSpec(8, 40, 2), Prg.insecure_seed(6)
    with pytest.raises(ValueError, match="2 words for 3 gates"):
        deal(spec, rng.ring(3, 8), rng.ring((1, 3), 40))
    keys = deal(spec, rng.ring(3, 8), rng.ring((2, 3), 40))
    with pytest.raises(ValueError, match="3 gates were dealt"):
        dcf.evaluate(0, keys.common, keys.roots[0], rng.ring(4, 8))


def test_a_hash_key_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Mmo(bytes(15), 1)


def test_the_hash_is_aes_with_feed_forward() -> None:
    """FIPS 197, appendix C.1: AES-128 of 00112233...ff under 000102...0f."""
    block = np.frombuffer(bytes.fromhex("00112233445566778899aabbccddeeff"), np.uint64)[None]
    cipher = np.frombuffer(bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a"), np.uint64)[None]
    assert np.array_equal(Mmo(bytes(range(16)), 1)(block), cipher ^ block)
