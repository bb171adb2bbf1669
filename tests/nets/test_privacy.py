"""What each server sees of a private inference says nothing: 10,000 runs on each of two fixed inputs.

Every message that E1, E2 and HC receive online, and the opened words, are tested bit position by bit position:
uniform (chi-square), and alike for both inputs (two samples). The same test fails when one mask is zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import trio

from parties.masked import first_share, result_share
from pehealth.config import Engine, Parameters, Party
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import from_signed, reduce
from pehealth.data.ranges import Ranges
from pehealth.engines.catalog import masked_engine
from pehealth.nets import masked_material
from pehealth.nets.describe import Add, Dense, MaxPool, Network, Relu, Rescale
from pehealth.nets.masked_material import deal_query, load_query
from pehealth.nets.plan_masked import material_plan
from pehealth.nets.run_masked import Helpers, run_masked
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model
from pehealth.protocols.context import Context
from transport.interfaces import Clock
from transport.testing import open_local

NETWORK = Network("tiny", (3,), (Dense(4), Relu(), MaxPool((2,)), Dense(2)), ("a", "b"))
GRAPH = Network(  # a value opened for two linear layers, a rescale, sums
    "graph",
    (3,),
    (Dense(4), Relu(), Dense(4), Dense(4), Add((1, 1)), Rescale(), Add((1, -2)), Dense(2)),
    ("a", "b"),
    ((0,), (1,), (2,), (2,), (3, 4), (5,), (2, 6), (7,)),
)
RUNS, BATCH, RING = 10_000, 500, 32
INPUTS = (np.array([0, 0, 0]), np.array([100, 37, 99]))
LEAST_P = 1e-6


def tiny_model(network=NETWORK):
    rng = Prg.insecure_seed(77)
    weights = [rng.ring(p.linear.weight_shape, 12).astype(float) / 2048 - 1 for p in network.linear_layers]
    biases = [rng.ring(p.linear.out_channels, 12).astype(float) / 2048 - 1 for p in network.linear_layers]
    ranges = Ranges(("x",), (0.0,), (1.0,))
    return Model(network, tuple(weights), tuple(biases), ranges).quantise(2, Arithmetic.MASKED)


class Ear:
    """An endpoint that keeps what arrives."""

    def __init__(self, inner: Any, heard: list[bytes]) -> None:
        self._inner, self._heard = inner, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def receive(self, tag: Any, *, most: int) -> bytes:
        payload = await self._inner.receive(tag, most=most)
        self._heard.append(payload)
        return payload


async def at_once(function, *args):
    await trio.lowlevel.checkpoint()
    return function(*args)


async def one_query(engine, parameters, plan, model, x, query, rng) -> dict[str, np.ndarray]:
    """Deploy, deal and run one batch of the same input; return each view as words (batch, elements)."""
    key = engine.keygen(rng.child("key"))
    models: dict[Party, dict[int, Any]] = {Party.E1: {}, Party.E2: {}}
    secrets = {}
    for placed, w, b in zip(model.network.linear_layers, model.weights, model.biases, strict=True):
        halves = engine.encrypt(placed.linear, w, b, key, rng.child("encrypt", placed.index))
        for party, half in zip((Party.E1, Party.E2), halves, strict=True):
            models[party][placed.index] = engine.load(placed.linear, half)
        secrets[placed.index] = engine.load_secret(placed.linear, engine.secret(placed.linear, w, key))
    records = deal_query(plan, secrets, rng.child("deal"))
    common = Prg(rng.key())
    seed = rng.key()
    shares = {Party.E1: first_share(seed, x.shape, RING)}
    shares[Party.E2] = reduce(from_signed(x, RING) - shares[Party.E1], RING)
    views = {"upload to E1": shares[Party.E1], "upload to E2": shares[Party.E2]}
    heard: dict[Party, list[bytes]] = {Party.E1: [], Party.E2: []}
    async with open_local(["E1", "E2"]) as links:

        async def serve(party: Party) -> None:
            half = records[party.half]
            ready = load_query(plan, party, half, models[party], common.child("query", query))
            end = Ear(links[party][party.other].endpoint(query, Clock()), heard[party])
            ctx = Context(party, end, parameters, common, at_once, query)
            ignore = lambda *_: None  # noqa: E731
            logits = await run_masked(
                ctx,
                engine,
                plan.stages,
                ready,
                shares[party],
                trio.current_time,
                ignore,
                ignore,
                Helpers(1, ignore, ignore),
                0.0,
            )
            views[f"result of {party} to HC"] = result_share(logits, RING, common, query, party)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, Party.E1)
            nursery.start_soon(serve, Party.E2)
    for step, (to_e1, to_e2) in enumerate(zip(heard[Party.E1], heard[Party.E2], strict=True)):
        first, second = (np.frombuffer(p, "<u4").astype(np.uint64).reshape(BATCH, -1) for p in (to_e1, to_e2))
        views |= {f"E1 receives {step}": first, f"E2 receives {step}": second}
        views[f"opened {step}"] = reduce(first + second, RING)
    return views


async def bit_counts(
    engine_name: Engine, x: np.ndarray, seed: int, network: Network = NETWORK
) -> dict[str, np.ndarray]:
    """Return for each view the number of ones at each (element, bit) over all runs."""
    parameters = Parameters(
        engine_name, 2, RING, batch=BATCH, lattice="n4096-q104" if engine_name is Engine.RLWE else None
    )
    engine = masked_engine(parameters)
    plan = material_plan(network, parameters, engine)
    model = tiny_model(network)
    total: dict[str, np.ndarray] = {}
    batch = np.tile(x, (BATCH, 1))
    for query in range(RUNS // BATCH):
        views = await one_query(engine, parameters, plan, model, batch, query, Prg.insecure_seed(seed).child(query))
        for name, words in views.items():
            bits = (words[..., None] >> np.arange(RING, dtype=np.uint64)) & np.uint64(1)
            total[name] = total.get(name, 0) + bits.sum(axis=0).astype(float)
    return total


def p_values(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    """Yield the least p-value of each test of each view."""
    for name, ones in first.items():
        for which, counts in (("input 0", ones), ("input 1", second[name])):
            chi = (2 * counts - RUNS) ** 2 / RUNS
            yield f"{name}, {which} is uniform", math.erfc(math.sqrt(chi.max() / 2))
        z = np.abs(ones - second[name]) / math.sqrt(RUNS / 2)
        yield f"{name}, alike for both inputs", math.erfc(z.max() / math.sqrt(2))


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Engine.DEALT, Engine.RLWE])
async def test_no_message_tells_the_inputs_apart(engine):
    first, second = await bit_counts(engine, INPUTS[0], 1), await bit_counts(engine, INPUTS[1], 2)
    found = dict(p_values(first, second))
    assert len(found) == 3 * (4 + 3 * 4)
    assert {name: p for name, p in found.items() if p <= LEAST_P} == {}


@pytest.mark.slow
async def test_no_message_of_a_graph_tells_the_inputs_apart():
    first, second = [await bit_counts(Engine.DEALT, x, seed, GRAPH) for seed, x in enumerate(INPUTS)]
    found = dict(p_values(first, second))
    assert len(found) == 3 * (4 + 3 * 5)
    assert {name: p for name, p in found.items() if p <= LEAST_P} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "opened"), [(1, 0), (3, 1), (2, 2), (4, 3)])
async def test_one_mask_set_to_zero_is_caught(monkeypatch, layer, opened):
    class Zero:
        def ring(self, shape, _bits):
            return np.zeros(shape, np.uint64)

    real = masked_material.mask_source
    monkeypatch.setattr(
        masked_material, "mask_source", lambda rng, at, step=0: Zero() if at == layer else real(rng, at, step)
    )
    first, second = await bit_counts(Engine.DEALT, INPUTS[0], 1), await bit_counts(Engine.DEALT, INPUTS[1], 2)
    bad = {name for name, p in p_values(first, second) if p <= LEAST_P}
    assert {f"opened {opened}, input 1 is uniform", f"opened {opened}, alike for both inputs"} <= bad
    assert all(name.startswith(f"opened {opened}") for name in bad)
