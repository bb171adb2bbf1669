"""How rounds, bytes, material and time grow with image size, channels, depth and batch: by plan and replay, no run.

Counts are exact: the plan's equal what a run measures. Times are those of a replay of the plan's messages, with what is
computed in between from a model of this machine; see `compute_model` for what that is worth.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from pehealth import __version__
from pehealth.config import Engine, Parameters, Party
from pehealth.engines.catalog import lattice_name, masked_engine
from pehealth.experiments.compute_model import ComputeModel
from pehealth.experiments.critical import critical_path, totals
from pehealth.experiments.replay import Replayed, Settings, replay
from pehealth.experiments.scale_networks import Family, Member
from pehealth.experiments.steps import Phase, RunTrace
from pehealth.experiments.synthetic import trace_of_plan
from pehealth.nets.describe import MaxPool, Network, Relu
from pehealth.nets.machine import Machine
from pehealth.nets.plan import Plan
from pehealth.nets.plan_literal import plan_literal
from pehealth.nets.plan_masked import plan_masked
from pehealth.nets.record import RunParameters, Security
from pehealth.nets.scales import Arithmetic
from transport.network import Network as Link
from transport.network import parse_network

SCHEMA = 1
FIGURES = {
    "products": "products",
    "comparisons": "comparisons",
    "server_rounds": "server rounds",
    "between": "E1->E2",
    "upload": "upload",
    "material": "material",
    "model": "model",
    "memory": "memory",
    "computing": "computing",
    "online": "online",
    "offline": "offline",
}
"""Figures of a point that grow by a law -> their names for people."""


@dataclass(frozen=True)
class Point:
    """One network of a family; bytes and seconds are those of a query.

    Attributes:
        value: of what grows.
        net, batch: which network, and how many samples a query has.
        products: multiplications of the plain network.
        comparisons: of the plain network: its ReLUs, and its max pools' window sizes less one.
        server_rounds, depth: as everywhere.
        between: payload from E1 to E2; the other way it is the same.
        upload: payload of all sensors.
        material: one-time material, the greater of the two servers'.
        model: what a server is sent at deployment, the greater of the two servers'.
        memory: the plan's estimate, the greater of the two servers'.
        computing: what the critical path computes online.
        online, offline: seconds under the network of the same name.
    """

    value: int
    net: str
    batch: int
    products: int
    comparisons: int
    server_rounds: int
    depth: int
    between: int
    upload: int
    material: int
    model: int
    memory: int
    computing: float
    online: Mapping[str, float]
    offline: Mapping[str, float]


@dataclass(frozen=True)
class Law:
    """figure ~ value^exponent, fitted on logarithms.

    Attributes:
        exponent: over all points.
        last: between the last two points.
        fit: R^2, 1 if the points lie on a line.
    """

    exponent: float
    last: float
    fit: float


@dataclass(frozen=True)
class Growth:
    """A family's points, and the law of each figure that grows."""

    family: str
    unit: str
    points: tuple[Point, ...]
    laws: Mapping[str, Law]


@dataclass(frozen=True)
class ScaleResult:
    """What `pehealth scale` shows: pehealth/schema/scale-1.json."""

    engine: Engine
    parameters: RunParameters
    security: Security
    networks: tuple[str, ...]
    growths: tuple[Growth, ...]
    model: ComputeModel
    machine: Machine
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "command": "scale",
            "machine": dataclasses.asdict(self.machine),
            "engine": str(self.engine),
            "parameters": dataclasses.asdict(self.parameters),
            "security": {**dataclasses.asdict(self.security), "reveals": list(self.security.reveals)},
            "networks": list(self.networks),
            "families": [
                {
                    "family": growth.family,
                    "unit": growth.unit,
                    "points": [dataclasses.asdict(point) for point in growth.points],
                    "laws": {name: dataclasses.asdict(law) for name, law in growth.laws.items()},
                }
                for growth in self.growths
            ],
            "model": {"rates": _plain(self.model.rates), "errors": dict(self.model.errors)},
        }


