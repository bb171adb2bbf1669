"""The paper's linear layers give the integer oracle's values in both halves of a pair, with no message."""

import inspect

import numpy as np
import pytest

from pehealth.config import GroupName, Party
from pehealth.crypto.ddlog import Walk, expected_steps
from pehealth.crypto.elgamal import KeyPair, encrypt, keygen
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.multiexp import multi_power
from pehealth.crypto.prg import Prg
from pehealth.engines import paper
from pehealth.engines.paper import PairShare
from pehealth.errors import RangeError

SERVERS = (Party.E1, Party.E2)
LONG = Walk(16, 1 << 21)
LAYERS = {
    "dense": LinearMap.dense(12, 3),
    "conv1d": LinearMap((2, 1, 9), 3, (1, 3), (1, 2), (0, 1)),
    "conv2d": LinearMap((2, 6, 5), 2, (3, 2), (2, 1), (1, 1)),
    "whole image": LinearMap((1, 3, 3), 2, (3, 3), (1, 1), (1, 1)),
}


def signed(rng: Prg, shape: tuple[int, ...], bound: int) -> np.ndarray:
    return rng.below(shape, 2 * bound + 1).astype(np.int64) - bound


def both(
    layer: LinearMap,
    models: tuple[paper.LayerModel, ...],
    pairs: tuple[PairShare, ...],
    walk: Walk = LONG,
    label: paper.Label = ("test",),
) -> tuple[list[PairShare], list[paper.Ops]]:
    out = [
        paper.linear(layer, model, pair, walk, Prg.insecure_seed(99), label, party)
        for party, model, pair in zip(SERVERS, models, pairs, strict=True)
    ]
    return [pair for pair, _ in out], [ops for _, ops in out]


def opened(pairs: list[PairShare]) -> np.ndarray:
    return pairs[0].x + pairs[1].x


def sk_error(pairs: list[PairShare], value: np.ndarray, key: KeyPair) -> np.ndarray:
    """Return <sk*z> less sk*z: mod q in toy32, else over the integers."""
    total = pairs[0].skx + pairs[1].skx
    want = value.astype(object) * key.secret
    return np.array(total - want, object) % key.group.q if key.group.name is GroupName.TOY32 else total - want


@pytest.mark.parametrize(
    ("name", "group_name"),
    [*((name, GroupName.TOY32) for name in LAYERS), ("conv1d", GroupName.MODP1536), ("conv1d", GroupName.MODP3072)],
)
def test_a_layer_equals_the_oracle_when_walks_are_long(name: str, group_name: GroupName) -> None:
    layer, rng = LAYERS[name], Prg.insecure_seed(7)
    keybits = group_name is GroupName.TOY32
    key = keygen(group_name, rng)
    weights, bias = signed(rng, layer.weight_shape, 2), signed(rng, (layer.out_channels,), 50)
    x = signed(rng, (2, layer.inputs), 2)
    models = paper.encrypt(layer, weights, bias, key, rng, keybits=keybits)
    pairs, ops = both(layer, models, paper.share_inputs(x, key, rng))
    want = layer.add_bias(layer.apply(weights, x), bias)
    assert (opened(pairs) == want).all()
    planned = paper.linear_ops(layer, key.group, LONG, 2, keybits=keybits)
    for counted in ops:
        assert (counted.exponentiations, counted.conversions) == (planned.exponentiations, planned.conversions)
        assert 0.5 < counted.ddlog_steps / planned.ddlog_steps < 2
    if keybits:
        assert (sk_error(pairs, want, key) == 0).all()
    else:
        assert pairs[0].skx is None


@pytest.mark.parametrize("group_name", [GroupName.TOY32, GroupName.MODP1536])
def test_two_layers_in_a_row_carry_sk_times_x_through(group_name: GroupName) -> None:
    rng = Prg.insecure_seed(3)
    key = keygen(group_name, rng)
    one, two = LinearMap.dense(2, 1), LinearMap.dense(1, 2)
    x, w1, w2 = np.array([[3, -2]]), np.array([[2, 1]]), np.array([[5], [-7]])
    b1, b2 = np.array([-1]), np.array([10, 20])
    hidden, _ = both(
        one, paper.encrypt(one, w1, b1, key, rng, keybits=True), paper.share_inputs(x, key, rng), label=(1,)
    )
    assert opened(hidden).tolist() == [[3]]
    assert (sk_error(hidden, opened(hidden), key) == 0).all()
    last, _ = both(two, paper.encrypt(two, w2, b2, key, rng, keybits=False), tuple(hidden), label=(2,))
    assert opened(last).tolist() == [[25, -1]]
    with pytest.raises(ValueError, match="without key bits"):
        both(two, paper.encrypt(two, w2, b2, key, rng, keybits=False), tuple(last))


