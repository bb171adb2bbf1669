"""ReLU and max pooling of the masked engines against their oracles, and what a server sees of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from pehealth.crypto import gate_max, gate_relu, gate_select
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.linear import pool_windows
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import from_signed as embed
from pehealth.crypto.ring import to_signed as centred
from pehealth.nets.stages import halvings
from pehealth.protocols.masked import argmax, argmax_cost, max_cost, max_pool, relu, relu_cost


def split(values: np.ndarray, ring: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    first = Prg.insecure_seed(seed).ring(values.shape, ring)
    return first, (embed(values, ring) - first) & np.uint64(2**ring - 1)


@pytest.mark.parametrize(("ring", "scale"), [(16, 10), (32, 10**3), (40, 10**4), (48, 4 * 10**4), (64, 10**4), (24, 1)])
async def test_relu_equals_the_mask_aware_oracle(servers, link, ring, scale):
    gate, rng = ReluGate(ring, scale), Prg.insecure_seed(ring)
    low, high = gate.span
    x = centred(rng.ring(300, ring), ring)
    x[:6] = [0, 1, -1, high - 1, low, scale]
    x = np.maximum(x, low)
    r = rng.ring(x.size, ring)
    dealt = gate_relu.deal(r, gate, rng.child("E1"), rng)
    shares = split(x, ring, 5)

    async def body(ctx):
        return await relu(ctx, shares[ctx.party.half], dealt.material(ctx.party))

    ran = await servers(body, ring=ring, link=link)
    y = centred((ran.first + ran.second) & np.uint64(2**ring - 1), ring)
    assert (y == gate_relu.oracle(x, r, gate)).all()
    exact = np.maximum(x, 0).astype(object)
    assert (abs(y.astype(object) * scale - exact) < scale).all()
    ran.assert_cost(relu_cost(x.size, ring))


@pytest.mark.parametrize(
    ("shape", "window", "steps"),
    [
        ((2, 8), (2,), (2,)),
        ((1, 9), (3,), (2,)),
        ((2, 4, 4), (2, 2), (2, 2)),
        ((1, 5, 5), (3, 3), (1, 1)),
        ((7,), (5,), (1,)),
    ],
)
async def test_max_pooling_is_exact_for_many_windows_and_strides(servers, shape, window, steps):
    ring, batch = 32, 3
    gate, rng = MaxGate(ring), Prg.insecure_seed(9)
    windows = pool_windows(shape, window, steps)
    x = centred(rng.ring((batch, int(np.prod(shape))), ring), ring) >> 2
    counts, left = [], windows.shape[1]
    while left > 1:
        counts.append(batch * len(windows) * (left // 2))
        left -= left // 2
    dealt = [gate_max.deal(rng.ring(n, ring), gate, rng.child("E1", i), rng) for i, n in enumerate(counts)]
    shares = split(x, ring, 5)

    async def body(ctx):
        return await max_pool(ctx, shares[ctx.party.half], windows, [d.material(ctx.party) for d in dealt])

    ran = await servers(body, ring=ring)
    y = centred((ran.first + ran.second) & np.uint64(2**ring - 1), ring)
    assert (y == x[:, windows].max(axis=2)).all()
    assert len(counts) == int(np.ceil(np.log2(windows.shape[1])))
    ran.assert_cost(max_cost(counts, ring))


def chi_square(bits: np.ndarray) -> float:
    """The largest chi-square over bit positions of the counts of ones against a half."""
    n = len(bits)
    ones = bits.sum(axis=0).astype(float)
    return float(((2 * ones - n) ** 2 / n).max())


@pytest.mark.parametrize("masked", [True, False])
async def test_what_a_server_receives_is_uniform_and_a_zero_mask_would_show(servers, masked):
    """E2's opened words for one fixed input, 400 gates: uniform with masks, and not without."""
    ring, gate, rng = 32, ReluGate(32, 100), Prg.insecure_seed(2)
    x = np.full(4000, 12345)
    r = rng.ring(x.size, ring) if masked else np.zeros(x.size, np.uint64)
    dealt = gate_relu.deal(r, gate, rng.child("E1"), rng)
    shares = split(x, ring, 5)
    opened = []

    async def body(ctx):
        material = dealt.material(ctx.party)
        opened.append((shares[ctx.party.half] + material.mask) & np.uint64(2**ring - 1))
        return await relu(ctx, shares[ctx.party.half], material)

    await servers(body, ring=ring)
    total = (opened[0] + opened[1]) & np.uint64(2**ring - 1)
    bits = (total[:, None] >> np.arange(ring, dtype=np.uint64)) & np.uint64(1)
    # 32 positions, one degree of freedom each: beyond 40 has probability under 1e-8.
    assert (chi_square(bits) < 40) is masked


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 7, 8, 10])
async def test_argmax_is_the_lowest_index_of_the_greatest(servers, link, classes):
    """Random rows, rows of equals, and every pair of equals among smaller ones."""
    ring, rng = 24, Prg.insecure_seed(classes)
    gate = SelectGate(ring)
    x = centred(rng.ring((40, classes), ring - 2), ring - 2)
    x[:10] %= 3
    x[10] = -5
    for row, (i, j) in enumerate(combinations(range(classes), 2)):
        if row < 28:
            x[11 + row] = -(2 ** (ring - 2)) + 1
            x[11 + row, [i, j]] = 2 ** (ring - 2) - 1
    counts = halvings(classes, len(x))
    rounds = []
    for count in counts:
        r = rng.ring((2, count), ring)
        rounds.append(gate_select.deal(r[0], r[1], gate, rng.child("E1", len(rounds)), rng))
    shares = split(x, ring, 5)

    async def body(ctx):
        return await argmax(ctx, shares[ctx.party.half], [dealt.material(ctx.party) for dealt in rounds])

    ran = await servers(body, ring=ring, link=link)
    index = (ran.first + ran.second) & np.uint64(2**ring - 1)
    assert (index == x.argmax(axis=1)).all()
    cost = argmax_cost(counts, ring)
    assert cost.server_rounds == (classes - 1).bit_length()
    ran.assert_cost(cost)


async def test_argmax_opens_nothing_but_uniform_words(servers):
    """The same rows under 300 fresh masks: each opened half of the last round takes any value about equally often."""
    ring, gate = 16, SelectGate(16)
    x = np.array([[5, 5, 9]] * 300)
    rng = Prg.insecure_seed(4)
    rounds = []
    for count in halvings(3, len(x)):
        r = rng.ring((2, count), ring)
        rounds.append(gate_select.deal(r[0], r[1], gate, rng.child("E1", len(rounds)), rng))
    shares = split(x, ring, 6)

    async def body(ctx):
        return await argmax(ctx, shares[ctx.party.half], [dealt.material(ctx.party) for dealt in rounds])

    ran = await servers(body, ring=ring)
    for payload in ran.opened["E1"]:
        words = np.frombuffer(payload, "<u2")
        assert words.size == 600
        ones = np.unpackbits(words.view(np.uint8)).reshape(600, 16).sum(axis=0, dtype=int)
        assert (abs(ones - 300) < 6 * np.sqrt(150)).all()
