"""The plan of the masked engines: every figure follows from the public shape and settings alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pehealth.codec.packing import packed_size
from pehealth.config import Parameters, Party
from pehealth.crypto.prg import KEY_BYTES
from pehealth.nets.describe import Network
from pehealth.nets.masked_material import MaterialPlan
from pehealth.nets.plan import LayerPlan, Plan, sensor_names, sensor_parts, widest_bytes
from pehealth.nets.run_masked import AnyEngine
from pehealth.nets.stages import ArgmaxStage, LinearStage, MaxStage, ReluStage, RescaleStage, Stage, result_form, stages
from pehealth.protocols.blob import blob_cost
from pehealth.protocols.cost import Cost, merge, message
from pehealth.protocols.masked import argmax_cost, max_cost, relu_cost
from pehealth.protocols.opening import open_cost
from transport.meter import Link, Traffic

SERVERS = (Party.E1, Party.E2)


def dealer_of(dealer: bool) -> Party:
    """Return who deals: a party of its own, or the centre's offline half."""
    return Party.DEALER if dealer else Party.HC


def plan_masked(network: Network, parameters: Parameters, engine: AnyEngine, *, dealer: bool = False) -> Plan:
    """Return the cost of a query of `parameters.batch` samples, and of the deployment.

    Raises:
        UnsupportedLayer, ConfigError: the engine cannot run a layer; names it.
    """
    walk = stages(network, parameters)
    for placed in network.linear_layers:
        engine.check(placed.linear, placed.name)
    material = MaterialPlan(engine, walk, parameters.batch)
    costs = {stage.placed.index: _stage(stage, parameters, engine) for stage in walk}
    for stage in walk:
        if isinstance(stage, LinearStage) and stage.opens:
            costs[stage.placed.source] = costs.get(stage.placed.source, Cost()) + _opening(stage, parameters)
    layers = [LayerPlan(0, "0.input", "input", _upload(network, parameters) + costs.get(0, Cost()))]
    layers += [LayerPlan(p.index, p.name, p.kind, costs[p.index]) for p in network.placed]
    end = len(network.placed) + 1
    layers.append(LayerPlan(end, f"{end}.output", "output", costs.get(end, Cost()) + _result(network, parameters)))
    sizes = {str(server): material.record_bytes(server) for server in SERVERS}
    source = dealer_of(dealer)
    widest = widest_bytes(network, parameters.batch, 8)
    models = {
        str(s): sum(
            engine.model_layout(p.linear, s).size + 8 * p.linear.out_channels * p.linear.fan_in
            for p in network.linear_layers
        )
        for s in SERVERS
    }
    return Plan(
        network,
        parameters,
        tuple(layers),
        setup=_setup(network, engine, dealer),
        offline=Cost(merge(*(blob_cost(source, s, sizes[s]).links for s in SERVERS)), depth=1),
        material_bytes=sizes,
        memory_bytes={name: models[name] + 3 * size + widest for name, size in sizes.items()},
    )


def _upload(network: Network, p: Parameters) -> Cost:
    """E1's share is a seed of 32 bytes, E2's is explicit."""
    parts = zip(sensor_names(p.sensors), sensor_parts(network.inputs, p.sensors), strict=True)
    sizes = {name: packed_size(p.batch * (part.stop - part.start), p.ring) for name, part in parts}
    first = [message(name, Party.E1, KEY_BYTES) for name in sizes]
    second = [message(name, Party.E2, size) for name, size in sizes.items()]
    return Cost(merge(*first, *second), depth=1)


def _opening(stage: LinearStage, p: Parameters) -> Cost:
    """Return what the layer that makes a linear layer's input spends for opening it under a mask."""
    return open_cost(p.batch * stage.layer.inputs, p.ring)


def _stage(stage: Stage, p: Parameters, engine: AnyEngine) -> Cost:
    if isinstance(stage, LinearStage):
        ops = engine.cost(stage.layer, p.batch).linear
        return Cost(ops={name: 2 * count for name, count in ops.items()})
    if isinstance(stage, ReluStage):
        return relu_cost(stage.count, p.ring)
    if isinstance(stage, RescaleStage):
        return open_cost(stage.count, p.ring)
    if isinstance(stage, MaxStage):
        return max_cost(stage.counts, p.ring)
    if isinstance(stage, ArgmaxStage):
        return argmax_cost(stage.counts, p.ring)
    return Cost()


def _result(network: Network, p: Parameters) -> Cost:
    shape, bits = result_form(network, p)
    size = packed_size(math.prod(shape), bits)
    return Cost(merge(*(message(server, Party.HC, size) for server in SERVERS)), depth=1)


def _setup(network: Network, engine: AnyEngine, dealer: bool) -> Cost:
    parts: list[Mapping[Link, Traffic]] = [message(Party.E1, Party.E2, KEY_BYTES)]
    for placed in network.linear_layers:
        parts += [blob_cost(Party.HC, s, engine.model_layout(placed.linear, s).size).links for s in SERVERS]
        if dealer:
            parts.append(blob_cost(Party.HC, Party.DEALER, engine.secret_layout(placed.linear).size).links)
    return Cost(merge(*parts), server_rounds=1, depth=1)


def material_plan(network: Network, parameters: Parameters, engine: AnyEngine) -> MaterialPlan:
    """Return where everything lies in a query's material."""
    return MaterialPlan(engine, stages(network, parameters), parameters.batch)
