"""How engine `ddh` splits and converts each layer: the public settings that both servers must share, as text.

A layer is known by its shape, so layers of one shape are split alike. The text is one entry a shape, such as
"4x2:29^2/21 3x28:25^2/23+14": 4 outputs of 2 terms each in 2 digits of base 29, walks of w = 21; 3 outputs of 28
terms, w = 23, and then 2^14 jumps or so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.ddlog import Walk, failure_probability
from pehealth.crypto.ddlog_jumps import meeting_failure
from pehealth.crypto.linear import Ints, LinearMap
from pehealth.crypto.signed_digits import largest
from pehealth.errors import ConfigError

_ENTRY = re.compile(r"(\d+)x(\d+):(\d+)\^(\d+)/(\d+)(?:\+(\d+))?")

Shape = tuple[int, int]
"""(out_channels, fan_in)."""


@dataclass(frozen=True)
class Split:
    """How one layer's weights are split and its products converted.

    Attributes:
        base, count: weights are `count` balanced digits in this odd base.
        run: w; a point of the walk is distinguished when w bits are zero.
        jumps: t; then about 2^t random jumps (`crypto.ddlog_jumps`); 0 for none.
    """

    base: int
    count: int
    run: int
    jumps: int = 0

    @property
    def largest(self) -> int:
        """The greatest weight that the digits carry."""
        return largest(self.base, self.count)

    def __str__(self) -> str:
        return f"{self.base}^{self.count}/{self.run}" + (f"+{self.jumps}" if self.jumps else "")

    @property
    def share_failing_twice(self) -> float:
        """The share of first walks that ended apart after which the jumps do not help either."""
        return meeting_failure(self.run, self.jumps) if self.jumps else 1.0


@dataclass(frozen=True)
class SplitPlan:
    """The splits of a network's linear layers, and the cap that all their walks share in proportion.

    Attributes:
        splits: by shape, in the order of the network.
        factor: the cap Theta is this many times 2^(w+1), for every w.
    """

    splits: tuple[tuple[Shape, Split], ...]
    factor: int

    @classmethod
    def of(cls, splits: Mapping[Shape, Split], factor: int) -> SplitPlan:
        """Return the plan of a mapping."""
        return cls(tuple(splits.items()), factor)

    @classmethod
    def parse(cls, text: str, walk: int, cap: int) -> SplitPlan:
        """Return the plan behind `str(plan)`, `plan.walk` and `plan.cap`.

        Raises:
            ConfigError: the text is no plan, or names a shape twice.
        """
        splits: dict[Shape, Split] = {}
        for entry in text.split():
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise ConfigError(f"{entry!r} is no split of a layer; such as 4x2:29^2/21 is expected")
            out, terms, base, count, run, jumps = (int(group or 0) for group in match.groups())
            if (out, terms) in splits or base % 2 == 0 or base < 3 or count < 1 or run < 1:
                raise ConfigError(f"{entry!r}: a shape once, an odd base from 3, a digit and w from 1 are expected")
            splits[out, terms] = Split(base, count, run, jumps)
        if not splits or cap % (1 << (walk + 1)):
            raise ConfigError(f"a plan of {text!r} with w = {walk} and Theta = {cap} does not fit together")
        return cls.of(splits, cap >> (walk + 1))

    def __str__(self) -> str:
        return " ".join(f"{o}x{n}:{s}" for (o, n), s in self.splits)

    @property
    def walk(self) -> int:
        """The longest run of any layer."""
        return max(split.run for _, split in self.splits)

    @property
    def cap(self) -> int:
        """Theta of the longest run."""
        return self.factor << (self.walk + 1)

    def split(self, layer: LinearMap) -> Split:
        """Return the split of a layer.

        Raises:
            ConfigError: no layer of that shape was planned.
        """
        found = dict(self.splits).get(layer.weight_shape)
        if found is None:
            out, terms = layer.weight_shape
            raise ConfigError(f"no layer of {out} outputs from {terms} terms was planned, only {self}")
        return found

    def steps(self, layer: LinearMap) -> Walk:
        """Return the walk of a layer."""
        run = self.split(layer).run
        return Walk(run, self.factor << (run + 1))

    def failures(self, layer: LinearMap, values: Ints) -> NDArray[np.float64]:
        """Return the probability that each of these values of a layer converts wrongly."""
        return failure_probability(values, self.steps(layer)) * self.split(layer).share_failing_twice


def shapes(layers: Iterable[LinearMap]) -> tuple[Shape, ...]:
    """Return the shapes of layers, each once, in order."""
    return tuple(dict.fromkeys(layer.weight_shape for layer in layers))
