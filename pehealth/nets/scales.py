"""The factor by which every layer's integers exceed the numbers they stand for, exactly, for both walkers.

A real number v is carried as an integer near v * scale. Inputs and weights have scale 10^d, so a linear layer
multiplies the scale by 10^d. A mean pool only adds up, so it multiplies the scale by the window's size: the mean
is sum / size. What differs between the two kinds of engine is whether an activation divides again.

- literal (engine `paper`): nothing ever divides; the scale after the n-th linear layer is 10^((n+1)d), times the
  window of every mean pool before it [PEH20].
- masked (the others): the first ReLU after a linear layer divides by whatever the scale holds beyond 10^d, which
  is 10^d, times the windows of mean pools on the way. A ReLU at scale 10^d divides by nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pehealth.config import Engine
from pehealth.nets.describe import LINEAR, MeanPool, Network, Placed, Relu


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
        before, after: scale of the layer's input and of its output (so of a linear layer's bias).
        divisor: what a ReLU divides by, before = divisor * after; None where nothing is divided.
    """

    layer: Placed
    before: int
    after: int
    divisor: int | None = None


def scale_steps(network: Network, digits: int, arithmetic: Arithmetic) -> tuple[ScaleStep, ...]:
    """Return the scale around every layer, in order; the input's own scale is 10^digits."""
    unit = 10**digits
    steps: list[ScaleStep] = []
    scale, fresh = unit, False  # fresh: a linear layer's products have not been rescaled yet
    for placed in network.placed:
        before, divisor = scale, None
        if isinstance(placed.layer, LINEAR):
            scale, fresh = scale * unit, True
        elif isinstance(placed.layer, MeanPool):
            scale *= placed.layer.size
        elif isinstance(placed.layer, Relu) and fresh and arithmetic is Arithmetic.MASKED and scale > unit:
            divisor, scale, fresh = scale // unit, unit, False
        steps.append(ScaleStep(placed, before, scale, divisor))
    return tuple(steps)
