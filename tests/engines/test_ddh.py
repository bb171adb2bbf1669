"""The engine gives W * Y + bias mod 2^k for any layer, under any mask, and its records keep their layouts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pehealth.config import Engine, GroupName, Parameters, Party
from pehealth.crypto.elgamal_rows import column_keys
from pehealth.crypto.linear import Ints, LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import masked_engine
from pehealth.engines.ddh import DdhEngine
from pehealth.engines.ddh_plan import Split, SplitPlan
from pehealth.engines.ddh_sizes import SLACK
from pehealth.engines.ddh_work import cut, shares_of_input
from pehealth.engines.interface import HeavyEngine, Record, Worked, deal_mask, from_ring, ring_mask, seed_prg, to_ring
from pehealth.engines.workers import Workers
from pehealth.errors import ConfigError

RING = 24
RUN = 19
SERVERS = (Party.E1, Party.E2)
LAYERS = {
    "dense": LinearMap.dense(7, 3),
    "conv1d": LinearMap((1, 1, 8), 2, (1, 2)),
    "stride and padding": LinearMap((2, 5, 6), 2, (3, 2), (2, 1), (1, 2)),
    "all padding": LinearMap((1, 1, 2), 2, (1, 1), (1, 1), (0, 1)),
    "one to one": LinearMap.dense(1, 1),
}


@dataclass(frozen=True)
class Ran:
    """What both servers made of a layer, and what they were given."""

    worked: tuple[Worked, Worked]
    ready: tuple
    y_masked: np.ndarray
    models: tuple[Record, Record]
    materials: tuple[Record, Record]

    def value(self) -> np.ndarray:
        return from_ring((self.worked[0].share + self.worked[1].share) & ring_mask(RING), RING)


def engine(layer: LinearMap, base: int = 15, count: int = 2, run: int = RUN, name=GroupName.MODP1536) -> DdhEngine:
    return DdhEngine(RING, name, SplitPlan.of({layer.weight_shape: Split(base, count, run)}, 12))


def case(layer: LinearMap, batch: int, weight: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Weights up to `weight` in size, biases of any size, readings as small as those of real networks."""
    rng = Prg.insecure_seed(seed)
    w = rng.below(layer.weight_shape, 2 * weight + 1).astype(np.int64) - weight
    b = rng.below(layer.out_channels, 2**20).astype(np.int64) - 2**19
    return w, b, rng.below((batch, layer.inputs), 21).astype(np.int64) - 10


def silent(_what: str, _done: int, _of: int) -> None:
    """Nobody listens."""


def play(eng: DdhEngine, layer: LinearMap, w: Ints, b: Ints, y: Ints, seed: int = 0, workers: Workers | None = None):
    rng, seed1 = Prg.insecure_seed(seed), Prg.insecure_seed(seed + 1)
    batch = len(y)
    key = eng.keygen(rng)
    models = tuple(
        Record.unpack(eng.model_layout(layer, p), m.pack(eng.model_layout(layer, p)))
        for p, m in zip(SERVERS, eng.encrypt(layer, w, b, key, rng), strict=True)
    )
    mask, _ = deal_mask(layer, batch, eng.ring, seed1, rng)
    layout = eng.material_layout(layer, batch)
    second = eng.deal(layer, mask, eng.load_secret(layer, eng.secret(layer, w, key)), seed1)
    materials = eng.expand(layer, batch, seed1), Record.unpack(layout, second.pack(layout))
    y_masked = (to_ring(y, eng.ring) + mask) & ring_mask(eng.ring)
    ready = tuple(
        eng.prepare(layer, eng.load(layer, m), t, Prg.insecure_seed(seed + 9))
        for m, t in zip(models, materials, strict=True)
    )
    worked = tuple(eng.work(layer, y_masked, r, workers or Workers(), silent) for r in ready)
    return Ran(worked, ready, y_masked, models, materials)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("base", "count"), [(7, 2), (49, 1), (5, 3)])
