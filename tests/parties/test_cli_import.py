"""`pehealth import`, and ONNX files wherever a network is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from parties import cli
from parties.failure import EXIT_SETTINGS
from pehealth import schema
from pehealth.nets.record import validate
from pehealth.nets.weights import load

VECTORS = Path(__file__).parent.parent / "vectors" / "onnx"


def test_import_shows_layers_bounds_and_precision_and_writes_model_and_document(tmp_path, capsys):
    out, document = tmp_path / "ecg.npz", tmp_path / "d.json"
    words = ["import", str(VECTORS / "ecg_residual.onnx"), "--input-range", "-2.5", "3", "--target", "0.02"]
    words += ["--name", "ecg", "--classes", "N,S,V,F,Q"]
    assert cli.main([*words, "--out", str(out), "--json", str(document)]) == 0
    shown = capsys.readouterr().out
    assert "network ecg, 1 x 128 readings, 5 outputs" in shown
    assert "Readings from -2.5 to 3" in shown
    assert "| 13.add      | node_add_65       | 11, 12 | 12x32  |" in shown
    assert "for an error of an output of at most 0.02" in shown
    found = json.loads(document.read_text())
    assert schema.problems(found, schema.IMPORT) == ()
    assert all(layer["seen"] <= layer["bound"] for layer in found["layers"])
    assert found["layers"][12] | {"bound": 0, "seen": 0} == {
        "name": "13.add", "kind": "add", "node": "node_add_65", "from": [11, 12], "shape": [12, 32], "weights": 0,
        "bound": 0, "seen": 0,
    }  # fmt: skip
    assert 2 * found["precision"]["measured"] <= 0.02 < found["precision"]["proven"]
    model = load(out)
    assert (model.network.classes, model.ranges.low) == (tuple("NSVFQ"), (-2.5,))
    assert model.digits == found["precision"]["digits"]
    assert cli.main([*words, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {**found, "out": None}


def test_all_that_is_unsupported_is_listed_and_nothing_is_written(tmp_path, capsys):
    out = tmp_path / "m.npz"
    assert cli.main(["import", str(VECTORS / "unsupported_upsampled.onnx"), "--out", str(out)]) == EXIT_SETTINGS
    assert capsys.readouterr().err == (
        "pehealth: this network cannot be run:\n"
        "  node node_tanh: Tanh on 2x6x6 is not supported; nearest: Clip from -1 to 1 (hardtanh)\n"
        "  node node_convolution: ConvTranspose on 2x6x6 is not supported; nearest: Conv\n"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "model.onnx"], "a model file ends in .npz"),
        (["--target", "0"], "--target 0 must be above 0"),
        (["--input-range", "1", "0"], "the range of the readings is 1 to 0"),
        (["--target", "1e-40"], "no digits meet an error target"),
    ],
)
def test_settings_that_cannot_work_are_refused(words, message, capsys):
    assert cli.main(["import", str(VECTORS / "mlp_bn.onnx"), *words]) == EXIT_SETTINGS
    assert message in capsys.readouterr().err


def test_a_target_that_named_digits_miss_is_said_aloud(capsys):
    assert cli.main(["import", str(VECTORS / "mlp_bn.onnx"), "--digits", "2"]) == 0
    assert "!!! the measured error is not below half of the target of 0.01 !!!" in capsys.readouterr().out


def test_run_and_plan_take_an_onnx_file_and_the_record_has_the_softmax(tmp_path, capsys):
    file, document = str(VECTORS / "dropout_softmax.onnx"), tmp_path / "r.json"
    assert cli.main(["run", "--net", file, "--engine", "dealt", "--samples", "3", "--json", str(document)]) == 0
    shown = capsys.readouterr().out
    assert "3 digits were chosen at import for an error of an output of at most 0.01" in shown
    assert "names no data set: these are random readings" in shown
    found = json.loads(document.read_text())
    validate(found)
    for sample in found["samples"]:
        assert sum(sample["outputs"]) == pytest.approx(1)
        assert np.argmax(sample["outputs"]) == sample["prediction"]
    assert cli.main(["plan", "--net", file, "--digits", "4"]) == 0
    assert "of at most 0.01; 4 are taken, as asked for" in capsys.readouterr().out


def test_engine_paper_refuses_a_residual_network(capsys):
    words = ["plan", "--net", str(VECTORS / "ecg_residual.onnx"), "--engine", "paper", "--group", "toy32"]
    assert cli.main(words) == EXIT_SETTINGS
    assert "ecg_residual has layers that the paper has not: 6.add" in capsys.readouterr().err


@pytest.mark.slow
def test_an_onnx_model_is_deployed_and_run_from_its_state(tmp_path, capsys):
    state = ["--state", str(tmp_path / "state")]
    assert cli.main(["deploy", "--net", str(VECTORS / "ecg_residual.onnx"), *state]) == 0
    assert cli.main(["run", *state, "--samples", "2"]) == 0
    assert "within the bound" in capsys.readouterr().out
