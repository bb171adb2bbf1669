"""A network as the masked engines walk it: stages, of which each opens at most one masked value a round.

Max pooling goes before the ReLU that it follows, since the two commute: a window of four then needs three max gates
and one ReLU instead of three and four. Every stage keeps the index of its layer, so counts stay by layer, and names
the values it takes by the index of the layer that makes them in this order (0: the input).

A value that several linear layers take is opened once, under the mask of the first of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from pehealth.config import Parameters
from pehealth.crypto.gate_max import MaxGate
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.gate_rescale import RescaleGate
from pehealth.crypto.gate_select import SelectGate
from pehealth.crypto.linear import LinearMap
from pehealth.nets.describe import (
    LINEAR,
    Add,
    MaxPool,
    MeanPool,
    Network,
    Pad,
    Placed,
    Relu,
    Rescale,
    Reshape,
    Transpose,
)
from pehealth.nets.scales import Arithmetic, ScaleStep, scale_steps


@dataclass(frozen=True)
class LinearStage:
    """A linear layer: its input is opened under a mask, then each server multiplies alone.

    Attributes:
        mask_of: index of the layer whose mask its input is opened under: the first linear layer that takes this value.
    """

    placed: Placed
    mask_of: int

    @property
    def opens(self) -> bool:
        """True if the mask is this layer's own."""
        return self.mask_of == self.placed.index

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
class RescaleStage:
    """A rescale without a ReLU: one round, no comparison."""

    placed: Placed
    gate: RescaleGate
    count: int
    """Gates, over the whole batch."""


@dataclass(frozen=True)
class AddStage:
    """A sum of multiples of shares, with no message; the divisor is in the scale.

    Attributes:
        weights: mod 2^64, one a source.
        offset: what E1 adds, mod 2^64.
    """

    placed: Placed
    weights: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class MoveStage:
    """Elements moved, public zeros put between them, with no message."""

    placed: Placed
    layer: Reshape | Transpose | Pad


@dataclass(frozen=True)
class OutputPlace:
    """Behind the last layer, where the centre's result is made."""

    index: int
    sources: tuple[int, ...]
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


Stage = LinearStage | ReluStage | MaxStage | SumStage | RescaleStage | AddStage | MoveStage | ArgmaxStage


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
    return int(isinstance(stage, ReluStage | RescaleStage))


def stages(network: Network, parameters: Parameters) -> tuple[Stage, ...]:
    """Return the stages of a query of `parameters.batch` samples; the last one's output is the result."""
    steps = _pools_first(scale_steps(network, parameters.digits, Arithmetic.MASKED))
    owners: dict[int, int] = {}
    for step in steps:
        if isinstance(step.layer.layer, LINEAR):
            owners.setdefault(step.layer.source, step.layer.index)
    walk = tuple(_stage(step, parameters, owners) for step in steps)
    if parameters.reveal == "logits":
        return walk
    place = OutputPlace(len(network.placed) + 1, (walk[-1].placed.index,))
    return (*walk, ArgmaxStage(place, SelectGate(parameters.ring), parameters.batch, len(network.classes)))


def alone(stage: Stage) -> Stage:
    """Return a stage as the only one of a walk: it takes the input, under a mask of its own."""
    if isinstance(stage, ArgmaxStage):
        return replace(stage, placed=replace(stage.placed, sources=(0,)))
    placed = replace(stage.placed, sources=(0,) * len(stage.placed.sources))
    if isinstance(stage, LinearStage):
        return LinearStage(placed, placed.index)
    return replace(stage, placed=placed)


def result_form(network: Network, parameters: Parameters) -> tuple[tuple[int, ...], int]:
    """Return shape and bits an element of what each server sends the centre."""
    if parameters.reveal == "logits":
        return (parameters.batch, len(network.classes)), parameters.ring
    return (parameters.batch,), max(1, (len(network.classes) - 1).bit_length())


def _pools_first(steps: tuple[ScaleStep, ...]) -> list[ScaleStep]:
    """Swap every ReLU with the max pool behind it, if nothing else takes its output.

    Shapes follow, scales stay with the layer that changes them; who took the pool's output then takes the ReLU's.
    """
    uses = Counter(source for step in steps for source in step.layer.sources)
    now: dict[int, int] = {}
    out: list[ScaleStep] = []
    for step in steps:
        placed = step.layer
        before = out[-1] if out else None
        step = replace(step, layer=replace(placed, sources=tuple(now.get(s, s) for s in placed.sources)))
        if before is not None and _swappable(before, step) and uses[placed.source] == 1:
            relu, pool = before.layer, step.layer
            out[-1] = replace(
                step, layer=replace(pool, sources=relu.sources), before=before.before, after=before.before
            )
            shape = pool.out_shape
            out.append(replace(before, layer=replace(relu, in_shape=shape, out_shape=shape, sources=(pool.index,))))
            now[pool.index] = relu.index
        else:
            out.append(step)
    return out


def _swappable(before: ScaleStep, step: ScaleStep) -> bool:
    """True if a max pool takes the output of the ReLU before it."""
    is_pair = isinstance(step.layer.layer, MaxPool) and isinstance(before.layer.layer, Relu)
    return is_pair and step.layer.sources == (before.layer.index,)


def _stage(step: ScaleStep, parameters: Parameters, owners: Mapping[int, int]) -> Stage:
    placed, layer, ring = step.layer, step.layer.layer, parameters.ring
    count = parameters.batch * placed.outputs
    if isinstance(layer, LINEAR):
        return LinearStage(placed, owners[placed.source])
    if isinstance(layer, Relu):
        return ReluStage(placed, ReluGate(ring, step.divisor or 1), count)
    if isinstance(layer, Rescale):
        return RescaleStage(placed, RescaleGate(ring, step.divisor or 1), count)
    if isinstance(layer, MaxPool):
        return MaxStage(placed, layer, MaxGate(ring), count)
    if isinstance(layer, MeanPool):
        return SumStage(placed, layer)
    if isinstance(layer, Add):
        return AddStage(placed, tuple(w % 2**64 for w in step.weights), step.offset % 2**64)
    return MoveStage(placed, layer)
