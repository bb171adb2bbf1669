"""The walk finds what a step by step walk finds, and the predictions are those of fair bits."""

import math
from fractions import Fraction

import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.config import GroupName
from pehealth.crypto import ddlog_modp
from pehealth.crypto.ddlog import (
    Walk,
    blind,
    choose_walk,
    expected_steps,
    failure_probability,
    longest_run,
    predicted_failures,
    steps,
)
from pehealth.crypto.ddlog_modp import Expansion, first_run, modp_steps
from pehealth.crypto.ddlog_toy import toy_steps
from pehealth.crypto.groups import Group, ModpGroup, ToyGroup, group
from pehealth.crypto.prg import Prg
from pehealth.errors import RangeError

TINY = 2039
SQUARES = sorted({x * x % TINY for x in range(1, TINY)})


def naive(p: int, h: int, run: int, cap: int) -> int:
    """Protocol 2's loop: step until the point is distinguished or the cap is reached."""
    mu = 0
    while mu < cap and (h << run) >= p:
        h, mu = 2 * h % p, mu + 1
    return mu


def tiny() -> tuple[ToyGroup, ModpGroup]:
    return ToyGroup(TINY), ModpGroup(GroupName.MODP1536, TINY, 10)


@pytest.mark.parametrize("run", [*range(1, 14), 16, 20, 26])
@pytest.mark.parametrize("cap", [1, 7, 3000])
def test_both_walks_equal_the_step_by_step_walk_from_every_start_of_a_tiny_group(run: int, cap: int) -> None:
    want = [naive(TINY, h, run, cap) for h in SQUARES]
    for grp in tiny():
        assert steps(grp, grp.elements(SQUARES), Walk(run, cap)).tolist() == want


@pytest.mark.parametrize("chunk", [32, 40, 64, 128])
@pytest.mark.parametrize("run", [1, 5, 8, 12, 14, 15, 16, 23])
def test_chunk_borders_neither_miss_nor_shift_a_run(chunk: int, run: int) -> None:
    grp = ModpGroup(GroupName.MODP1536, TINY, 10)
    starts = grp.elements(SQUARES[::7])
    assert modp_steps(grp, starts, run, 600, chunk).tolist() == [naive(TINY, int(h), run, 600) for h in starts]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 26), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2**32)), min_size=1, max_size=20))
def test_toy_walk_finds_runs_planted_at_any_place(run: int, planted: list[tuple[int, int]]) -> None:
    grp = ToyGroup()
    points = [(d % (grp.p >> run)) + 1 if grp.p >> run > d % (grp.p >> run) + 1 else 1 for _, d in planted]
    starts = [pt * pow(2, -place, grp.p) % grp.p for (place, _), pt in zip(planted, points, strict=True)]
    got = toy_steps(grp, np.array(starts, np.uint64), run, 4000)
    assert got.tolist() == [naive(grp.p, h, run, 4000) for h in starts]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([9, 14, 15, 17, 23]), st.integers(0, 700), st.integers(1, 2**200), st.sampled_from([64, 136]))
def test_walk_of_a_real_group_finds_runs_planted_at_any_place(run: int, place: int, point: int, chunk: int) -> None:
    grp = group(GroupName.MODP1536)
    assert isinstance(grp, ModpGroup)
    start = point * pow(2, -place, grp.p) % grp.p
    got = modp_steps(grp, grp.elements([start]), run, 800, chunk)
    assert got.tolist() == [naive(grp.p, start, run, 800)]


