"""The reference networks and the weights that are shipped."""

import numpy as np
import pytest

from pehealth.data import catalog
from pehealth.data.dataset import Dataset
from pehealth.errors import ConfigError
from pehealth.nets import zoo
from pehealth.nets.bounds import ring_bits, value_bounds
from pehealth.nets.oracle import ideal, predictions
from pehealth.nets.scales import Arithmetic

OUTPUTS = {
    "postop-a": [40, 40, 20, 20, 20, 3],
    "postop-b": [28, 28, 3],
    "wearable-c": [40, 40, 20, 20, 20, 4],
    "wearable-d": [21, 21, 4],
    "mnist-e": [845, 845, 180, 10],
    "mnist-f": [980, 980, 100, 100, 10],
    "clinic": [16, 16, 2],
    "cryptonets": [845, 845, 100, 100, 10],
}


def test_the_eight_networks_have_the_layers_of_the_design() -> None:
    sizes = {name: [p.outputs for p in zoo.reference(name).network.placed] for name in zoo.NAMES}
    assert sizes == OUTPUTS


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_shipped_model_fits_its_reference(name: str) -> None:
    known, model = zoo.reference(name), zoo.load_model(name)
    assert (model.network, model.ranges, model.dataset) == (known.network, known.ranges, known.dataset)
    assert max(np.abs(w).max() for w in model.weights) <= 4


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no reference network 'mnist-g'; known: postop-a, .*cryptonets"):
        zoo.reference("mnist-g")
    with pytest.raises(ConfigError, match=r"mnist-g is no .npz or .onnx file and no reference network"):
        zoo.load_model("mnist-g")


RIGHT = {
    # network: right answers of its test samples at d = 1, 2, 4, literal then masked; integers, so exact anywhere
    "clinic": (171, [165, 166, 167, 166, 166, 167]),
    "mnist-e": (5000, [4903, 4902, 4896, 4896, 4902, 4896]),
    "mnist-f": (5000, [4952, 4958, 4954, 4948, 4959, 4954]),
    "cryptonets": (5000, [4942, 4956, 4957, 4943, 4957, 4957]),
}


def right_answers(name: str, data: Dataset) -> tuple[int, list[int]]:
    model = zoo.load_model(name)
    x, labels = data.features[data.test], data.labels[data.test]
    counts = []
    for arithmetic in Arithmetic:
        for digits in (1, 2, 4):
            integers = model.quantise(digits, arithmetic)
            run = ideal(integers, integers.encode_input(x))
            counts.append(int((predictions(run.logits) == labels).sum()))
    return len(labels), counts


def test_the_shipped_clinic_network_is_as_accurate_as_documented() -> None:
    assert right_answers("clinic", catalog.load("clinic")) == RIGHT["clinic"]


@pytest.mark.slow
def test_the_shipped_mnist_networks_are_as_accurate_as_documented() -> None:
    digits = catalog.load("mnist-few")
    for name in ("mnist-e", "mnist-f", "cryptonets"):
        assert right_answers(name, digits) == RIGHT[name]


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_network_fits_40_bits_at_four_digits(name: str) -> None:
    model = zoo.load_model(name)
    spare = int("maxpool" in {p.kind for p in model.network.placed})
    assert ring_bits(value_bounds(model.quantise(4, Arithmetic.MASKED)), spare) <= 40
    assert ring_bits(value_bounds(model.quantise(1, Arithmetic.LITERAL)), 0) <= 31
