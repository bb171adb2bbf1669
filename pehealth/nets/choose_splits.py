"""How to split weights into digits and how far to walk, so that a failure target is met in the least time.

A conversion of v fails with probability about |v| / 2^(w+1) and walks 2^(w+1) steps in the mean; where that is long, a
shorter walk with jumps behind it is faster. Smaller digits make smaller values but more conversions and
exponentiations; a longer walk in one layer buys a shorter one in another.
How large values are is estimated on samples: the centre has them, and the weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.ddlog import MAX_RUN, expected_steps
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.multiexp_modp import cheapest
from pehealth.crypto.signed_digits import least_base, split
from pehealth.engines.ddh_plan import Shape, Split, SplitPlan
from pehealth.engines.ddh_sizes import Sizes
from pehealth.errors import RangeError
from pehealth.nets.oracle import apply_exact, ideal
from pehealth.nets.weights import QuantizedModel

MOST_DIGITS = 8
JUMPS = range(6, 36)
FIRST_RUN = 8
"""Shorter runs save nothing: an exponentiation takes longer than such a walk."""
SHORT_RUN = 23
"""Shorter runs are searched for by one zero byte, which turns up often: their steps take longer (`ddlog_modp`)."""
CAP_SHARE = 100
"""The cap may add one failure in this many."""

Values = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer with its weights and what samples put into it.

    Attributes:
        geometry: the layer's.
        weights: (out_channels, fan_in).
        inputs: (samples, inputs) integers.
    """

    geometry: LinearMap
    weights: Values
    inputs: Values

    def products(self, base: int, count: int) -> Iterator[Values]:
        """Yield what is converted for each digit: (samples, outputs)."""
        for digits in split(self.weights, base, count):
            yield apply_exact(self.geometry, digits, self.inputs).astype(np.int64)


@dataclass(frozen=True)
class Option:
    """One way to split all layers of a shape, and what it amounts to in a query.

    Attributes:
        base, count: of the digits.
        conversions: of one server.
        total: expected sum of |v| + 1 over the values v != 0 that are converted.
        products: modular products of one server.
    """

    base: int
    count: int
    conversions: int
    total: float
    products: float


@dataclass(frozen=True)
class Pace:
    """How fast one server computes: seconds a modular product, a step of the walk, a jump.

    Attributes:
        product, jump: seconds each.
        long, short: seconds a step of walks that look for at least, and for fewer than, `SHORT_RUN` zeros.
    """

    product: float
    long: float
    jump: float
    short: float

    def step(self, run: int) -> float:
        """Return the seconds a step of a walk that looks for `run` zeros."""
        return self.long if run >= SHORT_RUN else self.short


@dataclass(frozen=True)
class Forecast:
    """What a query will take one server, and how often it will go wrong.

    Attributes:
        exponentiation, conversion: seconds.
        conversions: share conversions.
        wrong: expected number of wrong ones, the cap included.
    """

    exponentiation: float
    conversion: float
    conversions: int
    wrong: float

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.exponentiation + self.conversion


def layers_of(model: QuantizedModel, readings: Values) -> list[Layer]:
    """Return the linear layers with what these readings (samples, inputs) put into them, by the ideal oracle."""
    run = ideal(model, readings)
    inputs = [readings.reshape(len(readings), -1), *run.layers]
    linear = zip(model.network.linear_layers, model.weights, strict=True)
    return [Layer(placed.linear, w, inputs[placed.source].astype(np.int64)) for placed, w in linear]


def options(layers: Sequence[Layer], ring: int, key_bits: int, batch: int) -> dict[Shape, list[Option]]:
    """Return the ways to split each shape of layer, fewest digits first."""
    out: dict[Shape, list[Option]] = {}
    for shape in dict.fromkeys(layer.geometry.weight_shape for layer in layers):
        same = [layer for layer in layers if layer.geometry.weight_shape == shape]
        greatest = max(int(np.abs(layer.weights).max(initial=1)) for layer in same)
        for count in range(1, MOST_DIGITS + 1):
            base = least_base(greatest, count)
            out.setdefault(shape, []).append(_option(same, base, count, ring, key_bits, batch))
            if base == 3:
                break
    return out


def _option(layers: Sequence[Layer], base: int, count: int, ring: int, key_bits: int, batch: int) -> Option:
    total, products, conversions = 0.0, 0.0, 0
    for layer in layers:
        geometry = layer.geometry
        for values in layer.products(base, count):
            total += batch * float(np.abs(values).sum() + np.count_nonzero(values)) / len(values)
        conversions += batch * count * geometry.outputs
        products += layer_products(geometry, count, ring, key_bits, batch)
    return Option(base, count, conversions, total, products)


