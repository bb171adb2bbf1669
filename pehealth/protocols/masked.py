"""Activation and pooling of the masked engines: one opening a round, nothing but masked values opened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Words
from pehealth.config import Party
from pehealth.crypto import gate_max, gate_relu, gate_rescale, gate_select
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_rescale import RescaleGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.gates import Material
from pehealth.crypto.ring import mask as ring_mask
from pehealth.protocols.context import Context
from pehealth.protocols.cost import Cost
from pehealth.protocols.opening import open_cost, open_words

INLINE_GATES = 4096
"""Up to this many gates are evaluated on the event loop: a thread's round trip would cost more than it frees."""


def relu_cost(count: int, ring: int) -> Cost:
    """Cost of `relu` on `count` values: one round, `ring` bits a value each way."""
    return open_cost(count, ring) + Cost(ops={"dcf_evals": 2 * count})


def max_cost(counts: Sequence[int], ring: int) -> Cost:
    """Cost of `max_pool`: one round for each entry of `counts`, the gates of a round."""
    return sum((relu_cost(count, ring) for count in counts), Cost())


def argmax_cost(counts: Sequence[int], ring: int) -> Cost:
    """Cost of `argmax`: one round for each entry of `counts`, two elements a gate each way."""
    return sum((open_cost(2 * count, ring) + Cost(ops={"dcf_evals": 2 * count}) for count in counts), Cost())


async def open_masked(ctx: Context, share: Words, mask: Words, *, step: int) -> Words:
    """Return share + mask opened: x^ = x + r, uniform for a fresh r.

    Shapes:     any, the same for both -> the same
    Cost:       open_cost(share.size, ring)
    Leaks:      nothing, if the mask serves this opening alone
    """
    ring = ctx.parameters.ring
    return await open_words(ctx, (share + mask) & ring_mask(ring), ring, step=step)


async def relu(ctx: Context, share: Words, material: Material[ReluGate], *, step: int = 0) -> Words:
    """Return shares of max(0, x) / S.

    Protocol:   1. open x^ = x + r; 2. evaluate one comparison key at x^ (no message)
    Shapes:     any (count elements) -> the same
    Scale:      S times the result's
    Requires:   x in material.gate.span
    Cost:       relu_cost(count, ring)
    Error:      |y - x/S| < 1, y = 0 for x <= 0, mean 0 over the mask
    Leaks:      nothing
    Reference:  [BCG21]
    """
    x_hat = await open_masked(ctx, share.reshape(-1), material.mask, step=step)
    ctx.count(dcf_evals=material.count)
    if material.count <= INLINE_GATES:
        return gate_relu.evaluate(ctx.party, x_hat, material).reshape(share.shape)
    y: Words = await ctx.compute(gate_relu.evaluate, ctx.party, x_hat, material)
    return y.reshape(share.shape)


async def rescale(ctx: Context, share: Words, material: Material[RescaleGate], *, step: int = 0) -> Words:
    """Return shares of x / S, signed.

    Protocol:   1. open x^ = x + r; 2. a formula of x^ and two dealt words (no message)
    Shapes:     any (count elements) -> the same
    Scale:      S times the result's
    Requires:   |x| < 2^(ring - 2)
    Cost:       open_cost(count, ring): one round, `ring` bits a value each way, no comparison
    Error:      |y - x/S| < 1, mean 0 over the mask
    Leaks:      nothing
    """
    x_hat = await open_masked(ctx, share.reshape(-1), material.mask, step=step)
    return gate_rescale.evaluate(ctx.party, x_hat, material).reshape(share.shape)


async def maximum(ctx: Context, a: Words, b: Words, material: Material[MaxGate], *, step: int) -> Words:
    """Return shares of the greater of a and b: b + ReLU(a - b).

    Shapes:     a, b the same, count elements -> the same
    Requires:   |a|, |b| < 2^(ring - 2)
    Cost:       relu_cost(count, ring)
    Error:      none
    Leaks:      nothing
    Reference:  [BCG21]
    """
    ring = ring_mask(ctx.parameters.ring)
    x_hat = await open_masked(ctx, ((a - b) & ring).reshape(-1), material.mask, step=step)
    ctx.count(dcf_evals=material.count)
    if material.count <= INLINE_GATES:
        y = gate_max.evaluate(ctx.party, x_hat, material)
    else:
        y = await ctx.compute(gate_max.evaluate, ctx.party, x_hat, material)
    total: Words = (b + y.reshape(b.shape)) & ring
    return total


async def max_pool(
    ctx: Context, share: Words, windows: NDArray[np.intp], materials: Sequence[Material[MaxGate]]
) -> Words:
    """Return shares of each window's maximum.

    Protocol:   a tournament: halve the window in each round, an odd element waits
    Shapes:     share (batch, n), windows (m, size) flat indices -> (batch, m)
    Requires:   |x| < 2^(ring - 2)
    Cost:       max_cost of the gates of each round: ceil(log2(size)) rounds
    Error:      none
    Leaks:      nothing
    """
    values = share[:, windows]
    for step, material in enumerate(materials):
        half = values.shape[2] // 2
        best = await maximum(ctx, values[:, :, :half], values[:, :, half : 2 * half], material, step=step)
        values = np.concatenate([best, values[:, :, 2 * half :]], axis=2)
    return np.ascontiguousarray(values[:, :, 0])


async def argmax(ctx: Context, share: Words, materials: Sequence[Material[SelectGate]]) -> Words:
    """Return shares of the index of each row's greatest element; of equals, the lowest.

    Protocol:   a tournament of neighbours; each round opens x^ = a - b + r and Delta^ = i_a - i_b + rho at once and
                takes the greater with its index. Winners keep their order, so the left of equals wins throughout.
    Shapes:     share (batch, n) -> (batch,)
    Requires:   |x| < 2^(ring - 2)
    Cost:       argmax_cost of the gates of each round: ceil(log2(n)) rounds
    Error:      none
    Leaks:      nothing
    Reference:  [BCG21]
    """
    index = np.arange(share.shape[1], dtype=np.uint64) if ctx.party is Party.E1 else np.zeros(1, np.uint64)
    values, indices = share, np.broadcast_to(index, share.shape)
    for step, material in enumerate(materials):
        pairs = values.shape[1] // 2 * 2
        values, indices = await _play(ctx, (values, indices), pairs, material, step)
    return np.ascontiguousarray(indices[:, 0])


async def _play(
    ctx: Context, players: tuple[Words, Words], pairs: int, material: Material[SelectGate], step: int
) -> tuple[Words, Words]:
    """Play one round between neighbours; who has none waits at the end."""
    ring, mod = ctx.parameters.ring, ring_mask(ctx.parameters.ring)
    a, b = (np.stack([p[:, side:pairs:2] for p in players]) for side in (0, 1))
    masked = (a - b).reshape(2, -1) + material.half.masks
    opened = await open_words(ctx, masked & mod, ring, step=step)
    ctx.count(dcf_evals=material.count)
    if material.count <= INLINE_GATES:
        gains = gate_select.evaluate(ctx.party, opened[0], opened[1], material)
    else:
        gains = await ctx.compute(gate_select.evaluate, ctx.party, opened[0], opened[1], material)
    won = (b + np.stack(gains).reshape(b.shape)) & mod
    value, index = (np.concatenate([w, p[:, pairs:]], axis=1) for w, p in zip(won, players, strict=True))
    return value, index
