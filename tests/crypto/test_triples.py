"""Triples multiply: c1 + c2 = (a1 + a2)(b1 + b2), with E1's part and most of E2's from seeds."""

import numpy as np
import pytest

from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import reduce
from pehealth.crypto.triples import (
    bit_triples_e1,
    bit_triples_e2,
    deal_bit_triples,
    deal_ring_triples,
    ring_triples_e1,
    ring_triples_e2,
)

SHAPE = (31, 17)


def seeds() -> tuple[Prg, Prg]:
    return Prg.insecure_seed(1), Prg.insecure_seed(2)


def test_bit_triples_multiply() -> None:
    c2 = deal_bit_triples(SHAPE, *seeds())
    one, two = bit_triples_e1(SHAPE, seeds()[0]), bit_triples_e2(SHAPE, seeds()[1], c2)
    assert ((one.a ^ two.a) & (one.b ^ two.b) == one.c ^ two.c).all()
    assert 0.45 < np.unpackbits(one.a ^ two.a).mean() < 0.55


@pytest.mark.parametrize("bits", [1, 32, 40, 64])
def test_ring_triples_multiply(bits: int) -> None:
    c2 = deal_ring_triples(SHAPE, bits, *seeds())
    one, two = ring_triples_e1(SHAPE, bits, seeds()[0]), ring_triples_e2(SHAPE, bits, seeds()[1], c2)
    assert (reduce((one.a + two.a) * (one.b + two.b), bits) == reduce(one.c + two.c, bits)).all()
    assert int(max(c2.max(), one.a.max())) < 2**bits


def test_parts_of_one_seed_differ_from_each_other_and_between_kinds() -> None:
    triples = bit_triples_e1(SHAPE, Prg.insecure_seed(1))
    assert len({v.tobytes() for v in (triples.a, triples.b, triples.c)}) == 3


def test_repr_shows_sizes_only() -> None:
    assert repr(bit_triples_e1((2, 3), Prg.insecure_seed(1))) == "<BitTriples (2, 3) bytes>"
    assert repr(ring_triples_e1((2,), 40, Prg.insecure_seed(1))) == "<RingTriples (2,) mod 2^40>"