@pytest.mark.parametrize("group_name", list(GroupName))
def test_multiplicative_shares_multiply_to_g_to_the_product(group_name: GroupName) -> None:
    """Equation 3 of the paper, g^c' g^c'' = g^(w x), for a dot product."""
    rng = Prg.insecure_seed(5)
    key = keygen(group_name, rng)
    grp, layer = key.group, LinearMap.dense(3, 1)
    w, x = np.array([[4, -9, 7]]), np.array([[-3, 8, 2]])
    sealed = encrypt(w, key.public, rng).reshape(1, 6)
    pairs = paper.share_inputs(x, key, rng)
    starts = [multi_power(grp, sealed, paper.exponents(grp, layer, p, s)) for p, s in zip(pairs, SERVERS, strict=True)]
    product = grp.mul(starts[0], grp.inverse(starts[1]))
    assert int(product[0, 0]) == pow(2, int((w * x).sum()), grp.p)


def test_key_bit_shares_make_up_the_share_of_sk_times_the_value() -> None:
    """Equation 4 of the paper."""
    key = keygen(GroupName.TOY32, Prg.insecure_seed(6))
    layer, value = LinearMap.dense(1, 1), 1234
    shares = np.array([[[bit * value - 5]] for bit in key.bits]), np.array([[[5]] for _ in key.bits])
    first, second = (paper.combine_key_bits(key.group, layer, s, np.zeros(1, np.int64)) for s in shares)
    assert first is not None
    assert second is not None
    assert ((first + second - key.secret * value) % key.group.q == 0).all()


def test_no_function_of_the_engine_takes_a_channel_or_waits() -> None:
    for function in vars(paper).values():
        if inspect.isfunction(function):
            assert not inspect.iscoroutinefunction(function)
            assert not {"channel", "ctx", "context", "link"} & set(inspect.signature(function).parameters)


def test_progress_counts_every_conversion_once() -> None:
    rng, layer = Prg.insecure_seed(8), LinearMap.dense(3, 2)
    key = keygen(GroupName.TOY32, rng)
    model = paper.encrypt(layer, np.ones((2, 3), np.int64), np.zeros(2, np.int64), key, rng, keybits=True)[0]
    pair = paper.share_inputs(np.ones((1, 3), np.int64), key, rng)[0]
    seen: list[tuple[int, int]] = []
    paper.linear(
        layer, model, pair, Walk(8, 4096), Prg.insecure_seed(1), ("p",), Party.E1, progress=lambda *a: seen.append(a)
    )
    assert seen[-1] == (64, 64)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_blocks_do_not_change_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, layer = Prg.insecure_seed(8), LAYERS["conv2d"]
    key = keygen(GroupName.TOY32, rng)
    w, x = signed(rng, layer.weight_shape, 2), signed(rng, (2, layer.inputs), 2)
    models = paper.encrypt(layer, w, np.zeros(2, np.int64), key, rng, keybits=True)
    pairs = paper.share_inputs(x, key, rng)
    monkeypatch.setattr(paper, "_BLOCK", 100)
    assert (opened(both(layer, models, pairs)[0]) == layer.apply(w, x)).all()


def test_cap_has_its_stated_outcome() -> None:
    rng, layer, walk = Prg.insecure_seed(2), LinearMap.dense(1, 1), Walk(26, 3)
    key = keygen(GroupName.TOY32, rng)
    models = paper.encrypt(layer, np.ones((1, 1), np.int64), np.zeros(1, np.int64), key, rng, keybits=False)
    pairs, ops = both(layer, models, paper.share_inputs(np.full((9, 1), 4), key, rng), walk)
    bias = [int(m.bias[0]) for m in models]
    assert (pairs[0].x == bias[0] - 3).all()
    assert (pairs[1].x == bias[1] + 3).all()
    assert [o.ddlog_steps for o in ops] == [27, 27]
    assert expected_steps(walk) == pytest.approx(3)


def pair_of(x: np.ndarray) -> PairShare:
    return PairShare(x, 1000 * x)


def test_local_steps_act_on_both_halves() -> None:
    a, b = pair_of(np.array([[1, 2, 3, 4]])), pair_of(np.array([[10, 20, 30, 40]]))
    assert paper.add(a, b).skx.tolist() == [[11000, 22000, 33000, 44000]]
    assert paper.subtract(b, a).x.tolist() == [[9, 18, 27, 36]]
    keep = np.array([[True, False, False, True]])
    assert paper.select(keep, a).skx.tolist() == [[1000, 0, 0, 4000]]
    assert paper.select(keep, a, b).x.tolist() == [[1, 20, 30, 4]]
    assert paper.select(keep, a, b).skx.tolist() == [[1000, 20000, 30000, 4000]]
    assert paper.take(a, np.array([3, 0])).skx.tolist() == [[4000, 1000]]
    assert paper.take(a, np.array([[2]])).x.tolist() == [[3]]
    last = PairShare(a.x, None)
    assert paper.add(last, b).skx is None
    assert paper.select(keep, last).skx is None
    assert a.x.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("dtype", [np.int64, object])
