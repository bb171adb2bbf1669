"""SecCmp: the sign of shared values, by a ripple carry over the servers' own shares.

[PEH20] leaves SecCmp to a reference and names no dealer; the centre deals the triples here, and the circuit
is the one whose 2l bits a party reproduce the paper's Table III.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Words
from pehealth.config import Party
from pehealth.protocols.context import Context
from pehealth.protocols.cost import Cost
from pehealth.protocols.opening import Bits, open_bits, open_cost


def sign_cost(count: int, ring: int) -> Cost:
    """Cost of `sign_bits` for `count` values: ring - 1 rounds, each of 2 bits a value a party."""
    return open_cost(2 * count, 1).times(ring - 1) + Cost(ops={"and_gates": 2 * count * (ring - 1)})


def bit_planes(share: Words, ring: int) -> Bits:
    """Return (ring, n) bits of a flat share, lowest first."""
    planes: NDArray[np.uint64] = (share[None] >> np.arange(ring, dtype=np.uint64)[:, None]) & np.uint64(1)
    return planes.astype(np.uint8)


async def and_bits(ctx: Context, x: Bits, y: Bits, triple: tuple[Bits, Bits, Bits], *, step: int) -> Bits:
    """Return XOR shares of x & y.

    Protocol:   1. [d] = [x] ^ [a], [e] = [y] ^ [b], opened in one message
                2. [z] = [c] ^ d & [b] ^ e & [a], and E1 adds d & e
    Shapes:     x, y (n,) -> (n,); bit triple a, b, c (n,) with c = a & b
    Cost:       open_cost(2 n, 1)
    Leaks:      nothing: d and e are masked by the triple, which is used once
    Reference:  [Bea91]
    """
    a, b, c = triple
    # Step 1
    d, e = await open_bits(ctx, np.stack([x ^ a, y ^ b]), step=step)
    # Step 2
    z: Bits = c ^ (d & b) ^ (e & a)
    return z ^ (d & e) if ctx.party is Party.E1 else z


async def sign_bits(ctx: Context, share: Words, triples: tuple[Bits, Bits, Bits], *, step: int) -> Bits:
    """Return XOR shares of [value < 0].

    Protocol:   1. E1 knows the bits p of its share, E2 the bits q of its own
                2. carry c' = (p ^ c) & (q ^ c) ^ c, from bit 0 to bit l - 2
                3. top bit = p ^ q ^ c at bit l - 1
    Shapes:     share (n,) mod 2^l, l = parameters.ring; triples (l - 1, n) each -> (n,)
    Requires:   -2^(l-1) <= value < 2^(l-1)
    Cost:       sign_cost(n, l); steps `step` to `step + l - 2`
    Error:      none
    Leaks:      nothing
    Reference:  [PEH20] SecCmp, by the circuit of a ripple-carry adder on triples [Bea91]
    """
    ring = ctx.parameters.ring
    # Step 1
    mine = bit_planes(share, ring)
    zero = np.zeros_like(mine[0])
    # Step 2
    carry = zero
    for i in range(ring - 1):
        p, q = (mine[i], zero) if ctx.party is Party.E1 else (zero, mine[i])
        triple = (triples[0][i], triples[1][i], triples[2][i])
        carry = carry ^ await and_bits(ctx, p ^ carry, q ^ carry, triple, step=step + i)
    ctx.count(and_gates=share.size * (ring - 1))
    # Step 3
    top: Bits = mine[ring - 1] ^ carry
    return top
