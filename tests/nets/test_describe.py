"""The public description: shapes, JSON, digest."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.errors import ConfigError, UnsupportedLayer
from pehealth.nets import zoo
from pehealth.nets.describe import Conv1d, Conv2d, Dense, Layer, MaxPool, MeanPool, Network, Relu


def network(*layers: Layer, shape: tuple[int, ...] = (8,), classes: int = 2) -> Network:
    return Network("n", shape, layers, tuple(map(str, range(classes))))


def shapes(net: Network) -> list[tuple[int, ...]]:
    return [p.out_shape for p in net.placed]


def test_shapes_follow_from_layer_to_layer() -> None:
    net = network(Conv2d(3, (5, 5), (2, 2), (1, 1)), Relu(), MeanPool((2, 2)), Dense(2), shape=(1, 28, 28))
    assert shapes(net) == [(3, 13, 13), (3, 13, 13), (3, 6, 6), (2,)]
    assert [p.name for p in net.placed] == ["1.conv2d", "2.relu", "3.meanpool", "4.dense"]
    assert [p.name for p in net.linear_layers] == ["1.conv2d", "4.dense"]


def test_a_flat_input_is_one_channel_of_a_1d_convolution_and_one_row_of_a_pool() -> None:
    assert shapes(network(Conv1d(4, 2), MaxPool((2,)), Dense(2))) == [(4, 7), (4, 3), (2,)]
    assert shapes(network(Dense(9), MaxPool((2,)), Dense(2))) == [(9,), (4,), (2,)]


def test_a_pool_may_move_by_less_than_its_window() -> None:
    assert shapes(network(MaxPool((3, 3), (1, 2)), Dense(2), shape=(2, 5, 7)))[0] == (2, 3, 3)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_a_convolution_s_shape_is_that_of_its_window_positions(
    height: int, width: int, kernel: int, padding: int, stride: int
) -> None:
    layer = Conv2d(2, (kernel, kernel), (stride, stride), (padding, padding))
    rows = range(0, height + 2 * padding - kernel + 1, stride)
    columns = range(0, width + 2 * padding - kernel + 1, stride)
    if rows and columns:
        assert layer.out_shape((1, height, width)) == (2, len(rows), len(columns))
        linear = layer.linear_map((3, height, width))
        assert linear.window.shape == (len(rows) * len(columns), 3 * kernel * kernel)
        assert linear.real_terms == np.count_nonzero(linear.window < linear.inputs)
    else:
        with pytest.raises(UnsupportedLayer, match=r"layer 1 \(conv2d\) leaves nothing of a"):
            _ = network(layer, Dense(2), shape=(1, height, width)).placed


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (network(Dense(2), Relu()), "ends in a linear layer"),
        (network(), "ends in a linear layer"),
        (network(Dense(3)), "3 logits for 2 classes"),
        (network(Conv2d(1, (2, 2)), Dense(2)), r"layer 1 \(conv2d\) cannot take a \(8,\) input"),
        (network(MaxPool((2, 2)), Dense(2)), r"layer 1 \(maxpool\) cannot take a \(8,\) input"),
        (network(Dense(4), MaxPool((5,)), Dense(2)), r"layer 2 \(maxpool\) leaves nothing of a \(4,\) input"),
    ],
)
def test_a_network_that_cannot_be_is_refused_with_the_layer(net: Network, reason: str) -> None:
    with pytest.raises(UnsupportedLayer, match=reason):
        _ = net.placed


def test_the_geometry_of_a_layer_that_is_not_linear_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"2\.relu is not linear"):
        _ = network(Dense(4), Relu(), Dense(2)).placed[1].linear


@pytest.mark.parametrize("name", zoo.NAMES)
def test_json_reads_back_the_same(name: str) -> None:
    net = zoo.reference(name).network
    again = Network.from_json(json.loads(json.dumps(net.to_json())))
    assert again == net
    assert again.digest() == net.digest()


def test_any_public_change_changes_the_digest() -> None:
    nets = [
        network(Dense(4), Relu(), Dense(2)),
        network(Dense(5), Relu(), Dense(2)),
        network(Dense(4), Dense(2)),
        network(Dense(4), Relu(), Dense(2), shape=(2, 4)),
        Network("n", (8,), (Dense(4), Relu(), Dense(2)), ("0", "2")),
        Network("m", (8,), (Dense(4), Relu(), Dense(2)), ("0", "1")),
    ]
    assert len({net.digest() for net in nets}) == len(nets)


def test_every_bad_entry_of_a_description_is_listed() -> None:
    bad = {
        "name": "n",
        "input": [8],
        "layers": [{"kind": "dense"}, {"kind": "softmax"}, {"units": 3}, {"kind": "dense", "units": 2, "bias": 1}],
    }
    with pytest.raises(ConfigError) as caught:
        Network.from_json(bad)
    assert len(caught.value.problems) == 5
    assert "layer 2: unknown kind 'softmax'; known: add, conv1d, conv2d" in str(caught.value)
    assert "classes is missing" in str(caught.value)


def test_dense_flattens_its_input_channel_by_channel() -> None:
    placed = network(Dense(2), shape=(2, 2, 3)).placed[0]
    x = np.arange(12)[None]
    w = np.vstack([np.arange(12), np.ones(12, int)])
    assert placed.linear.apply(w, x.reshape(1, 12)).tolist() == [[int((np.arange(12) ** 2).sum()), 66]]