def plan_for(network: Network, base: Parameters, batch: int = 1) -> Plan:
    """Return the plan of a network without weights, under settings that somebody has to have chosen.

    Raises:
        ConfigError: no lattice set carries a layer in this ring.
    """
    if Arithmetic.of(base.engine) is Arithmetic.LITERAL:
        return plan_literal(network, replace(base, batch=batch))
    lattice = lattice_name(base.engine, (p.linear for p in network.linear_layers), base.ring)
    parameters = replace(base, batch=batch, lattice=lattice)
    return plan_masked(network, parameters, masked_engine(parameters))


def grow(family: Family, base: Parameters, model: ComputeModel, networks: Sequence[str]) -> Growth:
    """Return the points and laws of a family under the named networks."""
    links = {name: parse_network(name) for name in networks}
    points = tuple(_point(member, base, model, links) for member in family.members)
    return Growth(family.name, family.unit, points, laws(points))


def predicted_trace(plan: Plan, model: ComputeModel, command: str = "scale") -> RunTrace:
    """Return the trace that a plan would leave on this machine."""
    return trace_of_plan(plan, model.predict(plan), command=command)


def laws(points: Sequence[Point]) -> dict[str, Law]:
    """Return the law of every figure that is above 0 everywhere; times under the first network."""
    out = {}
    for figure in FIGURES:
        values = [_figure(point, figure) for point in points]
        if len(points) > 1 and min(values) > 0:
            out[figure] = fit_law([p.value for p in points], values)
    return out


def fit_law(xs: Sequence[float], ys: Sequence[float]) -> Law:
    """Return the line through logarithms."""
    us, vs = [math.log(x) for x in xs], [math.log(y) for y in ys]
    u0, v0 = mean(us), mean(vs)
    exponent = sum((u - u0) * (v - v0) for u, v in zip(us, vs, strict=True)) / sum((u - u0) ** 2 for u in us)
    rest = sum((v - v0 - exponent * (u - u0)) ** 2 for u, v in zip(us, vs, strict=True))
    spread = sum((v - v0) ** 2 for v in vs)
    return Law(exponent, (vs[-1] - vs[-2]) / (us[-1] - us[-2]), 1 - rest / spread if spread else 1.0)


def _figure(point: Point, figure: str) -> float:
    value = getattr(point, figure)
    return float(next(iter(value.values())) if isinstance(value, Mapping) else value)


def _point(member: Member, base: Parameters, model: ComputeModel, links: Mapping[str, Link]) -> Point:
    plan = plan_for(member.network, base, member.batch)
    trace = predicted_trace(plan, model)
    online = {name: _replayed(trace, "online", link) for name, link in links.items()}
    offline = {name: _replayed(trace, "offline", link).seconds for name, link in links.items()}
    first = next(iter(online.values()))
    cost = plan.online
    return Point(
        value=member.value,
        net=member.network.name,
        batch=member.batch,
        products=member.batch * sum(p.linear.outputs * p.linear.fan_in for p in plan.network.linear_layers),
        comparisons=member.batch * _comparisons(plan.network),
        server_rounds=cost.server_rounds,
        depth=cost.depth,
        between=cost.links[Party.E1, Party.E2].payload,
        upload=sum(t.payload for (sender, _), t in cost.links.items() if sender.startswith(Party.HMS)),
        material=max(plan.material_bytes.values()),
        model=max(t.payload for (_, to), t in plan.setup.links.items() if to in (Party.E1, Party.E2)),
        memory=max(plan.memory_bytes.values()),
        computing=totals(critical_path(first))["compute"],
        online={name: replayed.seconds for name, replayed in online.items()},
        offline=offline,
    )


def _replayed(trace: RunTrace, phase: Phase, link: Link) -> Replayed:
    return replay(trace.phase(phase), Settings(link))[0]


def _comparisons(network: Network) -> int:
    relus = sum(p.outputs for p in network.placed if isinstance(p.layer, Relu))
    return relus + sum(p.outputs * (p.layer.size - 1) for p in network.placed if isinstance(p.layer, MaxPool))


def _plain(rates: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {kind: dict(row) for kind, row in rates.items()}
