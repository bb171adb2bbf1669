"""Every gate through real material: exhaustive in x and r at small rings, against oracles at large ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.config import Party
from pehealth.crypto import gate_max, gate_relu, gate_rescale, gate_select
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_rescale import RescaleGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.gates import Gate, Signed, expand_first, restore_second
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import Words, from_signed, mask, to_signed
from pehealth.errors import RangeError

SCALES = (1, 2, 3, 7, 10, 16, 31, 50, 63)


def grid(gate: Gate) -> tuple[Signed, Words]:
    """Every x of the span with every mask."""
    x, r = np.arange(*gate.span, dtype=np.int64), np.arange(1 << gate.ring, dtype=np.uint64)
    return np.repeat(x, len(r)), np.tile(r, len(x))


def samples(gate: Gate, count: int, seed: int) -> tuple[Signed, Words]:
    """x of every size and the ends of the span, uniform masks and the corners of the ring."""
    rng, (low, high) = Prg.insecure_seed(seed), gate.span
    drop = rng.below(count, gate.ring - 1).astype(np.int64)
    x = np.clip(to_signed(rng.ring(count, gate.ring), gate.ring) >> drop, low, high - 1)
    scale = getattr(gate, "scale", 1)
    edges = [0, 1, -1, scale, -scale, scale - 1, scale + 1, low, low + 1, high - 1, high - 2]
    x[: len(edges)] = np.clip(np.array(edges, np.int64), low, high - 1)
    r = rng.ring(count, gate.ring)
    top = 1 << (gate.ring - 1)
    corners = np.array([0, 1, top - 1, top, top + 1, 2 * top - 1], np.uint64)
    r[11 : 11 + len(corners)] = corners
    return x, r


def run(gate: ReluGate | RescaleGate | MaxGate, x: Signed, r: Words, seed: int = 0) -> Signed:
    """Open x + r, evaluate both servers, and add up."""
    module = {ReluGate: gate_relu, RescaleGate: gate_rescale, MaxGate: gate_max}[type(gate)]
    rng = Prg.insecure_seed(seed)
    dealt = module.deal(r, gate, rng.child("E1"), rng)
    one, two = dealt.material(Party.E1), dealt.material(Party.E2)
    assert np.array_equal((one.mask + two.mask) & mask(gate.ring), r)
    x_hat = (from_signed(x, gate.ring) + r) & mask(gate.ring)
    shares = module.evaluate(Party.E1, x_hat, one), module.evaluate(Party.E2, x_hat, two)
    assert all((s <= mask(gate.ring)).all() for s in shares)
    return to_signed((shares[0] + shares[1]) & mask(gate.ring), gate.ring)


def wide(x: Signed) -> np.ndarray:
    """Python integers: nothing below wraps."""
    return x.astype(object)


def check_rounded(y: Signed, x: Signed, scale: int) -> None:
    error = wide(y) * scale - wide(x)
    assert np.abs(error).max() < scale, "the error reaches one unit"
    exact = wide(x) % scale == 0
    assert not error[exact.astype(bool)].any(), "a multiple of the scale is not exact"


@pytest.mark.parametrize("scale", SCALES)
def test_relu_is_right_for_every_value_and_mask(scale: int) -> None:
    gate = ReluGate(8, scale)
    x, r = grid(gate)
    y = run(gate, x, r)
    check_rounded(y, np.maximum(x, 0), scale)
    assert not y[x <= 0].any()
    assert np.array_equal(y, gate_relu.oracle(x, r, gate))


@pytest.mark.slow
@pytest.mark.parametrize(("ring", "scale"), [(9, 1), (9, 10), (9, 100), (10, 7), (10, 16), (10, 255)])
def test_relu_is_right_for_every_value_and_mask_of_larger_rings(ring: int, scale: int) -> None:
    gate = ReluGate(ring, scale)
    x, r = grid(gate)
    y = run(gate, x, r)
    check_rounded(y, np.maximum(x, 0), scale)
    assert not y[x <= 0].any()
    assert np.array_equal(y, gate_relu.oracle(x, r, gate))


@pytest.mark.parametrize("ring", [8, 9, 10])
@pytest.mark.parametrize("scale", SCALES)
def test_rescale_is_right_for_every_value_and_mask(ring: int, scale: int) -> None:
    gate = RescaleGate(ring, scale)
    x, r = grid(gate)
    y = run(gate, x, r)
    check_rounded(y, x, scale)
    assert np.array_equal(y, gate_rescale.oracle(x, r, gate))


@pytest.mark.parametrize("ring", [8, pytest.param(9, marks=pytest.mark.slow)])
def test_max_is_exact_for_every_value_and_mask(ring: int) -> None:
    gate = MaxGate(ring)
    x, r = grid(gate)
    y = run(gate, x, r)
    assert np.array_equal(y, np.maximum(x, 0))
    assert np.array_equal(y, gate_max.oracle(x, r, gate))


def run_select(gate: SelectGate, x: Signed, delta: Signed, r: Words, rho: Words) -> tuple[Signed, Signed]:
    rng, mod = Prg.insecure_seed(4), mask(gate.ring)
    dealt = gate_select.deal(r, rho, gate, rng.child("E1"), rng)
    x_hat, delta_hat = (from_signed(x, gate.ring) + r) & mod, (from_signed(delta, gate.ring) + rho) & mod
    one = gate_select.evaluate(Party.E1, x_hat, delta_hat, dealt.material(Party.E1))
    two = gate_select.evaluate(Party.E2, x_hat, delta_hat, dealt.material(Party.E2))
    greater, selected = (to_signed((a + b) & mod, gate.ring) for a, b in zip(one, two, strict=True))
    return greater, selected


@pytest.mark.parametrize("ring", [8, pytest.param(9, marks=pytest.mark.slow)])
def test_select_is_exact_for_every_value_and_mask(ring: int) -> None:
    gate = SelectGate(ring)
    x, r = grid(gate)
    rng = Prg.insecure_seed(5)
    delta, rho = to_signed(rng.ring(len(x), ring), ring), rng.ring(len(x), ring)
    greater, selected = run_select(gate, x, delta, r, rho)
    assert np.array_equal(greater, np.maximum(x, 0))
    assert np.array_equal(selected, np.where(x >= 0, delta, 0))
    expected = gate_select.oracle(x, delta, gate)
    assert np.array_equal(greater, expected[0])
    assert np.array_equal(selected, expected[1])


@pytest.mark.parametrize("ring", [32, 33, 40, 42, 43, 48, 63, 64])
@pytest.mark.parametrize("scale", [1, 10**4, 9 * 10**4, 3, 2**20])
def test_rescaling_gates_equal_their_oracles_at_real_sizes(ring: int, scale: int) -> None:
    relu, rescale = ReluGate(ring, scale), RescaleGate(ring, scale)
    x, r = samples(relu, 1500, ring)
    y = run(relu, x, r)
    check_rounded(y, np.maximum(x, 0), scale)
    assert not y[x <= 0].any()
    assert np.array_equal(y, gate_relu.oracle(x, r, relu))
    x, r = samples(rescale, 1500, ring + 1)
    y = run(rescale, x, r)
    check_rounded(y, x, scale)
    assert np.array_equal(y, gate_rescale.oracle(x, r, rescale))


@pytest.mark.parametrize("ring", [32, 40, 42, 43, 48, 64])
def test_max_and_select_are_exact_at_real_sizes(ring: int) -> None:
    x, r = samples(MaxGate(ring), 1500, ring)
    assert np.array_equal(run(MaxGate(ring), x, r), np.maximum(x, 0))
    gate, rng = SelectGate(ring), Prg.insecure_seed(ring)
    delta, rho = to_signed(rng.ring(len(x), ring), ring), rng.ring(len(x), ring)
    greater, selected = run_select(gate, x, delta, r, rho)
    assert np.array_equal(greater, np.maximum(x, 0))
    assert np.array_equal(selected, np.where(x >= 0, delta, 0))


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 64), st.data())
def test_relu_equals_its_oracle_for_any_ring_scale_value_and_mask(ring: int, data: st.DataObject) -> None:
    gate = ReluGate(ring, data.draw(st.integers(1, (1 << (ring - 2)) - 1), label="scale"))
    low, high = gate.span
    x = np.array(data.draw(st.lists(st.integers(low, high - 1), min_size=1, max_size=8)), np.int64)
    r = np.array([data.draw(st.integers(0, (1 << ring) - 1)) for _ in x], np.uint64)
    y = run(gate, x, r)
    assert np.array_equal(y, gate_relu.oracle(x, r, gate))
    check_rounded(y, np.maximum(x, 0), gate.scale)


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 64), st.data())
def test_rescale_equals_its_oracle_for_any_ring_scale_value_and_mask(ring: int, data: st.DataObject) -> None:
    gate = RescaleGate(ring, data.draw(st.integers(1, (1 << (ring - 2)) - 1), label="scale"))
    low, high = gate.span
    x = np.array(data.draw(st.lists(st.integers(low, high - 1), min_size=1, max_size=8)), np.int64)
    r = np.array([data.draw(st.integers(0, (1 << ring) - 1)) for _ in x], np.uint64)
    y = run(gate, x, r)
    assert np.array_equal(y, gate_rescale.oracle(x, r, gate))
    check_rounded(y, x, gate.scale)


def test_rounding_has_no_bias() -> None:
    """Over 2^16 masks the mean error of one value is within four standard deviations of zero."""
    count = 1 << 16
    for gate, oracle in ((ReluGate(40, 10**4), gate_relu.oracle), (RescaleGate(40, 10**4), gate_rescale.oracle)):
        r = Prg.insecure_seed(8).ring(count, 40)
        for value in (123_456_789, 1 << 30, 987_654):
            error = oracle(np.full(count, value, np.int64), r, gate) - value / 10**4
            part = value % 10**4 / 10**4
            assert abs(error.mean()) < 4 * (part * (1 - part) / count) ** 0.5


def test_the_maximum_of_two_numbers_is_one_gate_away() -> None:
    rng, ring = Prg.insecure_seed(9), 40
    a, b = (to_signed(rng.ring(2000, ring - 1), ring - 1) for _ in range(2))
    assert np.array_equal(b + run(MaxGate(ring), a - b, rng.ring(2000, ring)), np.maximum(a, b))


def test_values_outside_the_span_are_refused_by_the_oracle() -> None:
    gate = ReluGate(16, 10)
    low, high = gate.span
    r = np.zeros(1, np.uint64)
    for bad in (low - 1, high):
        with pytest.raises(RangeError, match="larger ring"):
            gate_relu.oracle(np.array([bad]), r, gate)
    with pytest.raises(RangeError, match="larger ring"):
        gate_rescale.oracle(np.array([1 << 14]), r, RescaleGate(16, 10))


@pytest.mark.parametrize(("ring", "scale"), [(7, 1), (65, 1), (16, 0), (16, 1 << 14)])
def test_rings_and_scales_that_do_not_fit_are_refused(ring: int, scale: int) -> None:
    for kind in (ReluGate, RescaleGate):
        with pytest.raises(RangeError):
            kind(ring, scale)


def test_the_first_half_is_a_function_of_its_generator_alone() -> None:
    gate, rng = ReluGate(40, 10**4), Prg.insecure_seed(10)
    seed1 = rng.child("E1")
    for corner in (0, 1 << 39):
        dealt = gate_relu.deal(np.full(50, corner, np.uint64), gate, seed1, rng)
        again = expand_first(gate, 50, rng.child("E1"))
        for name in ("masks", "terms", "roots"):
            assert np.array_equal(getattr(dealt.first, name), getattr(again, name))


def test_the_second_half_comes_back_from_its_seed_and_words() -> None:
    gate, rng = ReluGate(40, 10**4), Prg.insecure_seed(11)
    dealt = gate_relu.deal(rng.ring(50, 40), gate, rng.child("E1"), rng)
    again = restore_second(gate, dealt.second_seed, dealt.second.masks, dealt.second.terms)
    assert np.array_equal(again.roots, dealt.second.roots)


def test_neither_half_depends_on_the_mask_statistically() -> None:
    """Each bit of each server's own words is balanced whatever r is (5 standard deviations)."""
    gate, rng, count = ReluGate(40, 10**4), Prg.insecure_seed(12), 4096
    for corner in (0, 12_345, 1 << 39, (1 << 40) - 1):
        dealt = gate_relu.deal(np.full(count, corner, np.uint64), gate, rng.child("E1", corner), rng)
        for half in (dealt.first, dealt.second):
            for words in (*half.masks, *half.terms):
                ones = (words[:, None] >> np.arange(40, dtype=np.uint64) & np.uint64(1)).mean(axis=0)
                assert np.abs(ones - 0.5).max() < 5 * 0.5 / count**0.5


def test_inputs_of_the_wrong_size_are_refused() -> None:
    gate, rng = MaxGate(16), Prg.insecure_seed(13)
    dealt = gate_max.deal(rng.ring(5, 16), gate, rng.child("E1"), rng)
    with pytest.raises(ValueError, match="material for 5 gates"):
        gate_max.evaluate(Party.E1, np.zeros(6, np.uint64), dealt.material(Party.E1))


def test_repr_shows_sizes_and_no_values() -> None:
    gate, rng = ReluGate(16, 10), Prg.insecure_seed(14)
    dealt = gate_relu.deal(rng.ring(5, 16), gate, rng.child("E1"), rng)
    assert repr(dealt.material(Party.E1)) == (
        "Material(gate=ReluGate(ring=16, scale=10), "
        "common=DcfCommon(spec=DcfSpec(domain=12, ring=16, words=3, inclusive=True)), half=Half())"
    )
    assert "seed" not in repr(dealt)
