"""What a run will cost, layer by layer and phase by phase, without running it; measured must equal this exactly.

The two kinds of walk have a planner each (`plan_literal`, `plan_masked`); the result record is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from operator import add

from pehealth.config import Engine, Parameters, Party
from pehealth.nets.describe import Network
from pehealth.protocols.cost import Cost
from transport.interfaces import Phase


@dataclass(frozen=True)
class LayerPlan:
    """Cost of one layer online; layer 0 is the input, the one after the last the output."""

    index: int
    name: str
    kind: str
    cost: Cost


@dataclass(frozen=True)
class Plan:
    """Cost of a network under given settings, a query of `parameters.batch` samples.

    Attributes:
        layers: online cost of input, layers and output, in order.
        setup, offline: cost of a deployment and of one query's material.
        bounds: proven |value| after each layer, in units of the layer's scale, where weights are known.
        error_bound: units of the logit by which a secure result may differ from the ideal one.
        material_bytes: one-time material a query, by server.
        memory_bytes: estimate of the arrays a server holds at its peak: model, one query's material, widest layer.
        notes: what a reader should know: failure targets, probabilities, refusals avoided.
        expected: online counts that depend on chance, in expectation, by operation.
        compute_seconds: what a query's computing takes one server by a calibration on this machine; 0 if not known.
    """

    network: Network
    parameters: Parameters
    layers: tuple[LayerPlan, ...]
    setup: Cost
    offline: Cost
    bounds: tuple[int, ...] = ()
    error_bound: int = 0
    material_bytes: Mapping[str, int] = field(default_factory=dict)
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    expected: Mapping[str, float] = field(default_factory=dict)
    compute_seconds: float = 0.0

    @property
    def online(self) -> Cost:
        """Cost from the sensor's message to the centre's result."""
        return reduce(add, (layer.cost for layer in self.layers))

    @property
    def reveals(self) -> tuple[str, ...]:
        """What the servers learn beyond shapes: nothing, but for engine `paper`."""
        if self.parameters.engine is not Engine.PAPER:
            return ()
        kinds = {layer.kind for layer in self.layers}
        shown = (("relu", "activation_signs"), ("maxpool", "pool_argmax"))
        return tuple(name for kind, name in shown if kind in kinds)

    def phase(self, phase: Phase) -> Cost:
        """Return the cost of a phase."""
        return {Phase.SETUP: self.setup, Phase.OFFLINE: self.offline, Phase.ONLINE: self.online}[phase]


def sensor_names(count: int) -> tuple[str, ...]:
    """Return the names of `count` sensors: HMS1, HMS2, ..."""
    return tuple(f"{Party.HMS}{i}" for i in range(1, count + 1))


def sensor_parts(inputs: int, sensors: int) -> tuple[slice, ...]:
    """Return which readings of a flat sample each sensor supplies: contiguous, as even as can be."""
    size, extra = divmod(inputs, sensors)
    ends = [size * i + min(i, extra) for i in range(sensors + 1)]
    return tuple(slice(a, b) for a, b in pairwise(ends))


def widest_bytes(network: Network, batch: int, width: int) -> int:
    """Return the bytes of the largest layer's columns and outputs, `width` bytes an element."""
    widest = 0
    for placed in network.placed:
        size = placed.inputs + placed.outputs
        if placed in network.linear_layers:
            size += placed.linear.positions * placed.linear.fan_in
        widest = max(widest, size)
    return widest * batch * width
