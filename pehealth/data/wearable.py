"""UCI "batteryless wearable sensor": 75,128 readings of a passive RFID tag worn by older people, four activities.

Source: R. Torres, R. Visvanathan, D. Ranasinghe, UCI id 427, CC BY 4.0, doi:10.24432/C5GG6B. 87 files, one a trial.
No subject is named, so the split is by trial, within each of the two rooms: readings of one trial follow each other
by fractions of a second, and a split by reading would test on what was trained on.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pehealth.data.dataset import Dataset, split
from pehealth.data.files import Part, Source, data_directory, read_part
from pehealth.data.ranges import Ranges

_UCI = "https://archive.ics.uci.edu"
_TITLE = "activity+recognition+with+healthy+older+people+using+a+batteryless+wearable+sensor"
_ZIP = "Datasets_Healthy_Older_People.zip"
SOURCE = Source(
    "wearable",
    "batteryless",
    (
        Part(
            _ZIP,
            r"d[12]p\d\d[MF]",
            87,
            "ef48556ad239d2aa1efb9730f4e2f0ad275c66de3d6a5d1e037708b115d83dfe",
        ),
    ),
    (f"{_UCI}/static/public/427/{_TITLE}.zip", f"{_UCI}/ml/machine-learning-databases/00427/{_ZIP}"),
)
CLASSES = ("sitting on bed", "sitting on chair", "lying", "walking")
# Ranges hold the published values (accelerations -1.34..2.03 g, RSSI -72..-38.5) with room around them; the band is
# the Australian one for RFID. The clock stops at ten minutes: nearly all trials are over by then.
RANGES = Ranges(
    (
        "time since the trial's start [s]",
        "frontal acceleration [g]",
        "vertical acceleration [g]",
        "lateral acceleration [g]",
        "antenna",
        "signal strength [dBm]",
        "phase [rad]",
        "frequency [MHz]",
    ),
    (0.0, -1.0, -1.0, -1.5, 0.0, -80.0, 0.0, 920.0),
    (600.0, 2.0, 2.5, 1.5, 4.0, -30.0, 2 * math.pi, 926.0),
    ("time since the trial's start [s]",),
)


def load_wearable(directory: Path | None = None, seed: int = 0) -> Dataset:
    """Return the data, 70 % of the trials of each room for training; `groups` is the trial.

    Raises:
        ConfigError: files are missing or changed.
    """
    files = read_part(SOURCE, SOURCE.parts[0], data_directory(directory))
    names = sorted(files)
    tables = [
        np.array([line.split(",") for line in files[name].decode("ascii").splitlines()], np.float64) for name in names
    ]
    rows = np.concatenate(tables)
    groups = np.repeat(np.arange(len(names)), [len(t) for t in tables])
    _, test_trials = split(np.array([int(name[1]) for name in names]), SOURCE.name, seed)
    held_out = np.isin(groups, test_trials)
    return Dataset(
        SOURCE.name,
        RANGES.normalise(rows[:, :8]),
        rows[:, 8].astype(np.int64) - 1,
        CLASSES,
        np.flatnonzero(~held_out),
        np.flatnonzero(held_out),
        RANGES,
        "UCI id 427",
        groups,
    )
