"""Engine `rlwe`: U within one unit of W * R, everything else exact, and refusals by name."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.config import Engine, Parameters, Party
from pehealth.crypto.lattice.parameters import N4096, N8192, LatticeParameters
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import lattice_name, masked_engine
from pehealth.engines.interface import Record, from_ring, ring_mask, to_ring
from pehealth.engines.rlwe import RlweEngine, choose_lattice, rlwe_engine
from pehealth.errors import ConfigError, UnsupportedLayer

TOY = LatticeParameters("toy", 256, N4096.primes)
TOY_WIDE = LatticeParameters("toy-wide", 256, N8192.primes)
CRYPTONETS = (
    LinearMap((1, 28, 28), 5, (5, 5), (2, 2), (1, 1)),
    LinearMap.dense(845, 100),
    LinearMap.dense(100, 10),
)


def check_run(kit: SimpleNamespace, engine: RlweEngine, layer: LinearMap, batch: int, seed: int) -> int:
    """Every integer of a run against Python integers; return how many outputs are one unit off."""
    ring, mod = engine.ring, ring_mask(engine.ring)
    weights, bias, y = kit.case(ring, layer, batch, seed)
    run = kit.play(engine, layer, weights, bias, y, seed)
    products = (run.products[0] + run.products[1]) & mod
    off = from_ring((products - kit.exact(layer, weights, run.mask, ring)) & mod, ring)
    assert abs(off).max() <= 1
    # the mask-aware oracle: given Y^ and the U that the servers derive, z is exact
    want = layer.add_bias(kit.exact(layer, weights, run.y_masked, ring), to_ring(bias, ring)) - products
    assert np.array_equal((run.z[0] + run.z[1]) & mod, want & mod)
    assert run.z[0].dtype == run.z[1].dtype == np.uint64
    return int((off != 0).sum())


@pytest.mark.parametrize(("ring", "parameters"), [(32, TOY), (40, TOY), (48, TOY), (64, TOY_WIDE)])
@settings(max_examples=25, deadline=None)
@given(data=st.data(), batch=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_shares_of_z_are_the_layer_to_one_unit(
    kit: SimpleNamespace, ring: int, parameters: LatticeParameters, data: st.DataObject, batch: int, seed: int
) -> None:
    check_run(kit, RlweEngine(ring, parameters), data.draw(kit.layers()), batch, seed)


@pytest.mark.parametrize(("ring", "lattice"), [(32, N4096), (40, N4096), (48, N4096), (64, N8192)])
@pytest.mark.parametrize("layer", CRYPTONETS, ids=("conv", "dense 845", "dense 100"))
def test_cryptonets_at_real_size(kit: SimpleNamespace, ring: int, lattice: LatticeParameters, layer: LinearMap) -> None:
    errors = check_run(kit, RlweEngine(ring, lattice), layer, 2, ring)
    assert ring == 48 or errors == 0


@pytest.mark.parametrize("layer", [LinearMap.dense(300, 7), LinearMap((5, 20, 20), 9, (3, 3), (1, 1), (1, 1))])
def test_layers_of_several_polynomials(kit: SimpleNamespace, layer: LinearMap) -> None:
    engine = RlweEngine(40, TOY)
    assert engine.packing(layer).polynomials > 1
    assert check_run(kit, engine, layer, 3, 11) == 0


def test_a_batch_of_many_blocks_is_right(kit: SimpleNamespace) -> None:
    assert check_run(kit, RlweEngine(40, TOY), LinearMap((2, 6, 6), 3, (3, 3)), 19, 5) == 0


def test_batch_is_so_many_samples_of_their_own(kit: SimpleNamespace) -> None:
    engine, layer = RlweEngine(40, TOY), LinearMap((2, 6, 6), 3, (3, 3))
    rng, seed1 = Prg.insecure_seed(1), Prg.insecure_seed(2)
    weights, bias, _ = kit.case(40, layer, 1, 1)
    loaded = engine.load(layer, engine.encrypt(layer, weights, bias, engine.keygen(rng), rng)[0])
    material = engine.expand(layer, 3, seed1)
    together = engine.products(layer, loaded, material)
    for i in range(3):
        alone = Record({name: a[:, i : i + 1] for name, a in material.arrays.items()})
        assert np.array_equal(engine.products(layer, loaded, alone), together[i : i + 1])


def test_a_server_alone_sees_uniform_words(kit: SimpleNamespace) -> None:
    """E2's material, whole words, with weights and input all zero; the top byte of each 26-bit residue pair apart."""
    engine, layer = RlweEngine(40, N4096), LinearMap.dense(400, 4)
    zero = np.zeros((4, 400), np.int64), np.zeros(4, np.int64), np.zeros((32, 400), np.int64)
    run = kit.play(engine, layer, *zero)
    for name, words in run.materials[1].arrays.items():
        low = (words.reshape(-1) & np.uint64(255)).astype(int)
        counts, expected = np.bincount(low, minlength=256), low.size / 256
        # 255 degrees of freedom: mean 255, deviation 22.6; 400 is beyond six deviations
        assert ((counts - expected) ** 2 / expected).sum() < 400, name
    for words in (*run.products, *run.z):
        assert abs(float((words.reshape(-1) >> np.uint64(39)).mean()) - 0.5) < 0.3


