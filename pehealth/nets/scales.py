"""The factor by which every layer's integers exceed the numbers they stand for, exactly, for both walkers.

A real number v is carried as an integer near v * scale. Inputs and weights have scale 10^d, so a linear layer
multiplies the scale by 10^d. A mean pool only adds up, so it multiplies the scale by the window's size: the mean
is sum / size. What differs between the two kinds of engine is whether an activation divides again.

- literal (engine `paper`): nothing ever divides; the scale after the n-th linear layer is 10^((n+1)d), times the
  window of every mean pool before it [PEH20].
- masked (the others): the first ReLU after a linear layer divides by whatever the scale holds beyond 10^d, which
  is 10^d, times the windows of mean pools on the way. A ReLU at scale 10^d divides by nothing. A rescale divides
  likewise, whatever comes before it.

A sum multiplies its inputs up to the least scale that theirs divide, which is exact and costs no message; its own
divisor goes into the scale.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pehealth.config import Engine
from pehealth.nets.describe import LINEAR, Add, MeanPool, Network, Placed, Relu, Rescale


class Arithmetic(enum.StrEnum):
    """The two kinds of values that flow through a network."""

    LITERAL = "literal"
    MASKED = "masked"

    @classmethod
    def of(cls, engine: Engine) -> Arithmetic:
        """Return the kind of values that `engine` computes with."""
        return cls.LITERAL if engine is Engine.PAPER else cls.MASKED


@dataclass(frozen=True, slots=True)
class ScaleStep:
    """The scale around one layer.

    Attributes:
        layer: the layer at its place.
        before, after: scale of the layer's input (of a sum: what all inputs are brought to) and of its output (so of a
            linear layer's bias).
        divisor: what a ReLU or a rescale divides by, before = divisor * after; None where nothing is divided.
        weights: of a sum: what each input is multiplied by, its factor included; () elsewhere.
    """

    layer: Placed
    before: int
    after: int
    divisor: int | None = None
    weights: tuple[int, ...] = ()

    @property
    def offset(self) -> int:
        """What a sum adds, at the scale of its output; 0 elsewhere."""
        return self.layer.layer.offset(self.after) if isinstance(self.layer.layer, Add) else 0


@dataclass(frozen=True, slots=True)
class _Value:
    """The scale of a value, and whether products of a linear layer are in it that have not been rescaled."""

    scale: int
    fresh: bool


def scale_steps(network: Network, digits: int, arithmetic: Arithmetic) -> tuple[ScaleStep, ...]:
    """Return the scale around every layer, in order; the input's own scale is 10^digits."""
    unit = 10**digits
    steps: list[ScaleStep] = []
    values = [_Value(unit, fresh=False)]
    for placed in network.placed:
        step, fresh = _step(placed, [values[source] for source in placed.sources], unit, arithmetic)
        steps.append(step)
        values.append(_Value(step.after, fresh))
    return tuple(steps)


def _step(placed: Placed, inputs: list[_Value], unit: int, arithmetic: Arithmetic) -> tuple[ScaleStep, bool]:
    """Return the scale around a layer, and whether its output holds products that have not been rescaled."""
    layer, first = placed.layer, inputs[0]
    if isinstance(layer, LINEAR):
        return ScaleStep(placed, first.scale, first.scale * unit), True
    if isinstance(layer, MeanPool):
        return ScaleStep(placed, first.scale, first.scale * layer.size), first.fresh
    if isinstance(layer, Add):
        common = math.lcm(*(value.scale for value in inputs))
        weights = tuple(f * (common // value.scale) for f, value in zip(layer.factors, inputs, strict=True))
        fresh = any(value.fresh for value in inputs)
        return ScaleStep(placed, common, common * layer.divisor, weights=weights), fresh
    divides = isinstance(layer, Rescale) or (isinstance(layer, Relu) and first.fresh)
    if divides and arithmetic is Arithmetic.MASKED and first.scale > unit:
        return ScaleStep(placed, first.scale, unit, first.scale // unit), False
    return ScaleStep(placed, first.scale, first.scale), first.fresh
