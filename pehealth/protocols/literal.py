"""SecReLU and SecPool as Protocol 3 of the paper has them: the comparison bit is opened to both servers.

These are the baseline. Whoever runs them says so: activation signs and the places of maxima are revealed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Words
from pehealth.engines.paper import PairShare, select, subtract, take
from pehealth.protocols.compare import sign_bits, sign_cost
from pehealth.protocols.context import Context
from pehealth.protocols.cost import Cost
from pehealth.protocols.opening import Bits, open_bits, open_cost
from pehealth.protocols.tape import TripleTape


def secrelu_cost(count: int, ring: int) -> Cost:
    """Cost of SecReLU on `count` values: `ring` rounds, 2(ring - 1) + 1 bits a value a party."""
    return open_sign_cost(count, ring)


def secpool_max_cost(windows: int, size: int, ring: int) -> Cost:
    """Cost of max pooling: size - 1 comparisons a window, one after the other."""
    return open_sign_cost(windows, ring).times(size - 1)


def open_sign_cost(count: int, ring: int) -> Cost:
    """Cost of one SecCmp of `count` values whose result is opened."""
    return sign_cost(count, ring) + open_cost(count, 1) + Cost(ops={"seccmp": 2 * count})


async def open_sign(ctx: Context, share: Words, tape: TripleTape, *, step: int) -> Bits:
    """Return [value < 0] in the clear, to both servers.

    Shapes:     share (n,) mod 2^ring -> (n,) bits
    Cost:       open_sign_cost(n, ring); steps `step` to `step + ring - 1`
    Leaks:      the sign of every value, to E1 and E2 (Protocol 3, line 3 [PEH20])
    """
    ring = ctx.parameters.ring
    sign = await sign_bits(ctx, share, tape.take(ring - 1, share.size), step=step)
    ctx.count(seccmp=share.size)
    return await open_bits(ctx, sign, step=step + ring - 1)


async def secrelu(ctx: Context, pair: PairShare, tape: TripleTape) -> PairShare:
    """Return shares of max(0, x) and sk * max(0, x).

    Protocol:   1. comp = SecCmp(<x>, 0), opened; 2. where comp is 1 both servers set all their shares to 0
    Shapes:     pair (batch, n) -> the same
    Cost:       secrelu_cost(batch * n, ring)
    Error:      none
    Leaks:      activation signs, to E1 and E2
    Reference:  [PEH20] Protocol 3
    """
    share = pair.ring(ctx.parameters.ring).reshape(-1)
    negative = await open_sign(ctx, share, tape, step=0)
    return select(negative.reshape(pair.shape) == 0, pair)


async def secpool_max(ctx: Context, pair: PairShare, windows: NDArray[np.intp], tape: TripleTape) -> PairShare:
    """Return shares of each window's maximum, and of sk times it.

    Protocol:   for each further element of the window: SecCmp(best, element), opened; keep the greater
    Shapes:     pair (batch, n), windows (m, size) flat indices -> (batch, m)
    Requires:   |x| < 2^(ring - 2)
    Cost:       secpool_max_cost(batch * m, size, ring)
    Error:      none; a tie keeps the earlier element
    Leaks:      the place of each maximum, to E1 and E2
    Reference:  [PEH20] SecPool, with "argmax" of the text read as max
    """
    ring = ctx.parameters.ring
    best = take(pair, windows[:, 0])
    for j in range(1, windows.shape[1]):
        other = take(pair, windows[:, j])
        difference = subtract(best, other).ring(ring)
        less = await open_sign(ctx, difference.reshape(-1), tape, step=(j - 1) * ring)
        best = select(less.reshape(best.shape) == 1, other, best)
    return best
