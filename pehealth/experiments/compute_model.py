"""From amounts of work to seconds: rates, fitted to what small layers took on this machine.

The time of a piece of work is taken as a sum of amounts times rates, none of them negative, fitted by least squares.
Errors weigh by the inverse of the root of the time: so small pieces count, and large ones count more, since what is
wanted are larger ones still. `errors` says how well a model fitted without the largest measurement predicts that one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.experiments.work import Place, Work, work_of
from pehealth.nets.plan import Plan

Sample = tuple[Work, float]
"""What was computed, and the seconds that it took."""


@dataclass(frozen=True)
class ComputeModel:
    """Rates of this machine.

    Attributes:
        rates: kind of work -> what there is of it -> seconds each.
        errors: kind of work -> predicted / measured of the largest measurement, predicted from the others.
    """

    rates: Mapping[str, Mapping[str, float]]
    errors: Mapping[str, float]

    def seconds(self, work: Work) -> float:
        """Return what a piece of work takes; a kind that was never measured takes nothing."""
        rates = self.rates.get(work.kind, {})
        return sum(rates.get(name, 0.0) * amount for name, amount in work.amounts.items())

    def predict(self, plan: Plan) -> dict[Place, float]:
        """Return the seconds of every place of a plan."""
        return {place: sum(map(self.seconds, works)) for place, works in work_of(plan).items()}


def fit(samples: Iterable[Sample]) -> ComputeModel:
    """Return the model that fits best."""
    kinds: dict[str, list[Sample]] = defaultdict(list)
    for work, seconds in samples:
        kinds[work.kind].append((work, seconds))
    rates = {kind: _rates(measured) for kind, measured in kinds.items()}
    errors = {kind: _error(measured) for kind, measured in kinds.items()}
    return ComputeModel(rates, {kind: error for kind, error in errors.items() if error is not None})


def _error(samples: Sequence[Sample]) -> float | None:
    """Predict the largest measurement that holds nothing which was measured there alone."""
    for work, seconds in sorted(samples, key=lambda sample: -sample[1]):
        others = [sample for sample in samples if sample[0] is not work]
        if all(any(other.amounts.get(name) for other, _ in others) for name, n in work.amounts.items() if n):
            return ComputeModel({work.kind: _rates(others)}, {}).seconds(work) / seconds
    return None


def _rates(samples: Sequence[Sample]) -> dict[str, float]:
    names = sorted({name for work, _ in samples for name in work.amounts})
    rows = np.array([[work.amounts.get(name, 0.0) for name in names] for work, _ in samples], np.float64)
    root = np.sqrt([seconds for _, seconds in samples])
    return dict(zip(names, map(float, non_negative(rows / root[:, None], root)), strict=True))


def non_negative(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x >= 0 with small |a x - b|: least squares, dropping the most negative unknown until none is."""
    x = np.zeros(a.shape[1])
    scale = np.abs(a).max(axis=0)
    kept = np.flatnonzero(scale)
    while len(kept):
        found = np.linalg.lstsq(a[:, kept] / scale[kept], b, rcond=None)[0]
        if (found >= 0).all():
            x[kept] = found / scale[kept]
            break
        kept = np.delete(kept, found.argmin())
    return x