@given(st.data())
def test_search_finds_the_first_run_of_any_string_of_digits(data: st.DataObject) -> None:
    run = data.draw(st.integers(1, 40))
    pieces = data.draw(
        st.lists(st.sampled_from(["1", "0" * (run - 1), "0" * run, "01", "0" * 8, "1" * 8]), max_size=30)
    )
    text = "".join(pieces)
    text = text.ljust(-(-max(len(text), 1) // 8) * 8, data.draw(st.sampled_from("01")))
    assert first_run(mpz(int(text, 2)), len(text), run) == text.find("0" * run)


@pytest.mark.parametrize("guard", [1, 2, 64])
def test_product_with_the_reciprocal_gives_the_digits_of_the_division(
    guard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddlog_modp, "_GUARD", guard)
    for bits in (8, 64, 200):
        expansion = Expansion(mpz(TINY), bits)
        assert all(expansion.digits(mpz(h)) == (h << bits) // TINY for h in range(1, TINY))


@pytest.mark.parametrize("grp", tiny(), ids=["toy", "modp"])
@pytest.mark.parametrize("value", [0, 1, -1, 5, -9, 40])
def test_shares_add_to_the_value_unless_a_distinguished_point_lies_between_the_starts(grp: Group, value: int) -> None:
    walk = Walk(4, 10_000)
    second = grp.elements(SQUARES)
    first = grp.mul(second, grp.power(grp.elements([2]), np.array([value])))
    total = steps(grp, second, walk) - steps(grp, first, walk)
    behind = second if value >= 0 else first
    clear = np.array([naive(TINY, int(h), 4, abs(value)) == abs(value) for h in behind])
    assert ((total == value) == clear).all()


def test_walk_that_finds_nothing_counts_the_cap() -> None:
    for grp in tiny():
        assert steps(grp, grp.elements([3, 5]), Walk(12, 99)).tolist() == [99, 99]


def test_blinding_is_common_to_both_servers_and_fresh_for_each_conversion() -> None:
    grp = group(GroupName.TOY32)
    starts = np.full((40, 5), 4, np.uint64)
    one, two = (blind(grp, starts, Prg.insecure_seed(1).child("label")) for _ in range(2))
    assert (one == two).all()
    assert len(np.unique(one)) == 200
    assert (starts == 4).all()


def survival(run: int, length: int) -> list[Fraction]:
    """Return the exact chance that none of m successive starts begins a run of zeros, m = 0 .. length."""
    unit = Fraction(1, 2 ** (run + 1))
    chance = [Fraction(1), 1 - 2 * unit]
    for m in range(1, length):
        chance.append(chance[m] - unit * (chance[m - run] if m > run else 1))
    return chance


@pytest.mark.parametrize("run", [1, 2, 3, 5, 8, 12])
def test_predictions_equal_the_exact_recursion_for_fair_bits(run: int) -> None:
    exact = survival(run, 400)
    got = failure_probability(np.arange(400), Walk(run, 1 << 40))
    want = [0.0] + [float(1 - s) for s in exact[1:400]]
    np.testing.assert_allclose(got, want, rtol=1e-3 if run < 8 else 2e-5)
    assert (failure_probability(-np.arange(400), Walk(run, 1 << 40)) == got).all()
    for cap in (run + 20, 399):
        mean = expected_steps(Walk(run, cap))
        assert mean == pytest.approx(float(sum(exact[1 : cap + 1])), rel=0.02 if run > 2 else 0.2)


def test_recursion_agrees_with_counting_every_string() -> None:
    for run, m in ((2, 6), (3, 5), (4, 7)):
        length = m + run - 1
        free = sum("0" * run not in f"{v:0{length}b}" for v in range(2**length))
        assert survival(run, m)[m] == Fraction(free, 2**length)


@pytest.mark.parametrize("run", [8, 16, 24, 40])
def test_mean_walk_is_the_waiting_time_for_a_run(run: int) -> None:
    assert expected_steps(Walk(run, 1 << 60)) == pytest.approx(2 ** (run + 1) - 2 - run, rel=1e-3)


def test_cap_adds_its_own_failures() -> None:
    walk = Walk(10, 3 * 2**11)
    extra = failure_probability(np.array([1, 50]), walk) - failure_probability(np.array([1, 50]), Walk(10, 1 << 40))
    assert extra == pytest.approx([math.exp(-3)] * 2, rel=0.03)
    assert failure_probability(np.zeros(3), walk).tolist() == [0, 0, 0]


@given(st.integers(1, 10**9), st.integers(1, 10**5), st.sampled_from([0.5, 0.05, 2**-10]))
def test_chosen_walk_meets_its_target_and_half_of_it_would_not(total: int, conversions: int, target: float) -> None:
    value = max(total // conversions, 1)
    walk = choose_walk(value * conversions, conversions, target)
    assert predicted_failures(np.full(conversions, value), walk) <= target * (1 + 1e-9)
    shorter = Walk(walk.run - 1, walk.cap) if walk.run > 1 else None
    if shorter is not None and value < 2 ** (walk.run - 4):
        assert predicted_failures(np.full(conversions, value), shorter) > target * 0.9


def test_walk_beyond_the_group_is_refused() -> None:
    grp = group(GroupName.TOY32)
    with pytest.raises(RangeError, match="runs of"):
        choose_walk(10**12, 1000, 0.01, longest_run(grp))
    with pytest.raises(RangeError, match="1 <= w <= 40"):
        Walk(41, 10)
    with pytest.raises(RangeError, match="cap of at least 1"):
        Walk(10, 0)