def test_shares_add_up_to_the_layers_integers(name: str, base: int, count: int) -> None:
    layer = LAYERS[name]
    w, b, y = case(layer, 2, 24, seed=count)
    eng = engine(layer, base, count)
    ran = play(eng, layer, w, b, y, seed=40)
    assert (ran.value() == from_ring(to_ring(layer.add_bias(layer.apply(w, y), b), RING), RING)).all()
    cost = eng.cost(layer, 2)
    for worked in ran.worked:
        assert {k: v for k, v in worked.ops.items() if k != "ddlog_steps"} == {
            k: v for k, v in cost.linear.items() if k != "ddlog_steps"
        }
        assert set(worked.seconds) == set(worked.processor) == {"exponentiation", "conversion"}
    assert cost.model == tuple(eng.model_layout(layer, p).size for p in SERVERS)
    assert cost.material == eng.material_layout(layer, 2).size


@pytest.mark.parametrize("edge", [2 ** (RING - 2), -(2 ** (RING - 2))])
def test_readings_at_the_ends_of_the_range_are_lifted_exactly(edge: int) -> None:
    """One weight of 0 and equal readings of both signs: the value converted is small, the readings are not."""
    layer = LinearMap.dense(3, 1)
    y = np.array([[edge, edge, -5]])
    ran = play(engine(layer), layer, np.array([[7, -7, 1]]), np.array([11]), y)
    assert ran.value().tolist() == [[6]]


def test_exponents_are_shares_of_minus_y_and_of_s_times_y() -> None:
    """E1's less E2's: alpha's add up to s.Y, beta's to -Y, over the integers; padding has none."""
    layer = LAYERS["stride and padding"]
    w, b, y = case(layer, 2, 100, 4)
    eng = engine(layer)
    rng = Prg.insecure_seed(0)
    keys = column_keys(eng.group, layer.fan_in, seed_prg(eng.keygen(rng)["seed"]))
    ran = play(eng, layer, w, b, y)
    sizes = eng.sizes(layer)
    both = [shares_of_input(sizes, ran.y_masked, ready) for ready in ran.ready]
    difference = both[0] - both[1]
    joined = sum(difference[:, i] << (sizes.piece * i) for i in range(sizes.pieces))
    columns = layer.columns(y).reshape(-1, layer.fan_in)
    assert (joined == columns @ keys).all()
    assert (difference[:, sizes.pieces :] == -columns).all()
    padding = ~np.tile(sizes.used, (2, 1))
    for exponents in both:
        beta = exponents[:, sizes.pieces :]
        assert (beta[padding] == 0).all()
        assert (beta >= 0).all()
        assert max(int(e).bit_length() for e in beta.reshape(-1)) <= sizes.piece
        assert min(int(e).bit_length() for e in beta[~padding]) > SLACK


def test_pieces_of_an_exponent_add_up_and_have_one_sign() -> None:
    values = np.array([0, 1, -1, 2**400 - 1, -(2**400) + 3, 5 << 106], object)
    pieces = cut(values, 106, 4)
    assert (sum(pieces[:, i] << (106 * i) for i in range(4)) == values).all()
    for value, row in zip(values, pieces, strict=True):
        assert all(piece == 0 or (piece > 0) == (value > 0) for piece in row)
        assert all(abs(piece) < 2**106 for piece in row)


def test_output_shares_are_rerandomised_alike_by_both() -> None:
    """Without the pads, E1's shares would be small counts of steps; with them they fill the ring."""
    layer = LAYERS["dense"]
    ran = play(engine(layer), layer, *case(layer, 4, 100, 5))
    pads = [ready.pad for ready in ran.ready]
    assert ((pads[0] + pads[1]) & ring_mask(RING) == 0).all()
    assert len({int(v) for v in pads[0].reshape(-1)}) == pads[0].size
    assert (ran.ready[0].blinding == ran.ready[1].blinding).all()


def test_material_of_e1_is_a_seed_and_e2s_shares_are_as_long_as_they_must_be() -> None:
    layer = LinearMap.dense(30, 16)
    eng = engine(layer, name=GroupName.MODP3072)
    sizes = eng.sizes(layer)
    assert dict(sizes.share_bits) == {
        "offset": 24 + 1 + 80,
        "wrap": 1 + 80 + 1,
        "key_offset": 256 + 24 + 1 + 5 + 80,
        "key_wrap": 256 + 80 + 1,
    }
    assert sizes.key_share == 256 + 128
    assert eng.material_layout(layer, 1).size == 30 * 14 + 30 * 11 + 46 + 30 * 43
    assert eng.model_layout(layer, Party.E1).size == 32 + 32 * 31 * 384
    assert eng.model_layout(layer, Party.E2).size == 30 * 49 + 16 * 3 + 32 * 31 * 384