def test_pooling_sums_each_window_and_drops_the_remainder(dtype: type) -> None:
    x = np.arange(2 * 2 * 3 * 5).reshape(2, 30).astype(dtype)
    got = paper.pool_sum(pair_of(x), (2, 3, 5), (2, 2))
    image = x.reshape(2, 2, 3, 5)[:, :, :2, :4]
    want = image.reshape(2, 2, 1, 2, 2, 2).sum(axis=(3, 5)).reshape(2, 4)
    assert (got.x == want).all()
    assert (got.skx == 1000 * want).all()
    moved = paper.pool_sum(pair_of(x), (30,), (3,), (2,))
    assert moved.x.tolist() == [[sum(row[i : i + 3]) for i in range(0, 28, 2)] for row in x.tolist()]


@pytest.mark.parametrize("dtype", [np.int64, object])
def test_ring_shares_and_result_shares_add_up_mod_2_to_the_l(dtype: type) -> None:
    value = np.array([[5, -7, 2**30, -(2**30)]])
    first = np.array([[2**53, -(2**50), 12345, -1]])
    pairs = [PairShare(v.astype(dtype), None) for v in (first, value - first)]
    for bits in (32, 40, 64):
        want = [v % 2**bits for v in value[0].tolist()]
        mask = np.uint64(2**bits - 1)
        assert ((pairs[0].ring(bits) + pairs[1].ring(bits)) & mask).tolist() == [want]
        results = [
            paper.result_share(p, bits, Prg.insecure_seed(4), ("q", 1), s) for p, s in zip(pairs, SERVERS, strict=True)
        ]
        assert ((results[0] + results[1]) & mask).tolist() == [want]
        assert (results[0] != pairs[0].ring(bits)).all()


def test_input_shares_of_toy32_are_uniform() -> None:
    """Chi-square over 64 cells, for a constant reading, each of the four shares a sensor sends."""
    rng = Prg.insecure_seed(11)
    key = keygen(GroupName.TOY32, rng)
    for pair in paper.share_inputs(np.full((64, 1000), 9), key, rng):
        for share in (pair.x, pair.skx):
            cells = np.bincount((share * 64 // key.group.q).reshape(-1), minlength=64)
            assert len(cells) == 64
            assert ((cells - 1000.0) ** 2 / 1000).sum() < 63 + 5 * 126**0.5


@pytest.mark.parametrize("group_name", [GroupName.TOY32, GroupName.MODP2048])
def test_values_beyond_the_group_are_refused(group_name: GroupName) -> None:
    rng, layer = Prg.insecure_seed(1), LinearMap.dense(1, 1)
    key = keygen(group_name, rng)
    over = np.full((1, 1), paper.max_value(key.group) + 1)
    zero = np.zeros(1, np.int64)
    with pytest.raises(RangeError, match="a reading must be at most"):
        paper.share_inputs(-over, key, rng)
    with pytest.raises(RangeError, match="a weight must be at most"):
        paper.encrypt(layer, over, zero, key, rng, keybits=True)
    with pytest.raises(RangeError, match="a bias must be at most"):
        paper.encrypt(layer, np.ones((1, 1), np.int64), over[0], key, rng, keybits=True)
    with pytest.raises(ValueError, match="do not fit"):
        paper.encrypt(layer, np.ones((1, 2), np.int64), zero, key, rng, keybits=True)


def test_greatest_inputs_are_shared_exactly() -> None:
    for name in (GroupName.TOY32, GroupName.MODP1536):
        rng = Prg.insecure_seed(1)
        key = keygen(name, rng)
        top = paper.max_value(key.group)
        x = np.array([[top, -top, 0]])
        first, second = paper.share_inputs(x, key, rng)
        total = first.x + second.x - x
        assert (np.array(total, object) % key.group.q == 0).all() if name is GroupName.TOY32 else (total == 0).all()
        assert (sk_error([first, second], x, key) == 0).all()


def test_repr_shows_shapes_only() -> None:
    rng, layer = Prg.insecure_seed(1), LinearMap.dense(2, 1)
    key = keygen(GroupName.TOY32, rng)
    model = paper.encrypt(layer, np.ones((1, 2), np.int64), np.zeros(1, np.int64), key, rng, keybits=True)[0]
    pair = paper.share_inputs(np.ones((1, 2), np.int64), key, rng)[0]
    assert repr(model) == "<LayerModel toy32 ciphertexts (32, 1, 2)>"
    assert repr(pair) == "<PairShare (1, 2) int64 with sk*x>"
