"""SecCmp against the sign of every value, on shares that really are split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.crypto.prg import Prg
from pehealth.errors import MaterialError
from pehealth.protocols.compare import bit_planes, sign_bits, sign_cost
from pehealth.protocols.literal import open_sign, open_sign_cost
from pehealth.protocols.tape import TripleTape


def deal(count: int, seed: int) -> tuple[TripleTape, TripleTape]:
    """Bit triples of both servers, random and not all zero."""
    rng = Prg.insecure_seed(seed)
    a1, b1, c1, a2, b2 = (rng.ring(count, 1).astype(np.uint8) for _ in range(5))
    c2 = ((a1 ^ a2) & (b1 ^ b2)) ^ c1
    assert count < 64 or (a1.any() and c2.any())
    return TripleTape(a1, b1, c1), TripleTape(a2, b2, c2)


def split(values: np.ndarray, ring: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    first = Prg.insecure_seed(seed).ring(values.shape, ring)
    return first, (values.astype(np.int64).view(np.uint64) - first) & np.uint64(2**ring - 1)


async def signs(servers, values, ring, link="memory"):
    shares = split(values, ring, 3)
    tapes = deal((ring - 1) * values.size, 4)

    async def body(ctx):
        tape = tapes[ctx.party.half]
        return await sign_bits(ctx, shares[ctx.party.half], tape.take(ring - 1, values.size), step=0)

    return await servers(body, ring=ring, link=link)


async def test_every_value_of_eight_bits(servers, link):
    values = np.arange(-128, 128)
    ran = await signs(servers, values, 8, link)
    assert ((ran.first ^ ran.second) == (values < 0)).all()
    ran.assert_cost(sign_cost(values.size, 8))


@pytest.mark.parametrize("ring", [32, 40, 64])
async def test_edges_and_random_values(servers, ring):
    half = 2 ** (ring - 1)
    edges = np.array([0, 1, -1, half - 1, -half, 1 - half, half // 2, -half // 2], np.int64)
    random = Prg.insecure_seed(ring).ring(500, ring).view(np.int64)
    values = np.concatenate([edges, (random << (64 - ring)) >> (64 - ring)])
    ran = await signs(servers, values, ring)
    assert ((ran.first ^ ran.second) == (values < 0)).all()
    ran.assert_cost(sign_cost(values.size, ring))


async def test_the_opened_form_costs_two_bits_a_level_and_one_for_the_opening(servers):
    values, ring = np.arange(-40, 40), 32
    shares, tapes = split(values, ring, 3), deal(31 * values.size, 4)

    async def body(ctx):
        return await open_sign(ctx, shares[ctx.party.half], tapes[ctx.party.half], step=0)

    ran = await servers(body, ring=ring)
    assert (ran.first == (values < 0)).all()
    ran.assert_cost(open_sign_cost(80, ring))
    cost = open_sign_cost(80, ring)
    assert {t.payload * 8 for t in cost.links.values()} == {80 * (2 * (ring - 1) + 1)}


def test_a_tape_gives_each_triple_once():
    tape, _ = deal(20, 1)
    first = tape.take(2, 5)
    second = tape.take(2, 5)
    assert tape.left == 0
    assert not all((x == y).all() for x, y in zip(first, second, strict=True))
    with pytest.raises(MaterialError, match="1 bit triples are wanted, 0 are left"):
        tape.take(1, 1)
    assert "20" in repr(tape)


@given(st.lists(st.integers(0, 2**40 - 1), min_size=1, max_size=20))
@settings(max_examples=50)
def test_bit_planes_are_the_bits_lowest_first(values):
    planes = bit_planes(np.array(values, np.uint64), 40)
    assert [int(sum(int(b) << i for i, b in enumerate(column))) for column in planes.T] == values
