"""`pehealth data` shows what is here, and says what to do about what is not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from parties import cli
from pehealth.data import catalog
from pehealth.nets import zoo


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEHEALTH_DATA", raising=False)


def test_every_network_and_data_set_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert [name for name in (*zoo.NAMES, *catalog.NAMES) if f"| {name} " not in out] == []
    assert "pip install 'pehealth[demo]'" in out
    assert "Data folder: none" in out


def test_a_data_set_in_the_folder_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cells() -> list[str]:
        assert cli.main(["data", "list", "--data-dir", str(tmp_path)]) == 0
        listed = capsys.readouterr().out.splitlines()
        return next(line for line in listed if line.startswith("| postoperative")).split()

    assert cells()[3] == "no"
    (tmp_path / "postoperative").mkdir()
    assert cells()[3] == "yes"


def test_fetching_needs_a_folder_and_a_name_that_is_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        (["mnist"], "Name a folder with --data-dir or PEHEALTH_DATA"),
        (["clinic"], "it comes with pip install"),
        (["nothing", "--data-dir", str(tmp_path)], "no data set 'nothing' to fetch"),
        (["mnist", "--data-dir", str(tmp_path), "--from", str(tmp_path / "no")], "no is not there"),
        (["mnist", "--data-dir", str(tmp_path), "--mirror", "file:///x"], "is not an http or https address"),
    ):
        assert cli.main(["data", "fetch", *words]) == 2
        assert says in capsys.readouterr().err


def test_a_check_names_everything_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("postoperative", "mnist"):
        (tmp_path / name).mkdir()
    assert cli.main(["data", "check", "postoperative", "mnist", "--data-dir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "post" in err
    assert "mnist" in err


@pytest.mark.slow
def test_a_whole_data_set_passes_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    assert cli.main(["data", "check", "clinic"]) == 0
    assert "ok  clinic: " in capsys.readouterr().out


def test_exported_samples_are_those_of_the_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, labels = tmp_path / "samples.csv", tmp_path / "labels.txt"
    words = ["data", "export", "clinic", "--out", str(file), "--samples", "7", "--labels", str(labels)]
    assert cli.main(words) == 0
    assert "7 samples of clinic with 30 readings each" in capsys.readouterr().out
    found = catalog.load("clinic", training=False)
    header, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    assert tuple(header) == found.ranges.names
    restored = found.ranges.normalise(np.array(rows, float))
    assert np.allclose(restored, found.features[found.test[:7]], rtol=0, atol=1e-12)
    assert labels.read_text().split() == [found.classes[label] for label in found.labels[found.test[:7]]]


def test_more_samples_than_there_are_are_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "export", "clinic", "--out", str(tmp_path / "x"), "--samples", "999"]) == 2
    assert "outside 1..171" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
