"""The groups are what their names say, and both representations agree with Python's integers."""

import gmpy2
import numpy as np
import pytest

from pehealth.config import GroupName
from pehealth.crypto.groups import ModpGroup, ToyGroup, group, rfc3526_prime
from pehealth.crypto.multiexp import multi_power
from pehealth.crypto.prg import Prg

TINY = 2039
RFC3526_1536_HEAD = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
RFC3526_3072_TAIL = "4B82D120A93AD2CAFFFFFFFFFFFFFFFF"


@pytest.mark.parametrize("name", GroupName)
def test_modulus_is_a_safe_prime_that_is_7_mod_8_and_2_generates_the_squares(name: GroupName) -> None:
    grp = group(name)
    assert gmpy2.is_prime(grp.p)
    assert gmpy2.is_prime(grp.q)
    assert grp.p == 2 * grp.q + 1
    assert grp.p % 8 == 7
    assert pow(grp.g, grp.q, grp.p) == 1


def test_primes_are_those_that_the_rfc_prints() -> None:
    assert f"{rfc3526_prime(1536, 741804):X}".startswith(RFC3526_1536_HEAD)
    assert f"{rfc3526_prime(3072, 1690314):X}".endswith(RFC3526_3072_TAIL)
    assert [group(n).p.bit_length() for n in GroupName] == [32, 1536, 2048, 3072]


def test_only_small_groups_are_called_insecure() -> None:
    assert [group(n).insecure for n in GroupName] == [True, True, False, False]
    assert "INSECURE" in repr(group(GroupName.TOY32))
    assert "INSECURE" not in repr(group(GroupName.MODP3072))


def tiny_groups() -> list[ToyGroup | ModpGroup]:
    return [ToyGroup(TINY), ModpGroup(GroupName.MODP1536, TINY, 10)]


@pytest.mark.parametrize("grp", tiny_groups(), ids=["toy", "modp"])
def test_arithmetic_is_exact_for_every_pair_of_a_tiny_group(grp: ToyGroup | ModpGroup) -> None:
    squares = sorted({x * x % TINY for x in range(1, TINY)})
    a = grp.elements(squares)
    product = grp.mul(a[:, None], a[None, ::37])
    assert product.tolist() == [[x * y % TINY for y in squares[::37]] for x in squares]
    assert (grp.mul(a, grp.inverse(a)) == 1).all()
    exponents = np.arange(-20, 2000, 41)
    powers = grp.power(a[:, None], exponents)
    assert powers.tolist() == [[pow(x, int(e), TINY) for e in exponents] for x in squares]
    assert grp.power_secret(a, 77).tolist() == [pow(x, 77, TINY) for x in squares]


@pytest.mark.parametrize("grp", tiny_groups(), ids=["toy", "modp"])
def test_random_elements_are_all_the_squares_and_nothing_else(grp: ToyGroup | ModpGroup) -> None:
    drawn = grp.random(Prg.insecure_seed(1), 20_000)
    squares = {x * x % TINY for x in range(1, TINY)}
    assert {int(v) for v in drawn} == squares


@pytest.mark.parametrize("name", [GroupName.TOY32, GroupName.MODP1536])
def test_tables_of_a_fixed_base_give_its_powers(name: GroupName) -> None:
    grp, rng = group(name), Prg.insecure_seed(2)
    base = int(grp.random(rng, 1)[0])
    exponents = [0, 1, -1, 255, 256, -65536, 2**31 - 3, -(2**31) + 5]
    table = grp.fixed_base(base, 40)
    assert table.power(np.array(exponents)).tolist() == [pow(base, e, grp.p) for e in exponents]


@pytest.mark.parametrize("name", [GroupName.TOY32, GroupName.MODP1536])
@pytest.mark.parametrize(("rows", "count", "terms"), [(1, 3, 1), (2, 2, 7), (20, 3, 6)])
def test_product_of_powers_equals_one_power_at_a_time(name: GroupName, rows: int, count: int, terms: int) -> None:
    grp, rng = group(name), Prg.insecure_seed(rows)
    bases = grp.random(rng, count * terms).reshape(count, terms)
    bound = 40 if name is GroupName.TOY32 else 130
    values = [int(rng.integer(bound)) - 2 ** (bound - 1) for _ in range(rows * terms)]
    values[0] = 0
    exponents = np.array(values, np.int64 if bound < 64 else object).reshape(rows, terms)
    got = multi_power(grp, bases, exponents)
    for p in range(rows):
        for m in range(count):
            want = 1
            for b, e in zip(bases[m], exponents[p], strict=True):
                want = want * pow(int(b), int(e), grp.p) % grp.p
            assert int(got[p, m]) == want


def test_products_do_not_depend_on_how_memory_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    grp, rng = group(GroupName.TOY32), Prg.insecure_seed(4)
    bases = grp.random(rng, 7 * 11).reshape(7, 11)
    exponents = rng.below((33, 11), grp.q).astype(np.int64)
    whole = multi_power(grp, bases, exponents)
    monkeypatch.setattr("pehealth.crypto.multiexp._CELLS", 500)
    assert (multi_power(grp, bases, exponents) == whole).all()


def test_all_exponents_zero_give_one() -> None:
    for name in (GroupName.TOY32, GroupName.MODP1536):
        grp = group(name)
        bases = grp.random(Prg.insecure_seed(5), 4).reshape(2, 2)
        assert (multi_power(grp, bases, np.zeros((3, 2), np.int64)) == 1).all()