def test_both_servers_get_the_same_ciphertexts_and_neither_the_key(kit: SimpleNamespace) -> None:
    engine, layer = RlweEngine(40, TOY), LinearMap.dense(20, 4)
    run = kit.play(engine, layer, *kit.case(40, layer, 1, 3))
    first, second = run.models
    assert sorted(first.arrays) == ["alpha", "b0", "b1", "seed"]
    assert sorted(second.arrays) == ["alpha", "b0", "b1", "bias", "weights"]
    assert all(np.array_equal(first[name], second[name]) for name in ("alpha", "b0", "b1"))
    secret = engine.secret(layer, np.zeros((4, 20), np.int64), engine.keygen(Prg.insecure_seed(1)))
    assert sorted(secret.arrays) == ["key"]


def test_sizes_are_known_before_anything_is_made() -> None:
    costs = [rlwe_engine(40, "n4096-q104").cost(layer) for layer in CRYPTONETS]
    b = [5 * 4 * 256 * 13, 25 * 845 * 4 * 13, 100 * 16 * 13]
    assert [c.model for c in costs] == [(64 + n, 32 + n + 5 * w) for n, w in zip(b, (130, 84600, 1010), strict=True)]
    assert [c.material for c in costs] == [13 * (n + 4096) for n in (784, 845, 100)]
    assert [c.prepare["ntts"] for c in costs] == [9, 25, 1]
    assert [c.deal["ntts"] for c in costs] == [1, 1, 1]
    engine = RlweEngine(64, N8192)
    assert engine.cost(CRYPTONETS[2], 5).material == 5 * 20 * (100 + 8192)
    assert engine.key_layout().size == engine.secret_layout(CRYPTONETS[0]).size == 2048


def test_rings_too_large_for_the_set_are_refused_by_name() -> None:
    engine, layer = RlweEngine(64, N4096), CRYPTONETS[1]
    with pytest.raises(ConfigError, match=r"3\.dense.*n4096-q104.*64 bits.*n8192-q156"):
        engine.check(layer, "3.dense")
    rng = Prg.insecure_seed(1)
    with pytest.raises(ConfigError, match="n4096-q104"):
        engine.encrypt(layer, np.zeros((100, 845), np.int64), np.zeros(100, np.int64), engine.keygen(rng), rng)
    RlweEngine(40, N4096).check(layer, "3.dense")
    tiny = RlweEngine(40, LatticeParameters("tiny", 64, N4096.primes))
    with pytest.raises(UnsupportedLayer, match=r"1\.conv2d.*\(9, 9\)"):
        tiny.check(LinearMap((1, 9, 9), 1, (9, 9), (1, 1), (1, 1)), "1.conv2d")
    with pytest.raises(ConfigError, match="no lattice set 'n1024'"):
        rlwe_engine(40, "n1024")


def test_the_smallest_set_that_bears_all_layers_is_chosen() -> None:
    assert [choose_lattice(CRYPTONETS, ring) for ring in (32, 40, 48, 56, 64)] == [N4096, N4096, N4096, N8192, N8192]
    assert choose_lattice((*CRYPTONETS, LinearMap.dense(4096, 2)), 48) is N8192
    with pytest.raises(ConfigError, match="linear layer 2") as caught:
        choose_lattice((CRYPTONETS[0], LinearMap((1, 200, 200), 1, (100, 100))), 40)
    assert len(caught.value.problems) == 2


def test_catalog_builds_the_engine_that_the_settings_name() -> None:
    lattice = lattice_name(Engine.RLWE, CRYPTONETS, 40)
    assert lattice == "n4096-q104"
    assert lattice_name(Engine.DEALT, CRYPTONETS, 40) is None
    assert masked_engine(Parameters(Engine.RLWE, 4, 40, lattice=lattice)) == RlweEngine(40, N4096)
    with pytest.raises(ConfigError, match="lattice set"):
        masked_engine(Parameters(Engine.RLWE, 4, 40))


def test_what_is_loaded_does_not_show_values(kit: SimpleNamespace) -> None:
    engine, layer = RlweEngine(40, TOY), LinearMap.dense(3, 2)
    rng, seed1 = Prg.insecure_seed(1), Prg.insecure_seed(2)
    weights, bias, _ = kit.case(40, layer, 1, 3)
    key = engine.keygen(rng)
    model = engine.encrypt(layer, weights, bias, key, rng)[1]
    loaded, secret = engine.load(layer, model), engine.load_secret(layer, key)
    material = engine.deal(layer, np.zeros((1, 3), np.uint64), secret, seed1)
    shown = [repr(x) for x in (key, model, loaded, secret, material, engine.prepare(layer, loaded, material, rng))]
    assert shown[0] == "<Record key[256]>"
    assert not any("array" in s or "object at" in s for s in shown)


def test_the_engine_is_a_value_without_state() -> None:
    engine = rlwe_engine(40, "n4096-q104")
    assert engine == RlweEngine(40, N4096)
    assert engine.name is Engine.RLWE
    assert engine.model_layout(CRYPTONETS[2], Party.E1).size == engine.cost(CRYPTONETS[2]).model[0]
