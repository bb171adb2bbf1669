"""The reference networks and the weights that are shipped."""

import numpy as np
import pytest

from pehealth.errors import ConfigError
from pehealth.nets import zoo

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
    with pytest.raises(ConfigError, match=r"mnist-g is no .npz file and no reference network"):
        zoo.load_model("mnist-g")
