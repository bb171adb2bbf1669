"""What a plan has computed, in amounts: how many products, gates, walks at each place. Seconds are `compute_model`'s.

Places are the layers by index (0 is the input, the one after the last the output), and what is no layer's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pehealth.config import Engine
from pehealth.crypto.gates import Gate
from pehealth.crypto.linear import LinearMap
from pehealth.engines import paper
from pehealth.engines.catalog import masked_engine
from pehealth.nets.describe import LINEAR, MaxPool, MeanPool, Placed
from pehealth.nets.masked_material import gates_of
from pehealth.nets.plan import Plan
from pehealth.nets.plan_literal import has_key_bits, plan_group, triples_wanted
from pehealth.nets.run_literal import literal_walk
from pehealth.nets.run_masked import AnyEngine
from pehealth.nets.stages import AddStage, LinearStage, MaxStage, MoveStage, Stage, SumStage, stages

Place = int | Literal["upload", "collect", "deal", "prepare"]
"""A server's layer; or what the sensors, the centre, the dealer, and a server before the query compute."""


PAGED_BYTES = 16 * 2**20
"""About from here on the memory of an array comes fresh from the system each time, and its pages cost time."""


@dataclass(frozen=True)
class Work:
    """Work of one kind: `amounts` of things whose times add up."""

    kind: str
    amounts: Mapping[str, float]


def walk_of(plan: Plan) -> tuple[int, ...]:
    """Return the layers in the order in which servers walk them, output included; input left out."""
    end = plan.layers[-1].index
    if plan.parameters.engine is Engine.PAPER:
        return (*(p.index for p in plan.network.placed), end)
    order = [stage.placed.index for stage in stages(plan.network, plan.parameters)]
    return (*order, end) if order[-1] != end else tuple(order)


def work_of(plan: Plan) -> dict[Place, tuple[Work, ...]]:
    """Return what is computed at every place: of one server, the sensors together, the centre, the dealer."""
    p, network = plan.parameters, plan.network
    words = float(p.batch * network.inputs)
    results = float(p.batch * len(network.classes))
    out: dict[Place, tuple[Work, ...]] = {
        "upload": (Work("upload", {"words": words}),),
        0: (Work("input", {"words": words}),),
        plan.layers[-1].index: (Work("output", {"words": results}),),
        "collect": (Work("collect", {"words": 2 * results}),),
    }
    if p.engine is Engine.PAPER:
        return {**out, **_literal(plan)}
    walk = stages(network, p)
    engine = masked_engine(p)
    return {
        **out,
        **{stage.placed.index: (online_work(engine, stage, p.batch),) for stage in walk},
        "deal": tuple(deal_work(engine, stage, p.batch) for stage in walk if has_material(stage)),
        "prepare": tuple(prepare_work(engine, stage, p.batch) for stage in walk if has_material(stage)),
    }


def has_material(stage: Stage) -> bool:
    """True if a stage uses up something that was dealt."""
    return isinstance(stage, LinearStage) or bool(gates_of(stage))


def online_work(engine: AnyEngine, stage: Stage, batch: int) -> Work:
    """Return what a server computes at a stage once the query is known."""
    if isinstance(stage, LinearStage):
        return Work("linear", {**_products(stage.layer, batch), **engine.cost(stage.layer, batch).linear})
    gates = sum(count for _, count in gates_of(stage))
    rounds = max(1, len(gates_of(stage)))
    elements = batch * stage.placed.inputs if isinstance(stage, MaxStage | SumStage | AddStage | MoveStage) else 0
    kind = "move" if isinstance(stage, MoveStage) else stage.placed.kind
    return Work(kind, {"once": rounds, "gates": gates, "elements": elements})


def deal_work(engine: AnyEngine, stage: Stage, batch: int) -> Work:
    """Return what the dealer computes for a stage: the engine's own operations, or else products with the weights."""
    if not isinstance(stage, LinearStage):
        return _gates("deal", stage)
    elements = {"once": 1.0, "elements": float(batch * (stage.layer.inputs + stage.layer.outputs))}
    return Work("deal linear", elements | (dict(engine.cost(stage.layer, batch).deal) or _products(stage.layer, batch)))


def prepare_work(engine: AnyEngine, stage: Stage, batch: int) -> Work:
    """Return what a server computes for a stage before the query is known."""
    if not isinstance(stage, LinearStage):
        return _gates("prepare", stage)
    elements = {"once": 1.0, "elements": float(batch * (stage.layer.inputs + stage.layer.outputs))}
    return Work("prepare linear", elements | dict(engine.cost(stage.layer, batch).prepare))


def _gates(what: str, stage: Stage) -> Work:
    rounds = gates_of(stage)
    gates = sum(count for _, count in rounds)
    paged = sum(count for gate, count in rounds if _largest_array(gate, count) > PAGED_BYTES)
    return Work(f"{what} {stage.placed.kind}", {"once": len(rounds), "gates": gates, "paged": paged})


def _largest_array(gate: Gate, count: int) -> int:
    shapes = gate.comparison.shapes(count).values() if gate.comparison is not None else ()
    return max((8 * math.prod(shape) for shape in shapes), default=0)


def _products(layer: LinearMap, batch: int) -> dict[str, float]:
    gathered = 0 if layer.is_dense else layer.positions * layer.fan_in
    elements = layer.inputs + layer.outputs
    amounts = {"elements": elements, "macs": layer.outputs * layer.fan_in, "gathered": gathered}
    return {"once": 1.0} | {name: float(batch * n) for name, n in amounts.items()}


def _literal(plan: Plan) -> dict[Place, tuple[Work, ...]]:
    p, network = plan.parameters, plan.network
    triples = Work("triples", {"once": 1, "bits": triples_wanted(network, p)})
    out: dict[Place, tuple[Work, ...]] = {"deal": (triples,), "prepare": (triples,)}
    for placed in network.placed:
        if isinstance(placed.layer, LINEAR):
            keybits = has_key_bits(network, placed)
            ops = paper.linear_ops(placed.linear, plan_group(p), literal_walk(p), p.batch, keybits=keybits)
            out[placed.index] = (Work("linear", {"once": 1, **dataclasses.asdict(ops)}),)
        elif isinstance(placed.layer, MeanPool):
            out[placed.index] = (Work("meanpool", {"once": 1, "elements": p.batch * placed.inputs}),)
        else:
            out[placed.index] = (comparisons(placed, p.batch, p.ring),)
    return out


def comparisons(placed: Placed, batch: int, ring: int) -> Work:
    """Return what engine `paper` computes for a ReLU or a max pool, by bits compared."""
    times = placed.layer.size - 1 if isinstance(placed.layer, MaxPool) else 1
    return Work("comparison", {"once": ring * times, "bits": batch * placed.outputs * ring * times})
