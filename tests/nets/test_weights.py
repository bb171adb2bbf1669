"""Models on disk and in integers."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from pehealth.data.ranges import Ranges
from pehealth.errors import ConfigError, RangeError
from pehealth.nets.describe import Conv1d, Dense, MeanPool, Network, Relu
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model, encode_bias, load, save

NETWORK = Network("small", (4,), (Conv1d(2, 2), Relu(), MeanPool((3,)), Dense(2)), ("no", "yes"))
RANGES = Ranges(("a", "b", "c", "d"), (0.0, -1.0, 10.0, 0.0), (1.0, 1.0, 20.0, 4.0))


def model() -> Model:
    weights = (np.array([[0.3, -0.25], [1.0, 0.123456789]]), np.array([[0.5, -0.5], [0.0, 2.0]]))
    return Model(NETWORK, weights, (np.array([0.1, -0.1]), np.array([1.0, 0.0])), RANGES, "postoperative")


def saved(m: Model) -> io.BytesIO:
    stream = io.BytesIO()
    save(m, stream)
    stream.seek(0)
    return stream


def rewritten(**changes: np.ndarray | None) -> io.BytesIO:
    with np.load(saved(model())) as archive:
        arrays = {k: archive[k] for k in archive.files} | changes
    stream = io.BytesIO()
    np.savez(stream, **{k: v for k, v in arrays.items() if v is not None})
    stream.seek(0)
    return stream


def test_what_is_saved_comes_back_the_same() -> None:
    again = load(saved(model()))
    assert again.digest() == model().digest()
    assert (again.network, again.ranges, again.dataset) == (NETWORK, RANGES, "postoperative")
    assert all((a == b).all() for a, b in zip(again.weights, model().weights, strict=True))


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    save(model(), tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == saved(model()).getvalue()


def test_arrays_are_stored_as_float32_only_where_that_loses_nothing() -> None:
    with np.load(saved(model())) as archive:
        assert archive["1.conv1d.weight"].dtype == np.float64
        assert archive["4.dense.weight"].dtype == np.float32


def test_any_change_changes_the_digest() -> None:
    m, other = model(), model()
    other.weights[0][0, 0] += 1e-9
    assert m.digest() != other.digest()
    digests = {m.quantise(d, a).digest() for d in (1, 2) for a in Arithmetic}
    assert len(digests) == 4


def test_no_weight_shows_in_a_repr() -> None:
    assert repr(model()) == "<Model small: 8 weights>"
    assert repr(model().quantise(2, Arithmetic.MASKED)) == "<QuantizedModel small: 2 digits, masked>"


def test_every_problem_of_a_model_is_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Model(
            NETWORK,
            (np.zeros((2, 3)), np.full((2, 2), np.nan)),
            (np.zeros(3), np.zeros(2)),
            Ranges(("a", "b"), (0, 0), (1, 1)),
        )
    assert len(caught.value.problems) == 4
    assert "1.conv1d: weights have shape (2, 3), the layer takes (2, 2)" in str(caught.value)
    assert "4.dense: 4 weights are not finite" in str(caught.value)
    assert "2 ranges for 4 readings" in str(caught.value)


def test_a_missing_layer_is_named() -> None:
    with pytest.raises(ConfigError, match="2 linear layers, 1 arrays of weights, 1 of biases"):
        Model(NETWORK, (np.zeros((2, 2)),), (np.zeros(2),), RANGES)


def test_arrays_that_do_not_belong_are_all_listed() -> None:
    stream = rewritten(**{"1.conv1d.bias": None, "2.relu.weight": np.zeros(1), "4.dense.bias": np.zeros(2, int)})
    with pytest.raises(ConfigError) as caught:
        load(stream)
    assert len(caught.value.problems) == 3
    for part in ("1.conv1d.bias is missing", "2.relu.weight belongs to no layer", "4.dense.bias holds int64"):
        assert part in str(caught.value)


def test_pickled_arrays_are_refused() -> None:
    with pytest.raises(ConfigError, match="not a model file"):
        load(rewritten(**{"4.dense.bias": np.array([object(), object()])}))


@pytest.mark.parametrize(
    "content", [b"", b"not a zip", saved(model()).getvalue()[:-60], saved(model()).getvalue()[:300]]
)
def test_damaged_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad.npz is not a model file of pehealth"):
        load(path)


def test_a_missing_file_and_an_unknown_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.npz is not a model file"):
        load(tmp_path / "none.npz")
    head = np.frombuffer(json.dumps({"format": 9}).encode(), np.uint8)
    with pytest.raises(ConfigError, match="model format 9; this version reads 1"):
        load(rewritten(**{"model.json": head}))


def test_weights_are_floored_as_the_paper_says() -> None:
    weights = np.array([[0.3, -0.25], [1.23, 0.29]])
    one = Model(NETWORK, (weights, np.zeros((2, 2))), (np.zeros(2), np.zeros(2)), RANGES)
    assert one.quantise(1, Arithmetic.MASKED).weights[0].tolist() == [[3, -3], [12, 2]]
    assert one.quantise(2, Arithmetic.MASKED).weights[0].tolist() == [[30, -25], [123, 29]]


def test_biases_beyond_63_bits_are_encoded_in_python_s_integers() -> None:
    assert encode_bias(np.array([0.3, -0.25]), 40).tolist() == [12, -10]
    assert encode_bias(np.array([1.5, -3.0]), 10**20).tolist() == [15 * 10**19, -3 * 10**20]


def test_biases_follow_the_scale_of_their_layer() -> None:
    literal, masked = (model().quantise(2, a) for a in (Arithmetic.LITERAL, Arithmetic.MASKED))
    assert literal.weights[0].tolist() == [[30, -25], [100, 12]]
    assert literal.biases[0].tolist() == masked.biases[0].tolist() == [1000, -1000]
    assert literal.biases[1].tolist() == [3 * 10**6, 0]
    assert masked.biases[1].tolist() == [3 * 10**4, 0]
    assert (literal.logit_scale, masked.logit_scale) == (3 * 10**6, 3 * 10**4)


def test_a_weight_that_does_not_fit_names_its_layer() -> None:
    big = Model(NETWORK, (np.full((2, 2), 1e12), np.zeros((2, 2))), (np.zeros(2), np.zeros(2)), RANGES)
    with pytest.raises(RangeError, match=r"weights of 1.conv1d: 4 of 4 values cannot be encoded"):
        big.quantise(8, Arithmetic.MASKED)


def test_readings_are_floored_and_checked() -> None:
    integers = model().quantise(1, Arithmetic.MASKED)
    assert integers.encode_input(np.array([[0.0, 0.19, 0.3, 1.0]])).tolist() == [[0, 1, 3, 10]]
    with pytest.raises(RangeError, match=r"sample 1: c is outside of its range \(10 to 20\)"):
        integers.encode_input(np.array([[0, 0, 0, 0], [0, 0, 1.01, 0]]))
    with pytest.raises(RangeError, match="b is not a finite number"):
        integers.encode_input(np.array([[0, np.nan, 0, 0]]))
    with pytest.raises(ConfigError, match="3 readings a sample; small takes 4"):
        integers.encode_input(np.zeros((1, 3)))
