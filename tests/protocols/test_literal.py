"""SecReLU and max pooling of the paper's engine against plain values, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest

from pehealth.crypto.linear import pool_windows
from pehealth.crypto.prg import Prg
from pehealth.engines.paper import PairShare
from pehealth.errors import MaterialError
from pehealth.protocols.literal import secpool_max, secpool_max_cost, secrelu, secrelu_cost
from pehealth.protocols.tape import TripleTape

SK = 977
SLACK = 40
"""Bits of a share beyond those of the value: shares are over the integers, as a share conversion gives them."""


def deal(count: int, seed: int) -> tuple[TripleTape, TripleTape]:
    """Bit triples of both servers, random and not all zero."""
    rng = Prg.insecure_seed(seed)
    a1, b1, c1, a2, b2 = (rng.ring(count, 1).astype(np.uint8) for _ in range(5))
    c2 = ((a1 ^ a2) & (b1 ^ b2)) ^ c1
    return TripleTape(a1, b1, c1), TripleTape(a2, b2, c2)


def split_pair(values: np.ndarray, seed: int, *, keyed: bool = True) -> tuple[PairShare, PairShare]:
    """Integer shares of x and of sk*x."""
    rng = Prg.insecure_seed(seed)
    first, keyed_first = (rng.ring(values.shape, SLACK).astype(np.int64) - 2 ** (SLACK - 1) for _ in range(2))
    return (
        PairShare(first, keyed_first if keyed else None),
        PairShare(values - first, SK * values - keyed_first if keyed else None),
    )


def opened(ran) -> tuple[np.ndarray, np.ndarray]:
    return ran.first.x + ran.second.x, ran.first.skx + ran.second.skx


async def test_secrelu_of_every_value_of_eight_bits(servers, link):
    values = np.arange(-128, 128).reshape(2, 128)
    pairs, tapes = split_pair(values, 1), deal(7 * values.size, 2)

    async def body(ctx):
        half = ctx.party.half
        return await secrelu(ctx, pairs[half], tapes[half])

    ran = await servers(body, ring=8, link=link)
    x, skx = opened(ran)
    assert (x == np.maximum(values, 0)).all()
    assert (skx == SK * np.maximum(values, 0)).all()
    ran.assert_cost(secrelu_cost(values.size, 8))
    assert tapes[0].left == tapes[1].left == 0


@pytest.mark.parametrize("ring", [32, 33, 64])
async def test_secrelu_at_the_edges_and_on_random_values(servers, link, ring):
    half = 2 ** (ring - 1)
    edges = [0, 1, -1, half - 1, -half, half // 2, -half // 2]
    random = (Prg.insecure_seed(ring).ring(200, ring) << np.uint64(64 - ring)).view(np.int64) >> (64 - ring)
    values = np.concatenate([np.array(edges, np.int64), random])[None]
    if ring == 64:
        # Shares of 64-bit values do not fit an int64, and neither do values times sk.
        values = values >> 24
    pairs, tapes = split_pair(values, ring, keyed=ring < 40), deal((ring - 1) * values.size, 3)

    async def body(ctx):
        return await secrelu(ctx, pairs[ctx.party.half], tapes[ctx.party.half])

    ran = await servers(body, ring=ring, link=link)
    assert (ran.first.x + ran.second.x == np.maximum(values, 0)).all()
    ran.assert_cost(secrelu_cost(values.size, ring))


async def test_where_a_value_is_negative_both_servers_hold_zeros(servers):
    """The sign is opened, as Protocol 3 has it; a share that stayed would tell the other server nothing new."""
    values = np.array([[-5, 5]])
    pairs, tapes = split_pair(values, 4), deal(31 * 2, 5)

    async def body(ctx):
        return await secrelu(ctx, pairs[ctx.party.half], tapes[ctx.party.half])

    ran = await servers(body)
    for pair in (ran.first, ran.second):
        assert (pair.x[0, 0], pair.skx[0, 0]) == (0, 0)
        assert pair.x[0, 1] != 0


@pytest.mark.parametrize(
    ("shape", "window", "steps"),
    [((8,), (2,), (2,)), ((2, 9), (3,), (2,)), ((2, 4, 4), (2, 2), (2, 2)), ((1, 5, 5), (3, 3), (1, 1))],
)
async def test_max_pooling_for_many_windows_and_strides(servers, link, shape, window, steps):
    ring, batch = 16, 3
    windows = pool_windows(shape, window, steps)
    size = windows.shape[1]
    values = Prg.insecure_seed(6).below((batch, int(np.prod(shape))), 2**15 - 1).astype(np.int64) - 2**14
    values[0] = values[0, 0]  # ties everywhere
    pairs = split_pair(values, 7)
    tapes = deal((ring - 1) * batch * len(windows) * (size - 1), 8)

    async def body(ctx):
        return await secpool_max(ctx, pairs[ctx.party.half], windows, tapes[ctx.party.half])

    ran = await servers(body, ring=ring, link=link)
    x, skx = opened(ran)
    assert (x == values[:, windows].max(axis=2)).all()
    assert (skx == SK * x).all()
    ran.assert_cost(secpool_max_cost(batch * len(windows), size, ring))
    assert tapes[0].left == 0


async def test_a_relu_costs_two_bits_a_level_and_one_for_the_sign():
    cost = secrelu_cost(80, 32)
    assert {traffic.payload * 8 for traffic in cost.links.values()} == {80 * (2 * 31 + 1)}
    assert cost.server_rounds == cost.depth == 32


async def test_too_few_triples_are_an_error_and_not_a_repetition(servers):
    values = np.array([[3, -3]])
    pairs, tapes = split_pair(values, 9), deal(31, 10)

    async def body(ctx):
        with pytest.raises(MaterialError, match="62 bit triples are wanted, 31 are left"):
            await secrelu(ctx, pairs[ctx.party.half], tapes[ctx.party.half])

    await servers(body)
