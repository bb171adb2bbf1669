"""Engine `dealt`: U is exact, z is W * y + bias, and no record of a server shows anything."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.config import Party
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.dealt import DealtEngine, dealt
from pehealth.engines.interface import Record, from_ring, ring_mask, seed_prg, seed_words, to_ring
from pehealth.engines.weights import RingWeights
from pehealth.errors import PeerProtocolError, RangeError

RINGS = (32, 40, 48, 64)
CRYPTONETS = (
    LinearMap((1, 28, 28), 5, (5, 5), (2, 2), (1, 1)),
    LinearMap.dense(845, 100),
    LinearMap.dense(100, 10),
)


@pytest.mark.parametrize("ring", RINGS)
@settings(max_examples=25)
@given(data=st.data(), batch=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_shares_of_z_add_up_to_the_layer_exactly(
    kit: SimpleNamespace, ring: int, data: st.DataObject, batch: int, seed: int
) -> None:
    layer = data.draw(kit.layers())
    weights, bias, y = kit.case(ring, layer, batch, seed)
    run = kit.play(dealt(ring), layer, weights, bias, y, seed)
    assert np.array_equal(
        (run.products[0] + run.products[1]) & ring_mask(ring), kit.exact(layer, weights, run.mask, ring)
    )
    want = layer.add_bias(kit.exact(layer, weights, y, ring), to_ring(bias, ring)) & ring_mask(ring)
    assert np.array_equal((run.z[0] + run.z[1]) & ring_mask(ring), want)
    assert run.z[0].dtype == run.z[1].dtype == np.uint64


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("layer", CRYPTONETS, ids=("conv", "dense 845", "dense 100"))
def test_products_mod_2k_equal_python_integers(kit: SimpleNamespace, ring: int, layer: LinearMap) -> None:
    prg = Prg.insecure_seed(ring)
    weights, x = prg.ring(layer.weight_shape, ring), prg.ring((3, layer.inputs), ring)
    ready = RingWeights.of(layer, weights, np.zeros(layer.out_channels, np.uint64), ring)
    assert np.array_equal(ready.apply(x), kit.exact(layer, weights, x, ring))


def test_worst_case_operands_wrap_mod_2k_only(kit: SimpleNamespace) -> None:
    layer = LinearMap.dense(4096, 2)
    for ring in RINGS:
        top = np.full((2, 4096), ring_mask(ring))
        ready = RingWeights.of(layer, top, np.zeros(2, np.uint64), ring)
        assert np.array_equal(ready.apply(top), kit.exact(layer, top, top, ring))


@pytest.mark.parametrize("ring", RINGS)
def test_ring_representatives_go_both_ways(ring: int) -> None:
    h = 1 << (ring - 1)
    values = np.array([0, 1, -1, h - 1, -h], np.int64)
    assert np.array_equal(from_ring(to_ring(values, ring), ring), values)
    assert int(to_ring(values, ring).max()) == (1 << ring) - 1


def test_a_server_alone_sees_uniform_words(kit: SimpleNamespace) -> None:
    """Chi-square of the low and high bytes of all that E1 and E2 hold, with weights and input all zero."""
    engine, layer = dealt(40), LinearMap.dense(400, 20)
    run = kit.play(engine, layer, np.zeros((20, 400), np.int64), np.zeros(20, np.int64), np.zeros((64, 400), np.int64))
    share1 = engine.load(layer, run.models[0]).weights
    for words in (share1, run.models[1]["weights"], run.materials[0]["products"], run.materials[1]["products"], *run.z):
        for shift in (0, 32):
            counts = np.bincount(((words.reshape(-1) >> np.uint64(shift)) & np.uint64(255)).astype(int), minlength=256)
            expected = words.size / 256
            # 255 degrees of freedom: mean 255, deviation 22.6; 400 is beyond six deviations
            assert ((counts - expected) ** 2 / expected).sum() < 400


def test_one_seed_gives_one_material_and_another_seed_another() -> None:
    engine, layer = dealt(40), LinearMap.dense(30, 8)
    first, again, other = (engine.expand(layer, 2, Prg.insecure_seed(s))["products"] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_sizes_are_known_before_anything_is_made() -> None:
    engine = dealt(40)
    costs = [engine.cost(layer) for layer in CRYPTONETS]
    assert [c.model for c in costs] == [(32, 130 * 5), (32, 84600 * 5), (32, 1010 * 5)]
    assert [(c.material, c.mask) for c in costs] == [(845 * 5, 784 * 5), (500, 845 * 5), (50, 500)]
    assert engine.material_layout(CRYPTONETS[1], 7).size == 7 * 500


def test_records_and_loaded_models_do_not_show_values() -> None:
    engine, layer = dealt(40), LinearMap.dense(3, 2)
    weights = np.full((2, 3), 31337, np.int64)
    secret = engine.secret(layer, weights, engine.keygen(Prg.insecure_seed(1)))
    loaded = engine.load_secret(layer, secret)
    ready = engine.prepare(
        layer, loaded, Record({"products": np.full((1, 2), 31337, np.uint64)}), Prg.insecure_seed(99)
    )
    for thing in (secret, loaded, ready):
        assert "31337" not in repr(thing)
    assert repr(secret) == "<Record weights[2, 3]>"
    assert repr(Record()) == "<Record empty>"


def test_a_record_of_the_wrong_length_is_refused() -> None:
    engine, layer = dealt(40), LinearMap.dense(3, 2)
    layout = engine.model_layout(layer, Party.E2)
    with pytest.raises(PeerProtocolError, match="40"):
        Record.unpack(layout, bytes(layout.size + 1))


def test_nothing_wraps_silently() -> None:
    engine, layer, rng = dealt(32), LinearMap.dense(1, 1), Prg.insecure_seed(1)
    edge = np.array([[-(2**31)]], np.int64), np.array([2**31 - 1], np.int64)
    engine.encrypt(layer, *edge, Record(), rng)
    with pytest.raises(RangeError, match="a weight does not fit a ring of 32 bits"):
        engine.encrypt(layer, edge[0] - 1, edge[1], Record(), rng)
    with pytest.raises(RangeError, match="a bias does not fit"):
        engine.encrypt(layer, edge[0], edge[1] + 1, Record(), rng)


def test_the_engine_is_a_value_without_state() -> None:
    assert dealt(40) == DealtEngine(40)
    assert hash(dealt(40)) == hash(DealtEngine(40))
    key = Prg.insecure_seed(3).key()
    assert seed_prg(seed_words(key)).key() == Prg(key).key()
