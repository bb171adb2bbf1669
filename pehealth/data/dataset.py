"""One record for every data set, and splits that are the same on every machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.data.ranges import Floats, Ranges

Indices = NDArray[np.intp]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled readings with a fixed split.

    Attributes:
        name: as `load` takes it.
        features: float64 (samples, ...), readings mapped to [0, 1] by `ranges`.
        labels: int64 (samples,), positions in `classes`.
        classes: names of the classes.
        train, test: positions of the samples of each part; disjoint. `train` is empty where only test samples came.
        ranges: names and ranges of the raw readings.
        source: which copy this is, in one line.
        groups: int64 (samples,): samples of one group (one trial, say) are all in the same part. None if ungrouped.
    """

    name: str
    features: Floats
    labels: Labels
    classes: tuple[str, ...]
    train: Indices
    test: Indices
    ranges: Ranges
    source: str
    groups: Labels | None = None

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {len(self.train)} training and {len(self.test)} test samples>"

    @property
    def majority(self) -> float:
        """Accuracy on the test part of always answering the class most frequent in training."""
        known = self.labels[self.train if len(self.train) else self.test]
        answer = np.bincount(known, minlength=len(self.classes)).argmax()
        return float(np.mean(self.labels[self.test] == answer))


def split(keys: Labels, name: str, seed: int = 0, test_share: float = 0.3) -> tuple[Indices, Indices]:
    """Return (train, test) positions, each sorted: `test_share` of every value of `keys` goes to the test part.

    The order is that of SHA-256 of the data set's name, the seed and the position: no generator whose stream might
    change with a library's version.
    """
    order = np.array(sorted(range(len(keys)), key=lambda i: hashlib.sha256(f"{name}:{seed}:{i}".encode()).digest()))
    test: list[int] = []
    for key in np.unique(keys):
        members = order[keys[order] == key]
        test += members[: round(test_share * len(members))].tolist()
    part = np.sort(np.array(test, np.intp))
    return np.setdiff1d(np.arange(len(keys), dtype=np.intp), part), part
