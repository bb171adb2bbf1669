"""Openings: right values, exact cost, and what is malformed is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.crypto.prg import Prg
from pehealth.errors import PeerProtocolError
from pehealth.protocols.opening import open_bits, open_cost, open_words


@pytest.mark.parametrize("ring", [8, 13, 32, 40, 64])
async def test_opened_words_are_the_sum_of_the_shares(servers, link, ring):
    rng = Prg.insecure_seed(ring)
    first, second = rng.ring((3, 5), ring), rng.ring((3, 5), ring)

    async def body(ctx):
        return await open_words(ctx, (first, second)[ctx.party.half], ring, step=0)

    ran = await servers(body, ring=ring, link=link)
    wanted = (first + second) & np.uint64(2**ring - 1)
    assert (ran.first == wanted).all()
    assert (ran.second == wanted).all()
    ran.assert_cost(open_cost(15, ring))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
async def test_opened_bits_are_the_xor_of_the_shares(servers, link, count):
    rng = Prg.insecure_seed(count)
    shares = [rng.ring(count, 1).astype(np.uint8) for _ in range(2)]

    async def body(ctx):
        return await open_bits(ctx, shares[ctx.party.half], step=0)

    ran = await servers(body, link=link)
    assert (ran.first == shares[0] ^ shares[1]).all()
    assert (ran.second == ran.first).all()
    ran.assert_cost(open_cost(count, 1))


async def test_a_peer_with_another_size_is_named_with_both_sizes(servers):
    async def body(ctx):
        return await open_words(ctx, np.zeros(3 + ctx.party.half, np.uint64), 32, step=0)

    with pytest.raises((PeerProtocolError, ExceptionGroup)) as caught:
        await servers(body)
    assert "16 bytes" in str(caught.value.exceptions) or "12 bytes" in str(caught.value.exceptions)


@given(st.integers(1, 64), st.integers(1, 40))
@settings(max_examples=60)
def test_open_cost_is_whole_bytes_of_packed_elements(ring, count):
    cost = open_cost(count, ring)
    assert {t.payload for t in cost.links.values()} == {-(-ring * count // 8)}
    assert (cost.server_rounds, cost.depth) == (1, 1)
