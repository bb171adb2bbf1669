"""A network as the masked engines walk it: stages, of which each opens at most one masked value a round.

Max pooling goes before the ReLU that it follows, since the two commute: a window of four then needs three max gates
and one ReLU instead of three and four. Every stage keeps the index of its layer, so counts stay by layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pehealth.config import Parameters
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_select import SelectGate
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
        return halvings(self.layer.size, self.windows)


@dataclass(frozen=True)
class SumStage:
    """Mean pooling: sums, with no message; the factor is in the scale."""

    placed: Placed
    layer: MeanPool


@dataclass(frozen=True)
class OutputPlace:
    """Behind the last layer, where the centre's result is made."""

    index: int
    kind: ClassVar[str] = "output"

    @property
    def name(self) -> str:
        """For instance "4.output"."""
        return f"{self.index}.{self.kind}"


@dataclass(frozen=True)
class ArgmaxStage:
    """The class in place of the logits: a tournament, a round for each halving of the classes."""

    placed: OutputPlace
    gate: SelectGate
    batch: int
    classes: int

    @property
    def counts(self) -> tuple[int, ...]:
        """Gates of each round."""
        return halvings(self.classes, self.batch)


Stage = LinearStage | ReluStage | MaxStage | SumStage | ArgmaxStage


def halvings(size: int, copies: int) -> tuple[int, ...]:
    """Return how many pairs each round of a tournament of `size` has, `copies` tournaments side by side."""
    out, left = [], size
    while left > 1:
        out.append(copies * (left // 2))
        left -= left // 2
    return tuple(out)


def own_rounds(stage: Stage) -> int:
    """Return the rounds of a stage's own, without the opening for a linear layer that follows it."""
    if isinstance(stage, MaxStage | ArgmaxStage):
        return len(stage.counts)
    return int(isinstance(stage, ReluStage))


def stages(network: Network, parameters: Parameters) -> tuple[Stage, ...]:
    """Return the stages of a query of `parameters.batch` samples.

    Raises:
        UnsupportedLayer: the network does not begin with a linear layer or a pool of readings.
    """
    steps = scale_steps(network, parameters.digits, Arithmetic.MASKED)
    walk = tuple(_stage(step, parameters) for step in _pools_first(steps))
    if parameters.reveal == "logits":
        return walk
    place = OutputPlace(len(network.placed) + 1)
    return (*walk, ArgmaxStage(place, SelectGate(parameters.ring), parameters.batch, len(network.classes)))


def result_form(network: Network, parameters: Parameters) -> tuple[tuple[int, ...], int]:
    """Return shape and bits an element of what each server sends the centre."""
    if parameters.reveal == "logits":
        return (parameters.batch, len(network.classes)), parameters.ring
    return (parameters.batch,), max(1, (len(network.classes) - 1).bit_length())


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