def layer_products(geometry: LinearMap, count: int, ring: int, key_bits: int, batch: int) -> float:
    """Return the modular products of one server for a layer in `count` digits."""
    sizes = Sizes(ring, key_bits, geometry)
    method = cheapest(sizes.piece, sizes.pieces + geometry.fan_in, batch * geometry.positions)
    return count * geometry.out_channels * method.products


@dataclass(frozen=True)
class Way:
    """How to convert one value: w, t, the failures a unit of it, and seconds."""

    run: int
    jumps: int
    failures: float
    seconds: float


def conversion_ways(pace: Pace) -> list[Way]:
    """Return walks, with and without jumps, fastest first: those where each second saves fewer failures than before.

    They are the corners of the lower convex hull over (seconds, failures), so that a greedy choice is the best one.
    """
    ways = []
    for run in range(FIRST_RUN, MAX_RUN + 1):
        for jumps in (0, *JUMPS):
            failures = Split(3, 1, run, jumps).share_failing_twice / 2.0 ** (run + 1)
            seconds = pace.step(run) * 2.0 ** (run + 1) + (pace.jump * 2.0**jumps if jumps else 0.0)
            ways.append(Way(run, jumps, failures, seconds))
    hull: list[Way] = []
    for way in sorted(ways, key=lambda way: (way.seconds, way.failures)):
        if hull and way.failures >= hull[-1].failures:
            continue
        while len(hull) > 1 and _saved(hull[-2], hull[-1]) <= _saved(hull[-1], way):
            hull.pop()
        hull.append(way)
    return hull


def _saved(first: Way, then: Way) -> float:
    """Return the failures that a second more saves from one way to the next."""
    return (first.failures - then.failures) / (then.seconds - first.seconds)


def choose(ways: Mapping[Shape, Sequence[Option]], pace: Pace, target: float) -> SplitPlan:
    """Return the plan that takes the least time with at most `target` wrong conversions expected a query.

    Raises:
        RangeError: no walk is long enough.
    """
    front = conversion_ways(pace)
    best: tuple[float, dict[Shape, Split]] | None = None
    for combination in itertools.product(*ways.values()):
        chosen = _cheapest(combination, front, target * (1 - 1 / CAP_SHARE))
        if chosen is None:
            continue
        pairs = list(zip(combination, chosen, strict=True))
        seconds = sum(o.conversions * way.seconds + pace.product * o.products for o, way in pairs)
        if best is None or seconds < best[0]:
            splits = {s: Split(o.base, o.count, w.run, w.jumps) for s, (o, w) in zip(ways, pairs, strict=True)}
            best = seconds, splits
    if best is None:
        raise RangeError(
            f"{target:g} wrong conversions a query need runs of more than {MAX_RUN} zeros: "
            "lower the digits, or allow more failures"
        )
    conversions = max(sum(o.conversions for o in combination) for combination in itertools.product(*ways.values()))
    return SplitPlan.of(best[1], max(math.ceil(math.log(CAP_SHARE * conversions / target)), 1))


def _cheapest(chosen: Sequence[Option], ways: Sequence[Way], target: float) -> list[Way] | None:
    """Return a way for each shape: lengthen the one that saves most failures a second, until the target is met."""
    at = [0] * len(chosen)
    while sum(o.total * ways[i].failures for o, i in zip(chosen, at, strict=True)) > target:
        gains = [
            o.total / o.conversions * _saved(ways[i], ways[i + 1]) if i + 1 < len(ways) else 0.0
            for o, i in zip(chosen, at, strict=True)
        ]
        if max(gains) == 0:
            return None
        at[gains.index(max(gains))] += 1
    return [ways[i] for i in at]


def forecast(layers: Sequence[Layer], plan: SplitPlan, ring: int, key_bits: int, batch: int, pace: Pace) -> Forecast:
    """Return what a query of `batch` such samples takes, and its wrong conversions, summed over the actual values."""
    products = walked = wrong = 0.0
    conversions = 0
    for layer in layers:
        spec, walk = plan.split(layer.geometry), plan.steps(layer.geometry)
        for values in layer.products(spec.base, spec.count):
            wrong += batch * float(plan.failures(layer.geometry, values).sum()) / len(values)
        count = batch * spec.count * layer.geometry.outputs
        conversions += count
        each = pace.step(spec.run) * expected_steps(walk) + (pace.jump * 2.0**spec.jumps if spec.jumps else 0.0)
        walked += count * each
        products += layer_products(layer.geometry, spec.count, ring, key_bits, batch)
    return Forecast(products * pace.product, walked, conversions, wrong)
