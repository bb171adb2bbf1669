"""What the masked engines compute on small networks, measured: one server's walk, dealing and preparing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import thread_time
from typing import Any, TypeVar

from pehealth.codec.packing import Layout, Words, pack, unpack
from pehealth.config import Parameters, Party
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import lattice_name, masked_engine
from pehealth.engines.interface import Record
from pehealth.experiments.compute_model import ComputeModel, Sample, fit
from pehealth.experiments.local import echo_context, finish
from pehealth.experiments.work import Work, deal_work, has_material, online_work, prepare_work
from pehealth.nets.describe import Add, Conv2d, Dense, MaxPool, MeanPool, Network, Pad, Relu, Rescale
from pehealth.nets.masked_material import MaterialPlan, deal_query, load_query
from pehealth.nets.run_masked import AnyEngine, Helpers, ReadyQuery, run_masked
from pehealth.nets.stages import ArgmaxStage, Stage, alone, stages

T = TypeVar("T")

BUDGET = 4.0
"""Seconds of processor time after which no further network is measured."""
REPEAT = 3
ENOUGH = 0.15
"""Seconds after which one and the same thing is not measured again."""
WORDS = 2**16


def small_networks() -> tuple[Network, ...]:
    """Return the networks that are measured, each larger than the one before."""

    def of(shape: tuple[int, ...], *layers: Conv2d | Dense | MaxPool | MeanPool | Relu) -> Network:
        return Network("small", shape, (*layers, Dense(10)), tuple("0123456789"))

    def conv(channels: int, kernel: int = 3, stride: int = 1) -> Conv2d:
        return Conv2d(channels, (kernel, kernel), (stride, stride), (kernel // 2, kernel // 2))

    return (
        of((16,), Dense(16), Relu()),
        of((1, 8, 8), conv(2), Relu(), MaxPool((2, 2))),
        of((64,), Dense(64), Relu()),
        of((3, 16, 16), conv(8), Relu(), MeanPool((2, 2)), Dense(64), Relu()),
        Network(
            "graph",
            (4, 16, 16),
            (conv(8), Rescale(), conv(8), Add(), Pad((1, 1), (1, 1)), Rescale(), Dense(10)),
            tuple("0123456789"),
            ((0,), (1,), (2,), (1, 3), (4,), (5,), (6,)),
        ),
        of((8, 16, 16), conv(16), Relu(), MaxPool((2, 2)), Dense(128), Relu()),
        of((3, 64, 64), conv(16, 7, 2), Relu(), MaxPool((2, 2)), conv(32), Relu(), MeanPool((4, 4))),
        of((32, 28, 28), conv(32), Relu(), MaxPool((2, 2)), conv(64, 3, 2), Relu(), MeanPool((7, 7))),
        of((64, 28, 28), conv(64), Relu(), MeanPool((4, 4)), Dense(256), Relu()),
        Network("layer", (64, 56, 56), (conv(64), Relu(), conv(64, 3, 2)), tuple(map(str, range(64 * 28 * 28)))),
    )


def calibrate_masked(parameters: Parameters, budget: float = BUDGET) -> ComputeModel:
    """Return the rates of this machine for a masked engine in the ring and with the digits of `parameters`."""
    samples = list(_words(parameters.ring))
    began = thread_time()
    for network in small_networks():
        samples += measure(network, parameters)
        if thread_time() - began > budget:
            break
    return fit(samples)


def measure(network: Network, parameters: Parameters) -> Iterator[Sample]:
    """Measure every stage of a query of one sample: dealing, preparing and walking."""
    lattice = lattice_name(parameters.engine, (p.linear for p in network.linear_layers), parameters.ring)
    p = Parameters(parameters.engine, parameters.digits, parameters.ring, lattice=lattice, reveal=parameters.reveal)
    engine = masked_engine(p)
    walk = stages(network, p)
    secrets, models = _deploy(engine, network)
    for stage in map(alone, walk):
        one = MaterialPlan(engine, (stage,), 1)
        dealing, records = least(partial(deal_query, one, secrets, Prg.insecure_seed(2)))
        preparing = [
            least(partial(load_query, one, party, record, known, Prg.insecure_seed(3)))
            for (party, known), record in zip(models.items(), records, strict=True)
        ]
        if has_material(stage):
            yield deal_work(engine, stage, 1), dealing
            yield prepare_work(engine, stage, 1), max(seconds for seconds, _ in preparing)
        inputs = Prg.insecure_seed(4).ring((1, _inputs(stage, network)), p.ring)
        walking, _ = least(partial(_walk, p, engine, stage, preparing[1][1], inputs))
        yield online_work(engine, stage, 1), walking


def _deploy(engine: AnyEngine, network: Network) -> tuple[dict[int, Any], dict[Party, dict[int, Any]]]:
    """Return what the dealer and what each server would hold of each linear layer, made of garbage."""
    secrets: dict[int, Any] = {}
    models: dict[Party, dict[int, Any]] = {Party.E1: {}, Party.E2: {}}
    for placed in network.linear_layers:
        layer, rng = placed.linear, Prg.insecure_seed(placed.index)
        secrets[placed.index] = engine.load_secret(layer, garbage(engine.secret_layout(layer), rng))
        for party, known in models.items():
            known[placed.index] = engine.load(layer, garbage(engine.model_layout(layer, party), rng.child(party)))
    return secrets, models


def _inputs(stage: Stage, network: Network) -> int:
    return len(network.classes) if isinstance(stage, ArgmaxStage) else stage.placed.inputs


def _walk(parameters: Parameters, engine: AnyEngine, stage: Stage, ready: ReadyQuery, share: Words) -> None:
    """Walk one stage as E2, the peer being an echo."""
    context = echo_context(parameters)
    finish(run_masked(context, engine, (stage,), ready, share, thread_time, _keep, _keep, Helpers(), 0.0))


def _keep(_layer: int, _what: object) -> None:
    """Keep nothing."""


def least(run: Callable[[], T]) -> tuple[float, T]:
    """Return the least processor time of several calls, and what the last one returned."""
    times: list[float] = []
    while len(times) < REPEAT and sum(times) < ENOUGH:
        began = thread_time()
        result = run()
        times.append(thread_time() - began)
    return min(times), result


def garbage(layout: Layout, rng: Prg) -> Record:
    """Return a record of random elements: it takes as long to compute with as a model that was encrypted."""
    return Record({f.name: rng.child(f.name).ring(f.shape, f.bits) for f in layout.fields})


def _words(ring: int) -> Iterator[Sample]:
    """Measure sharing, expanding, packing: what the sensors, the first layer, the output and the centre do."""
    prg = Prg.insecure_seed(5)
    drawn, words = least(lambda: prg.child("words").ring(WORDS, ring))
    packed, payload = least(lambda: pack(words, ring))
    unpacked, _ = least(lambda: unpack(payload, words.shape, ring))
    amounts = {"words": float(WORDS)}
    yield Work("upload", amounts), drawn + packed
    yield Work("input", amounts), max(drawn, unpacked)
    yield Work("output", amounts), drawn + packed
    yield Work("collect", amounts), unpacked
