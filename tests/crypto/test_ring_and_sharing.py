"""Words mod 2^k, and shares that add up to what was shared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import apply, from_signed, limb_matmul, limb_width, matmul, reduce, to_signed
from pehealth.crypto.sharing import open_ring, share_bits, share_integers, share_modulo, share_ring
from pehealth.errors import RangeError

BITS = st.integers(1, 64)


@given(BITS, st.data())
def test_signed_view_inverts_reduction_over_the_whole_centred_range(bits: int, data: st.DataObject) -> None:
    half = 1 << (bits - 1)
    values = data.draw(st.lists(st.integers(-half, half - 1) | st.sampled_from([-half, half - 1]), min_size=1))
    x = np.array(values, np.int64)
    assert to_signed(from_signed(x, bits), bits).tolist() == values
    assert (from_signed(x, bits) == np.array([v % (1 << bits) for v in values], np.uint64)).all()


@pytest.mark.parametrize("bits", [1, 8, 31, 40, 63, 64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (70, 130, 65), (64, 1000, 64)])
def test_products_are_exact_by_words_and_by_limbs(bits: int, shape: tuple[int, int, int]) -> None:
    n, f, m = shape
    rng = Prg.insecure_seed(bits)
    a, b = rng.ring((n, f), bits), rng.ring((f, m), bits)
    want = reduce(a @ b, bits)
    assert (matmul(a, b, bits) == want).all()
    assert (limb_matmul(a, b, bits) == want).all()


def test_products_of_greatest_words_do_not_round() -> None:
    for bits in (40, 64):
        a = np.full((64, 4096), 2**bits - 1, np.uint64)
        want = np.uint64(4096 * (2**bits - 1) ** 2 % 2**bits)
        assert (limb_matmul(a, a.T[:, :3].copy(), bits) == want).all()


def test_limbs_leave_room_for_every_sum() -> None:
    for fan_in in (1, 25, 845, 4096, 1 << 20):
        for bits in (32, 40, 64):
            width, count = limb_width(fan_in, bits)
            assert width * count >= bits
            assert fan_in * count * ((1 << width) - 1) ** 2 < 1 << 53
    with pytest.raises(ValueError, match="no room"):
        limb_width(1 << 52, 64)


@pytest.mark.parametrize(
    "layer", [LinearMap.dense(30, 70), LinearMap((2, 9, 8), 3, (3, 2), (2, 1), (1, 0))], ids=["dense", "conv"]
)
def test_layer_mod_2_to_the_k_equals_the_oracle(layer: LinearMap) -> None:
    rng = Prg.insecure_seed(9)
    w, x = rng.ring(layer.weight_shape, 40), rng.ring((80, layer.inputs), 40)
    assert (apply(layer, w, x, 40) == reduce(layer.apply(w, x), 40)).all()


def test_shares_add_up_in_every_sharing() -> None:
    rng = Prg.insecure_seed(1)
    words = rng.ring((3, 4), 37)
    assert (open_ring(*share_ring(words, 37, rng), 37) == words).all()
    values = np.array([[0, 5, -5], [100, -100, 7]])
    first, second = share_modulo(values, 211, rng)
    assert ((first + second - values) % 211 == 0).all()
    assert min(first.min(), second.min()) >= 0
    assert max(first.max(), second.max()) < 211
    for slack in (20, 80):
        first, second = share_integers(values, 7, slack, rng)
        assert (first + second == values).all()
        assert first.dtype == (np.int64 if slack == 20 else object)
        assert 0 <= min(first.reshape(-1)) <= max(first.reshape(-1)) < 2 ** (7 + slack)
    packed = np.frombuffer(rng.bytes(20), np.uint8).reshape(4, 5)
    first, second = share_bits(packed, rng)
    assert (first ^ second == packed).all()


def test_integer_sharing_refuses_what_its_slack_would_not_hide() -> None:
    for value in (128, -128):
        with pytest.raises(RangeError, match="7 bits or fewer"):
            share_integers(np.array([0, value]), 7, 20, Prg.insecure_seed(1))


def test_first_share_does_not_depend_on_the_value() -> None:
    zeros, ones = np.zeros(50, np.int64), np.ones(50, np.int64)
    for share in (
        lambda v, rng: share_modulo(v, 1009, rng),
        lambda v, rng: share_integers(v, 8, 40, rng),
        lambda v, rng: share_ring(v.view(np.uint64), 40, rng),
    ):
        assert (share(zeros, Prg.insecure_seed(3))[0] == share(ones, Prg.insecure_seed(3))[0]).all()