def test_ciphertexts_are_common_and_everything_else_is_not() -> None:
    layer = LAYERS["dense"]
    ran = play(engine(layer), layer, *case(layer, 1, 100, 6))
    first, second = ran.models
    for name in ("alpha", "beta"):
        assert (first[name] == second[name]).all()
    assert "seed" not in second
    assert "keys" not in first


def test_layers_whose_walks_end_in_jumps_add_up_too() -> None:
    layer = LAYERS["dense"]
    w, b, y = case(layer, 2, 24, seed=2)
    eng = DdhEngine(RING, GroupName.MODP1536, SplitPlan.of({layer.weight_shape: Split(7, 2, 16, 9)}, 12))
    ran = play(eng, layer, w, b, y, seed=2)
    assert (ran.value() == from_ring(to_ring(layer.add_bias(layer.apply(w, y), b), RING), RING)).all()
    planned = eng.cost(layer, 2).linear
    assert planned["ddlog_jumps"] == 12 << 9
    for worked in ran.worked:
        assert set(worked.ops) == set(planned)
        assert worked.ops["ddlog_jumps"] == pytest.approx(planned["ddlog_jumps"], rel=0.9)
        assert worked.ops["ddlog_steps"] == pytest.approx(planned["ddlog_steps"], rel=0.9)


def test_processes_give_the_same_integers_and_end_with_their_owner() -> None:
    layer = LAYERS["conv1d"]
    values = case(layer, 1, 100, 7)
    alone = play(engine(layer), layer, *values)
    with Workers(2) as workers:
        shared = play(engine(layer), layer, *values, workers=workers)
        processes = [process for process, _ in workers._crew]
        assert all(process.is_alive() for process in processes)
    for mine, theirs in zip(alone.worked, shared.worked, strict=True):
        assert (mine.share == theirs.share).all()
        assert mine.ops == theirs.ops
        assert not theirs.processor
    assert not any(process.is_alive() for process in processes)


def test_the_engine_comes_from_the_settings_and_works_for_long() -> None:
    plan = SplitPlan.of({(3, 7): Split(15, 2, 18), (2, 2): Split(9, 3, 20)}, 10)
    parameters = Parameters(Engine.DDH, 2, 24, GroupName.MODP2048, walk=plan.walk, cap=plan.cap, splits=str(plan))
    found = masked_engine(parameters)
    assert found == DdhEngine(24, GroupName.MODP2048, plan)
    assert isinstance(found, HeavyEngine)
    assert not isinstance(masked_engine(Parameters(Engine.DEALT, 4, 40)), HeavyEngine)
    with pytest.raises(ConfigError, match="3 outputs from 8 terms"):
        found.check(LinearMap.dense(8, 3), "1.dense")
    with pytest.raises(ConfigError, match="splits"):
        masked_engine(Parameters(Engine.DDH, 2, 24, GroupName.MODP2048))
    with pytest.raises(ConfigError, match="real size"):
        DdhEngine(24, GroupName.TOY32, plan).check(LinearMap.dense(7, 3), "1.dense")
    with pytest.raises(TypeError, match="no shares"):
        found.products(LinearMap.dense(7, 3), None, None)


def test_nothing_shows_a_key_or_a_share() -> None:
    layer = LAYERS["one to one"]
    eng = engine(layer)
    ran = play(eng, layer, *case(layer, 1, 100, 8))
    secret = eng.load_secret(layer, eng.secret(layer, np.zeros((1, 1), np.int64), eng.keygen(Prg.insecure_seed(1))))
    things = (*ran.ready, eng.load(layer, ran.models[0]), secret)
    assert [repr(thing) for thing in things] == [
        "<DdhReady of E1 [2, 1]>",
        "<DdhReady of E2 [2, 1]>",
        "<DdhModel of E1 [2, 5]>",
        "<DdhSecret>",
    ]
    assert "Worked" in repr(ran.worked[0])
    assert "share" not in repr(ran.worked[0])
