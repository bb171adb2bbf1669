"""Channels keep their promises over every kind of link, and when things go wrong."""

from __future__ import annotations

import pytest

from transport.conformance import check_channel
from transport.faults import TricklingStream
from transport.memory import memory_pair
from transport.testing import MakePair, Pair, lockstep_pair, tcp_pair

LINKS: dict[str, MakePair] = {"memory": memory_pair, "lockstep": lockstep_pair, "tcp": tcp_pair}


def trickling_pair() -> Pair:
    left, right = memory_pair()
    return TricklingStream(left), TricklingStream(right)


@pytest.mark.parametrize("kind", LINKS)
async def test_channel_conforms(kind: str) -> None:
    await check_channel(LINKS[kind])


async def test_channel_conforms_byte_by_byte() -> None:
    await check_channel(trickling_pair, large=2000)
