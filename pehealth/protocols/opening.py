"""Opening: both servers send their shares, both learn the value. All openings of a round go in one message."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.packing import Words, pack, packed_size, unpack
from pehealth.errors import PeerProtocolError
from pehealth.protocols.context import Context
from pehealth.protocols.cost import Cost, exchange_cost

Bits = NDArray[np.uint8]
"""Bits, one a byte, 0 or 1."""


def open_cost(count: int, bits: int) -> Cost:
    """Cost of opening `count` elements of `bits` bits: one round, ceil(count * bits / 8) bytes each way."""
    return exchange_cost(packed_size(count, bits))


async def open_words(ctx: Context, share: Words, bits: int, *, step: int) -> Words:
    """Return the values behind shares mod 2^bits.

    Protocol:   1. send the own share; 2. add the other's
    Shapes:     any -> the same, uint64 below 2^bits
    Cost:       open_cost(share.size, bits)
    Leaks:      the values, to both servers: open masked values only
    """
    payload = await ctx.exchange(step, pack(share, bits))
    with ctx.sent_by_peer(step):
        theirs = unpack(payload, share.shape, bits)
    total: Words = share + theirs
    return total & np.uint64(2**bits - 1)


async def open_bits(ctx: Context, share: Bits, *, step: int) -> Bits:
    """Return the bits behind XOR shares.

    Shapes:     any -> the same, uint8 of 0 and 1
    Cost:       open_cost(share.size, 1)
    Leaks:      the bits, to both servers
    """
    packed = np.packbits(share.reshape(-1), bitorder="little")
    theirs = np.frombuffer(await ctx.exchange(step, packed.tobytes()), np.uint8)
    if share.size % 8 and theirs[-1] >> (share.size % 8):
        with ctx.sent_by_peer(step):
            raise PeerProtocolError("padding bits after the last element are set")
    opened = np.unpackbits(packed ^ theirs, count=share.size, bitorder="little")
    return opened.reshape(share.shape)
