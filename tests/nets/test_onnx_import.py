"""Ten networks that torch exported: the import is onnxruntime's network, and secure runs keep the error target."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from parties.launch import plan, run
from parties.request import RunRequest
from pehealth.config import Engine
from pehealth.crypto.prg import Prg
from pehealth.errors import ConfigError, RangeError, UnsupportedLayer
from pehealth.nets.last import finished
from pehealth.nets.onnx_check import onnxruntime_outputs
from pehealth.nets.onnx_graph import read_graph
from pehealth.nets.onnx_import import Wishes, import_onnx
from pehealth.nets.onnx_ranges import range_about
from pehealth.nets.oracle import float_reference
from pehealth.nets.stand_in import LEAST, random_features
from pehealth.nets.weights import load, save
from pehealth.nets.zoo import load_model

VECTORS = Path(__file__).parent.parent / "vectors" / "onnx"
NETWORKS = {
    "avgpool": ("conv2d relu meanpool conv2d relu pad meanpool dense", "logits"),
    "clip_leaky": (
        "conv1d relu add relu add conv1d relu add rescale conv1d add relu add relu add dense", "logits",
    ),
    "cnn_bn_gap": ("conv2d relu conv2d relu conv2d relu reshape meanpool dense", "logits"),
    "dropout_softmax": ("dense relu dense", "softmax"),
    "ecg_residual": (
        ("conv1d relu conv1d relu conv1d add relu conv1d relu conv1d conv1d add relu conv1d relu conv1d add relu "
         "meanpool dense"), "logits",
    ),
    "lenet5": ("conv2d relu maxpool conv2d relu maxpool dense relu dense relu dense", "logits"),
    "maxpool": ("conv2d pad maxpool relu conv2d pad maxpool relu dense", "logits"),
    "mlp_bn": ("dense relu dense relu dense", "logits"),
    "moved": ("transpose pad conv2d relu dense", "logits"),
    "strided": ("conv1d relu conv1d relu conv1d transpose relu dense", "logits"),
}  # fmt: skip
REFUSED = {
    "unsupported_recurrent": [
        "node /lstm/Transpose: Transpose on 10x4 is not supported; nearest: the batch axis left alone",
        "node /lstm/LSTM: LSTM on 1x4 is not supported; nearest: Conv over time",
        "node /lstm/Squeeze: Squeeze on 1x1x6 is not supported; nearest: the batch axis first, and left alone",
        "node /lstm/Transpose_1: Transpose on 1x6 is not supported; nearest: the batch axis first, and left alone",
        "node /Gather: Gather on 10x6 is not supported; nearest: Reshape or Transpose; nothing is cut off",
        (
            "node /Sigmoid: Sigmoid on 6 is not supported; "
            "nearest: as the last node, where the centre does it; or HardSigmoid"
        ),
    ],
    "unsupported_transformer": [
        (
            "node /1/LayerNormalization: LayerNormalization on 16 is not supported; "
            "nearest: BatchNormalization, folded into weights"
        ),
        "node /2/Erf: Erf on 16 is not supported; nearest: Relu in place of Gelu",
        (
            "node /2/Mul: Mul on 16 is not supported; "
            "nearest: one of the two a constant; values are not multiplied with one another"
        ),
        (
            "node /4/Sigmoid: Sigmoid on 16 is not supported; "
            "nearest: as the last node, where the centre does it; or HardSigmoid"
        ),
        (
            "node /4/Mul: Mul on 16 is not supported; "
            "nearest: one of the two a constant; values are not multiplied with one another"
        ),
    ],
    "unsupported_upsampled": [
        "node node_tanh: Tanh on 2x6x6 is not supported; nearest: Clip from -1 to 1 (hardtanh)",
        "node node_convolution: ConvTranspose on 2x6x6 is not supported; nearest: Conv",
    ],
}
TARGET = 0.01


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


def test_every_vector_is_tested():
    assert {path.stem for path in VECTORS.glob("*.onnx")} == {*NETWORKS, *REFUSED}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("limits", [(None, None), (-2.5, 3.0)])
def test_the_import_gives_what_onnxruntime_gives(name, limits):
    path = VECTORS / f"{name}.onnx"
    imported = import_onnx(path, Wishes(*limits))
    kinds, last = NETWORKS[name]
    network = imported.model.network
    assert imported.model.last == last
    found = " ".join(placed.kind for placed in network.placed)
    assert found.removeprefix("add ") == kinds if limits[0] else found == kinds
    features = Prg.insecure_seed(9).below((20, network.inputs), 1001) / 1000
    low, high = imported.model.ranges.low[0], imported.model.ranges.high[0]
    theirs = onnxruntime_outputs(read_graph(path), low + (high - low) * features)
    ours = finished(last, float_reference(imported.model, features).logits)
    assert np.abs(ours - theirs).max() <= 1e-4 * max(1.0, np.abs(theirs).max())
    assert imported.precision.meets(proven=False)
    assert imported.precision.target == TARGET


LARGE = pytest.param("lenet5", marks=pytest.mark.slow)


@pytest.mark.parametrize("engine", [Engine.DEALT, Engine.RLWE])
@pytest.mark.parametrize("name", [LARGE, *(name for name in NETWORKS if name != "lenet5")])
def test_a_secure_run_keeps_the_error_target(name, engine):
    path = VECTORS / f"{name}.onnx"
    request = RunRequest(net=str(path), engine=engine, samples=2, batch=2)
    result = run(request, quiet)
    model = load_model(path)
    theirs = onnxruntime_outputs(read_graph(path), random_features(model, LEAST)[:2])
    for sample, wanted in zip(result.samples, theirs, strict=True):
        ours = sample.logits if model.last == "logits" else sample.outputs
        assert np.abs(np.array(ours) - wanted).max() <= TARGET
        assert max(abs(a - b) for a, b in zip(sample.logits_int, sample.ideal_int, strict=True)) <= result.error_bound
    assert result.parameters.digits == model.digits
    assert result.planned == plan(request).planned
    for phase, planned in result.planned.phases.items():
        assert (result.phases[phase].links, result.phases[phase].server_rounds) == (
            planned.links,
            planned.server_rounds,
        )


@pytest.mark.parametrize("name", REFUSED)
def test_all_that_is_unsupported_is_listed_at_once(name):
    with pytest.raises(UnsupportedLayer) as caught:
        import_onnx(VECTORS / f"{name}.onnx")
    assert list(caught.value.problems) == REFUSED[name]


def test_the_model_file_keeps_last_step_digits_and_target(tmp_path):
    model = import_onnx(VECTORS / "dropout_softmax.onnx", Wishes(target=1e-4, name="four", classes=tuple("abcd"))).model
    save(model, tmp_path / "m.npz")
    back = load(tmp_path / "m.npz")
    assert (back.last, back.digits, back.target) == ("softmax", model.digits, 1e-4)
    assert (back.network.name, back.network.classes) == ("four", tuple("abcd"))
    assert back.digest() == model.digest()
    assert dataclasses.replace(back, digits=None).digest() != model.digest()
    with pytest.raises(ConfigError, match="the last step is 'tanh'"):
        dataclasses.replace(back, last="tanh")


def test_samples_set_the_range_and_are_measured_on(tmp_path):
    readings = Prg.insecure_seed(1).below((7, 128), 1000) / 250 - 1.2345
    np.save(tmp_path / "readings.npy", readings.reshape(7, 1, 128))
    imported = import_onnx(VECTORS / "ecg_residual.onnx", Wishes(samples=tmp_path / "readings.npy"))
    assert (imported.model.ranges.low, imported.model.ranges.high) == ((-1.7,), (3.2,))
    assert (imported.samples, set(imported.difference)) == (7, {"random readings", "samples"})
    text = "\n".join(",".join(map(str, row)) for row in readings)
    (tmp_path / "readings.csv").write_text(text)
    again = import_onnx(VECTORS / "ecg_residual.onnx", Wishes(samples=tmp_path / "readings.csv"))
    assert again.precision == imported.precision
    with pytest.raises(RangeError, match=r"sample \d: reading \d+ is outside of its range"):
        import_onnx(VECTORS / "ecg_residual.onnx", Wishes(0.0, 1.0, samples=tmp_path / "readings.npy"))
    with pytest.raises(ConfigError, match="rows of 12 readings"):
        import_onnx(VECTORS / "dropout_softmax.onnx", Wishes(samples=tmp_path / "readings.npy"))
    with pytest.raises(ConfigError, match="cannot be read"):
        import_onnx(VECTORS / "dropout_softmax.onnx", Wishes(samples=tmp_path / "none.npy"))


def test_a_vector_of_readings_gets_a_range_for_each_with_the_names_of_the_file(tmp_path):
    columns = np.array([[0.5, 18.0, -3.0, 7.0], [0.75, 90.0, -1.0, 7.0], [0.6, 54.0, -2.0, 7.0]]).repeat(3, axis=1)
    names = [f"{name} {i}" for name in ("dose", "age", "base excess", "constant") for i in range(3)]
    lines = [",".join(names), *(",".join(map(str, row)) for row in columns)]
    (tmp_path / "patients.csv").write_text("\n".join(lines))
    imported = import_onnx(VECTORS / "dropout_softmax.onnx", Wishes(samples=tmp_path / "patients.csv"))
    ranges = imported.model.ranges
    assert ranges.names == tuple(names)
    assert (ranges.low[::3], ranges.high[::3]) == ((0.47, 10.0, -3.2, 6.3), (0.78, 98.0, -0.8, 7.7))
    assert [p.kind for p in imported.model.network.placed] == ["dense", "relu", "dense"]
    one = import_onnx(VECTORS / "dropout_softmax.onnx", Wishes(-5.0, 100.0, samples=tmp_path / "patients.csv"))
    assert (one.model.ranges.low, one.model.ranges.high) == ((-5.0,), (100.0,))
    assert one.precision.proven > 2 * imported.precision.proven
    folded = import_onnx(VECTORS / "mlp_bn.onnx", Wishes(samples=_csv_of(tmp_path, 30)))
    assert [p.kind for p in folded.model.network.placed] == NETWORKS["mlp_bn"][0].split()


@pytest.mark.parametrize(
    ("least", "most", "low", "high"),
    [
        (0.0, 1.0, 0.0, 1.1),
        (-5.0, 0.0, -5.5, 0.0),
        (-1.0, 1.0, -1.2, 1.2),
        (0.0, 0.0, 0.0, 1.0),
        (100.0, 250.0, 80.0, 270.0),
    ],
)
def test_a_range_has_a_margin_but_none_across_zero(least, most, low, high):
    assert range_about(least, most) == (low, high)


def _csv_of(folder: Path, columns: int) -> Path:
    values = Prg.insecure_seed(8).below((5, columns), 1000) / 10 * np.arange(1, columns + 1)
    np.savetxt(folder / "values.csv", values, delimiter=",")
    return folder / "values.csv"


def test_digits_follow_the_target_and_proof_asks_for_more():
    path = VECTORS / "dropout_softmax.onnx"
    digits = [import_onnx(path, Wishes(target=target)).precision.digits for target in (0.1, 1e-3, 1e-5)]
    assert digits == sorted(digits)
    assert digits[0] < digits[2]
    proven = import_onnx(path, Wishes(target=1e-3, proven=True)).precision
    assert proven.digits > digits[1]
    assert proven.measured < proven.proven <= 1e-3
    assert import_onnx(path, Wishes(digits=2)).precision.digits == 2
    with pytest.raises(RangeError, match=r"no digits meet an error target of 1e-30 in 64 bits; \d+ digits"):
        import_onnx(path, Wishes(target=1e-30))


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(classes=("a", "b")), "2 names of classes; the network has 4 outputs"),
        (Wishes(3.0, 1.0), "the range of the readings is 3 to 1"),
        (Wishes(0.0, float("inf")), "the range of the readings is 0 to inf"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(wishes, message):
    with pytest.raises(ConfigError, match=message):
        import_onnx(VECTORS / "dropout_softmax.onnx", wishes)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    for content in (b"", b"no onnx", bytes(1000)):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be read as an ONNX file"):
            import_onnx(tmp_path / "bad.onnx")
    with pytest.raises(ConfigError, match="cannot be read as an ONNX file"):
        load_model(tmp_path / "missing.onnx")


def test_without_onnx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install 'pehealth\[onnx\]'"):
        load_model(VECTORS / "mlp_bn.onnx")
