"""Both methods give the product of powers, and the count of products that the plan uses is the count that is done."""

from __future__ import annotations

import numpy as np
import pytest
from gmpy2 import mpz

from pehealth.config import GroupName
from pehealth.crypto import multiexp_modp
from pehealth.crypto.groups import group
from pehealth.crypto.multiexp_modp import cheapest, plan_powers
from pehealth.crypto.prg import Prg

GROUP = group(GroupName.MODP1536)
P = mpz(GROUP.p)
METHODS = {"windows": multiexp_modp._Windows, "buckets": multiexp_modp._Buckets}


def one_by_one(bases: np.ndarray, row: np.ndarray) -> int:
    out = 1
    for b, e in zip(bases, row, strict=True):
        out = out * pow(int(b), int(e), GROUP.p) % GROUP.p
    return out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_products_of_powers_of_any_sign(method: str, width: int) -> None:
    rng = Prg.insecure_seed(width)
    bases = GROUP.random(rng, 6)
    exponents = rng.integers(24, 90).reshape(4, 6) - 2**89
    exponents[1] = 0
    exponents[2] = abs(exponents[2])
    exponents[3, 3] = 2**89 - 1
    found = METHODS[method](P, exponents, width).powers(bases)
    assert [int(v) for v in found] == [one_by_one(bases, row) for row in exponents]


class Counting:
    """A residue that counts the products it takes part in."""

    done = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __mul__(self, other: Counting) -> Counting:
        Counting.done += 1
        return Counting(self.value * other.value)

    def __mod__(self, p: int) -> Counting:
        return Counting(self.value % p)

    def __eq__(self, other: object) -> bool:
        return self.value == (other.value if isinstance(other, Counting) else other)

    __hash__ = None


@pytest.mark.parametrize(("bits", "terms", "uses"), [(106, 6, 1), (106, 34, 1), (106, 29, 30), (106, 400, 1)])
def test_the_cheaper_method_does_as_many_products_as_it_says(
    monkeypatch: pytest.MonkeyPatch, bits: int, terms: int, uses: int
) -> None:
    monkeypatch.setattr(multiexp_modp, "mpz", Counting)
    exponents = Prg.insecure_seed(terms).integers(terms * uses, bits).reshape(uses, terms)
    bases = np.empty(terms, object)
    bases[:] = [Counting(3) for _ in range(terms)]
    Counting.done = 0
    plan_powers(1009, exponents).powers(bases)
    assert Counting.done == pytest.approx(cheapest(bits, terms, uses).products, rel=0.04)


def test_few_bases_or_many_uses_take_tables_and_long_rows_buckets() -> None:
    assert not cheapest(106, 30, 1).buckets
    assert not cheapest(106, 1000, 500).buckets
    assert cheapest(106, 1000, 1).buckets
