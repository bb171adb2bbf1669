"""scikit-learn's breast-cancer data (Wisconsin diagnostic): 569 real biopsies, 30 measurements, two classes.

Source: W. H. Wolberg, W. N. Street, O. L. Mangasarian, UCI id 17, CC BY 4.0, doi:10.24432/C5DW2B.
"""

from __future__ import annotations

import hashlib

import numpy as np

from pehealth.data.dataset import Dataset, split
from pehealth.data.files import check_sha256
from pehealth.data.ranges import Ranges
from pehealth.errors import ConfigError

CLASSES = ("malignant", "benign")
SHA256 = "25e2eb7b7a8745b1bde5ba18bc4969983d2e2f403291ecd5bde4a29ef30c3859"
"""Of the 569 x 30 measurements and the 569 labels, as little-endian float64 and int64."""

# The least and the greatest value in the published data.
_RANGES = (
    ("mean radius", 6.981, 28.11),
    ("mean texture", 9.71, 39.28),
    ("mean perimeter", 43.79, 188.5),
    ("mean area", 143.5, 2501.0),
    ("mean smoothness", 0.05263, 0.1634),
    ("mean compactness", 0.01938, 0.3454),
    ("mean concavity", 0.0, 0.4268),
    ("mean concave points", 0.0, 0.2012),
    ("mean symmetry", 0.106, 0.304),
    ("mean fractal dimension", 0.04996, 0.09744),
    ("radius error", 0.1115, 2.873),
    ("texture error", 0.3602, 4.885),
    ("perimeter error", 0.757, 21.98),
    ("area error", 6.802, 542.2),
    ("smoothness error", 0.001713, 0.03113),
    ("compactness error", 0.002252, 0.1354),
    ("concavity error", 0.0, 0.396),
    ("concave points error", 0.0, 0.05279),
    ("symmetry error", 0.007882, 0.07895),
    ("fractal dimension error", 0.0008948, 0.02984),
    ("worst radius", 7.93, 36.04),
    ("worst texture", 12.02, 49.54),
    ("worst perimeter", 50.41, 251.2),
    ("worst area", 185.2, 4254.0),
    ("worst smoothness", 0.07117, 0.2226),
    ("worst compactness", 0.02729, 1.058),
    ("worst concavity", 0.0, 1.252),
    ("worst concave points", 0.0, 0.291),
    ("worst symmetry", 0.1565, 0.6638),
    ("worst fractal dimension", 0.05504, 0.2075),
)
RANGES = Ranges(
    tuple(name for name, _, _ in _RANGES), tuple(low for _, low, _ in _RANGES), tuple(high for _, _, high in _RANGES)
)


def load_clinic() -> Dataset:
    """Return the data, 70 % of each class for training.

    Raises:
        ConfigError: scikit-learn is not installed, or its copy of the data is not the one that is pinned here.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError as error:
        raise ConfigError(
            "the clinic data comes with scikit-learn, which is not installed: pip install 'pehealth[demo]'"
        ) from error
    raw, target = load_breast_cancer(return_X_y=True)
    labels = np.asarray(target, np.int64)
    found = hashlib.sha256(raw.astype("<f8").tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    check_sha256("scikit-learn's breast-cancer data", SHA256, found, "install scikit-learn again")
    train, test = split(labels, "clinic")
    return Dataset(
        "clinic", RANGES.normalise(raw), labels, CLASSES, train, test, RANGES, "scikit-learn's breast-cancer data"
    )
