"""UCI "Post-Operative Patient": 90 patients, 8 categories each, where to send them next.

Source: S. Summers, L. Woolery, UCI id 82, CC BY 4.0, doi:10.24432/C5DG6Q. Categories become ordinal codes, so
that a sensor sends 8 numbers. Three patients lack COMFORT; they get 10, which 65 of the other 87 have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pehealth.data.dataset import Dataset, split
from pehealth.data.files import Part, Source, data_directory, read_part
from pehealth.data.ranges import Floats, Ranges
from pehealth.errors import ConfigError, RangeError

SOURCE = Source(
    "postoperative",
    "postoperative",
    (
        Part(
            "post-operative.data",
            r"post-operative\.data",
            1,
            "dca524352b089db5417ac78c0e4aeb5f1753bc5265aec82568c2dbcbc1461a2e",
        ),
    ),
    (
        "https://archive.ics.uci.edu/static/public/82/post+operative+patient.zip",
        "https://archive.ics.uci.edu/ml/machine-learning-databases/postoperative-patient-data/post-operative.data",
    ),
)
CLASSES = ("general ward", "home", "intensive care")
_DECISIONS = ("A", "S", "I")
_TEMPERATURE = ("low", "mid", "high")
_STABILITY = ("unstable", "mod-stable", "stable")
CATEGORIES: dict[str, tuple[str, ...]] = {
    "L-CORE": _TEMPERATURE,
    "L-SURF": _TEMPERATURE,
    "L-O2": ("poor", "fair", "good", "excellent"),
    "L-BP": _TEMPERATURE,
    "SURF-STBL": _STABILITY,
    "CORE-STBL": _STABILITY,
    "BP-STBL": _STABILITY,
}
"""The categories of each attribute in ascending order; a reading is the position. COMFORT, the eighth, is 0 to 20."""

COMFORT_UNKNOWN = 10.0
RANGES = Ranges(
    (*CATEGORIES, "COMFORT"),
    (0.0,) * 8,
    (*(float(len(levels) - 1) for levels in CATEGORIES.values()), 20.0),
)


def codes(fields: Sequence[str]) -> tuple[float, ...]:
    """Return the raw readings of one patient: positions of the seven categories, then COMFORT.

    Raises:
        RangeError: an attribute has a value that is not one of its categories; it names the attribute.
        ConfigError: the number of attributes is not eight.
    """
    if len(fields) != len(RANGES.names):
        raise ConfigError(f"{len(fields)} attributes, 8 expected: {', '.join(RANGES.names)}")
    out: list[float] = []
    for (attribute, levels), field in zip(CATEGORIES.items(), fields[:-1], strict=True):
        if field.strip() not in levels:
            raise RangeError(f"{attribute} is none of {', '.join(levels)}")
        out.append(float(levels.index(field.strip())))
    comfort = fields[-1].strip()
    if comfort != "?" and not comfort.isdecimal():
        raise RangeError("COMFORT is neither a whole number from 0 to 20 nor '?'")
    return (*out, COMFORT_UNKNOWN if comfort == "?" else float(comfort))


def load_postoperative(directory: Path | None = None, seed: int = 0) -> Dataset:
    """Return the data, 70 % of each class for training; `seed` gives other splits.

    Raises:
        ConfigError: the file is missing or changed.
    """
    files = read_part(SOURCE, SOURCE.parts[0], data_directory(directory))
    rows = [line.split(",") for line in files["post-operative.data"].decode("ascii").splitlines() if line.strip()]
    raw: Floats = np.array([codes(row[:-1]) for row in rows])
    labels = np.array([_DECISIONS.index(row[-1].strip()) for row in rows], np.int64)  # one row ends in "A "
    train, test = split(labels, SOURCE.name, seed)
    return Dataset(SOURCE.name, RANGES.normalise(raw), labels, CLASSES, train, test, RANGES, "UCI id 82")
