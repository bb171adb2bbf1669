"""The plan of engine `paper`: every figure follows from the public shape and settings alone."""

from __future__ import annotations

import dataclasses

from pehealth.codec.packing import packed_size
from pehealth.config import GroupName, Parameters, Party
from pehealth.crypto.groups import Group, group
from pehealth.crypto.prg import KEY_BYTES
from pehealth.engines import paper, paper_codec
from pehealth.nets.describe import LINEAR, MaxPool, Network, Placed, Relu
from pehealth.nets.plan import LayerPlan, Plan, sensor_names, sensor_parts
from pehealth.nets.run_literal import check_literal, literal_walk
from pehealth.protocols.blob import blob_cost
from pehealth.protocols.cost import Cost, merge, message
from pehealth.protocols.literal import secpool_max_cost, secrelu_cost

SERVERS = (Party.E1, Party.E2)


def plan_group(p: Parameters) -> Group:
    """Return the group that the settings name."""
    return group(p.group or GroupName.MODP3072)


def has_key_bits(network: Network, placed: Placed) -> bool:
    """True unless this is the last linear layer, which makes no key-bit conversions."""
    return placed.index != network.linear_layers[-1].index


def triples_wanted(network: Network, parameters: Parameters) -> int:
    """Return the bit triples that one query uses: ring - 1 a comparison."""
    count = 0
    for placed in network.placed:
        if isinstance(placed.layer, Relu):
            count += placed.outputs
        elif isinstance(placed.layer, MaxPool):
            count += placed.outputs * (placed.layer.size - 1)
    return count * parameters.batch * (parameters.ring - 1)


def plan_literal(network: Network, parameters: Parameters) -> Plan:
    """Return the cost of a query of `parameters.batch` samples, and of the deployment.

    Raises:
        UnsupportedLayer: engine `paper` cannot run this network.
    """
    check_literal(network)
    layers = [LayerPlan(0, "0.input", "input", _upload(network, parameters))]
    layers += [LayerPlan(p.index, p.name, p.kind, _layer(network, p, parameters)) for p in network.placed]
    end = len(network.placed) + 1
    layers.append(LayerPlan(end, f"{end}.output", "output", _result(network, parameters)))
    material = packed_size(triples_wanted(network, parameters), 1)
    models = sum(model_size(network, p, plan_group(parameters)) for p in network.linear_layers)
    return Plan(
        network,
        parameters,
        tuple(layers),
        setup=_setup(network, parameters),
        offline=_offline(material),
        material_bytes={Party.E1: KEY_BYTES, Party.E2: KEY_BYTES + material},
        memory_bytes={str(server): 3 * models for server in SERVERS},
    )


def _upload(network: Network, p: Parameters) -> Cost:
    parts = zip(sensor_names(p.sensors), sensor_parts(network.inputs, p.sensors), strict=True)
    grp = plan_group(p)
    sizes = {name: paper_codec.upload_bytes(grp, p.batch * (part.stop - part.start)) for name, part in parts}
    links = merge(*(message(name, server, size) for name, size in sizes.items() for server in SERVERS))
    return Cost(links, depth=1)


def _layer(network: Network, placed: Placed, p: Parameters) -> Cost:
    count = p.batch * placed.outputs
    if isinstance(placed.layer, LINEAR):
        keybits = has_key_bits(network, placed)
        ops = paper.linear_ops(placed.linear, plan_group(p), literal_walk(p), p.batch, keybits=keybits)
        return Cost(ops={name: 2 * n for name, n in dataclasses.asdict(ops).items()})
    if isinstance(placed.layer, Relu):
        return secrelu_cost(count, p.ring)
    if isinstance(placed.layer, MaxPool):
        return secpool_max_cost(count, placed.layer.size, p.ring)
    return Cost()


def _result(network: Network, p: Parameters) -> Cost:
    size = packed_size(p.batch * len(network.classes), p.ring)
    return Cost(merge(*(message(server, Party.HC, size) for server in SERVERS)), depth=1)


def _setup(network: Network, p: Parameters) -> Cost:
    grp = plan_group(p)
    keys = [message(Party.HC, name, (grp.key_bits + 7) // 8) for name in sensor_names(p.sensors)]
    models = [
        blob_cost(Party.HC, server, model_size(network, placed, grp)).links
        for placed in network.linear_layers
        for server in SERVERS
    ]
    common = message(Party.E1, Party.E2, KEY_BYTES)
    return Cost(merge(common, *keys, *models), server_rounds=1, depth=1)


def model_size(network: Network, placed: Placed, grp: Group) -> int:
    """Return the bytes of one encrypted layer at a server."""
    return paper_codec.model_bytes(placed.linear, grp, keybits=has_key_bits(network, placed))


def _offline(material: int) -> Cost:
    links = merge(
        blob_cost(Party.HC, Party.E1, KEY_BYTES).links, blob_cost(Party.HC, Party.E2, KEY_BYTES + material).links
    )
    return Cost(links, depth=1)
