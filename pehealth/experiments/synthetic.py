"""A trace of a run that never ran: messages from the plan, computing from a model. For networks too large to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pehealth.config import Engine, Party
from pehealth.experiments.steps import Clock, QueryTrace, RunTrace, Step
from pehealth.experiments.work import Place, walk_of
from pehealth.nets.plan import LayerPlan, Plan, sensor_names
from pehealth.nets.record import RunParameters, Security
from pehealth.nets.stages import own_rounds, stages
from pehealth.protocols.blob import chunk_sizes
from transport.meter import Link, Traffic

SERVERS = (Party.E1, Party.E2)


def trace_of_plan(
    plan: Plan, seconds: Mapping[Place, float] | None = None, *, clock: Clock = "model", command: str = "plan"
) -> RunTrace:
    """Return the trace that one query of a plan would leave, with its offline phase.

    Args:
        plan: of the run.
        seconds: what is computed at each place; nothing where it is not said. Both servers compute alike.
        clock: as the trace is to call itself.
        command: who makes it.
    """
    p = plan.parameters
    times = seconds or {}
    names = sensor_names(p.sensors)
    online: dict[str, tuple[Step, ...]] = {name: _program(_sensor(plan, name, times)) for name in names}
    online |= {str(server): _program(_server(plan, server, times)) for server in SERVERS}
    online |= {str(Party.HC): _program(_centre(plan, times))}
    return RunTrace(
        net=plan.network.name,
        engine=p.engine,
        parameters=RunParameters.of(p, transport="memory", tls=False, network=None),
        security=Security.of(p, plan.reveals),
        clock=clock,
        layers=tuple(layer.name for layer in plan.layers),
        queries=(QueryTrace("offline", 1, _offline(plan, times)), QueryTrace("online", 1, online)),
        command=command,
    )


def _program(steps: Iterator[Step]) -> tuple[Step, ...]:
    return tuple(s for s in steps if s.kind != "compute" or s.ended > 0)


def _compute(layer: int, seconds: float) -> Step:
    return Step("compute", layer, 0.0, seconds)


def _sensor(plan: Plan, name: str, times: Mapping[Place, float]) -> Iterator[Step]:
    yield _compute(0, times.get("upload", 0.0) / plan.parameters.sensors)
    for server in SERVERS:
        size = plan.layers[0].cost.links[name, server].payload
        yield Step("send", 0, 0.0, 0.0, server, size=size, depth=1)


def _server(plan: Plan, server: Party, times: Mapping[Place, float]) -> Iterator[Step]:
    for name in sensor_names(plan.parameters.sensors):
        size = plan.layers[0].cost.links[name, server].payload
        yield Step("take", 0, 0.0, 0.0, name, size=size, depth=1)
    layers = {layer.index: layer for layer in plan.layers}
    depth = 1
    rounds = _own_rounds(plan)
    for index in (0, *walk_of(plan)):
        own = rounds.get(index, len(layers[index].cost.exchanges))
        yield from _layer(layers[index], server, times.get(index, 0.0), depth, own)
        depth += len(layers[index].cost.exchanges)
    last = plan.layers[-1]
    size = last.cost.links[server, Party.HC].payload
    yield Step("send", last.index, 0.0, 0.0, Party.HC, size=size, depth=depth + 1)


def _own_rounds(plan: Plan) -> dict[int, int]:
    """Return the rounds of each layer's own where a further one may open its output for linear layers."""
    if plan.parameters.engine is Engine.PAPER:
        return {}
    return {0: 0, **{stage.placed.index: own_rounds(stage) for stage in stages(plan.network, plan.parameters)}}


def _layer(layer: LayerPlan, server: Party, seconds: float, depth: int, own: int) -> Iterator[Step]:
    """Return a layer's rounds; what it computes comes after each of its own, in proportion to what was opened.

    A round beyond the first `own` opens the input of the linear layer that follows; nothing is computed after it.
    """
    sizes = layer.cost.exchanges
    if not own:
        yield _compute(layer.index, seconds)
    for step, size in enumerate(sizes):
        where = (layer.index, 0.0, 0.0, server.other, step, size, depth + step + 1)
        yield Step("send", *where)
        yield Step("take", *where)
        if step < own:
            yield _compute(layer.index, seconds * size / sum(sizes[:own]))


def _centre(plan: Plan, times: Mapping[Place, float]) -> Iterator[Step]:
    last = plan.layers[-1]
    depth = plan.online.depth
    for server in SERVERS:
        size = last.cost.links[server, Party.HC].payload
        yield Step("take", last.index, 0.0, 0.0, server, size=size, depth=depth)
    yield _compute(last.index, times.get("collect", 0.0))


def _offline(plan: Plan, times: Mapping[Place, float]) -> dict[str, tuple[Step, ...]]:
    """Return the dealing of one query's material: E1's record is sent before E2's."""
    dealer = next(sender for sender, receiver in plan.offline.links if receiver == Party.E1)
    out = {str(dealer): _program(_dealer(plan.offline.links, dealer, times))}
    for server in SERVERS:
        size = plan.offline.links[dealer, server].payload
        takes = [Step("take", 0, 0.0, 0.0, dealer, i, n, 1) for i, n in enumerate(chunk_sizes(size))]
        out[str(server)] = (*takes, *_program(iter([_compute(0, times.get("prepare", 0.0))])))
    return out


def _dealer(links: Mapping[Link, Traffic], dealer: str, times: Mapping[Place, float]) -> Iterator[Step]:
    yield _compute(0, times.get("deal", 0.0))
    for server in SERVERS:
        for i, n in enumerate(chunk_sizes(links[dealer, server].payload)):
            yield Step("send", 0, 0.0, 0.0, server, i, n, 1)
