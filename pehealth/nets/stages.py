"""A network as the masked engines walk it: stages, of which each opens at most one masked value a round.

Max pooling goes before the ReLU that it follows, since the two commute: a window of four then needs three max gates
and one ReLU instead of three and four. Every stage keeps the index of its layer, so counts stay by layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pehealth.config import Parameters
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.linear import LinearMap
from pehealth.errors import UnsupportedLayer
from pehealth.nets.describe import LINEAR, MaxPool, MeanPool, Network, Placed, Relu
from pehealth.nets.scales import Arithmetic, ScaleStep, scale_steps


@dataclass(frozen=True)
class LinearStage:
    """A linear layer: its input is opened under a mask, then each server multiplies alone."""

    placed: Placed

    @property
    def layer(self) -> LinearMap:
        """The geometry."""
        return self.placed.linear


@dataclass(frozen=True)
class ReluStage:
    """A ReLU with its rescale: one round."""

    placed: Placed
    gate: ReluGate
    count: int
    """Gates, over the whole batch."""


@dataclass(frozen=True)
class MaxStage:
    """Max pooling as a tournament: a round for each halving of the window."""

    placed: Placed
    layer: MaxPool
    gate: MaxGate
    windows: int
    """Windows, over the whole batch."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Gates of each round."""
        out, left = [], self.layer.size
        while left > 1:
            out.append(self.windows * (left // 2))
            left -= left // 2
        return tuple(out)


@dataclass(frozen=True)
class SumStage:
    """Mean pooling: sums, with no message; the factor is in the scale."""

    placed: Placed
    layer: MeanPool


Stage = LinearStage | ReluStage | MaxStage | SumStage


def stages(network: Network, parameters: Parameters) -> tuple[Stage, ...]:
    """Return the stages of a query of `parameters.batch` samples.

    Raises:
        UnsupportedLayer: the network does not begin with a linear layer or a pool of readings.
    """
    steps = scale_steps(network, parameters.digits, Arithmetic.MASKED)
    return tuple(_stage(step, parameters) for step in _pools_first(steps))


def _pools_first(steps: tuple[ScaleStep, ...]) -> list[ScaleStep]:
    """Swap every ReLU with the max pool behind it; shapes follow, scales stay with the layer that changes them."""
    out: list[ScaleStep] = []
    for step in steps:
        before = out[-1] if out else None
        if before is not None and isinstance(step.layer.layer, MaxPool) and isinstance(before.layer.layer, Relu):
            shape = step.layer.out_shape
            out[-1] = replace(step, before=before.before, after=before.before)
            out.append(replace(before, layer=replace(before.layer, in_shape=shape, out_shape=shape)))
        else:
            out.append(step)
    return out


def _stage(step: ScaleStep, parameters: Parameters) -> Stage:
    placed, layer = step.layer, step.layer.layer
    count = parameters.batch * placed.outputs
    if isinstance(layer, LINEAR):
        return LinearStage(placed)
    if isinstance(layer, Relu):
        return ReluStage(placed, ReluGate(parameters.ring, step.divisor or 1), count)
    if isinstance(layer, MaxPool):
        return MaxStage(placed, layer, MaxGate(parameters.ring), count)
    if isinstance(layer, MeanPool):
        return SumStage(placed, layer)
    raise UnsupportedLayer(f"the masked engines cannot run {placed.name}")
