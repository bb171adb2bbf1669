"""The integer oracle against plain Python, element by element; the float one against the definition."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.crypto.linear import Ints, pool_windows
from pehealth.crypto.prg import Prg
from pehealth.data.ranges import Ranges
from pehealth.errors import ConfigError, RangeError
from pehealth.nets.bounds import check_ring, ring_bits, value_bounds
from pehealth.nets.describe import Conv1d, Conv2d, Dense, Layer, MaxPool, MeanPool, Network, Placed, Relu
from pehealth.nets.last import softmax
from pehealth.nets.oracle import (
    apply_exact,
    first_difference,
    float_reference,
    ideal,
    predictions,
)
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import Model, QuantizedModel

UNIT = Ranges(("reading",), (0.0,), (1.0,))


def uniform(seed: int, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
    count = int(np.prod(shape))
    words = np.frombuffer(Prg.insecure_seed(seed).bytes(8 * count), np.uint64)
    return low + (high - low) * (words / 2.0**64).reshape(shape)


def random_model(network: Network, seed: int = 0, size: float = 1.0) -> Model:
    shapes = [p.linear.weight_shape for p in network.linear_layers]
    weights = tuple(size * uniform(seed + i, s) for i, s in enumerate(shapes))
    biases = tuple(size * uniform(seed + 100 + i, s[:1]) for i, s in enumerate(shapes))
    return Model(network, weights, biases, UNIT)


def tiny(*layers: Layer, shape: tuple[int, ...] = (6,), classes: int = 3) -> Network:
    return Network("tiny", shape, layers, tuple("abcdefgh"[:classes]))


NETWORKS = {
    "dense": tiny(Dense(5), Relu(), Dense(3)),
    "maxpool": tiny(Dense(6), Relu(), MaxPool((2,)), Dense(4), Relu(), Dense(3)),
    "conv1d": tiny(Conv1d(2, 3, stride=2, padding=1), Relu(), Dense(3)),
    "meanpool": tiny(Conv2d(2, (3, 3), padding=(1, 1)), MeanPool((2, 2)), Relu(), Dense(3), shape=(1, 5, 4)),
    "overlap": tiny(Conv2d(2, (2, 3), (2, 1), (0, 1)), MaxPool((2, 2), (1, 2)), Relu(), Dense(3), shape=(2, 6, 5)),
}


def by_hand(model: QuantizedModel, sample: list[int]) -> list[list[int]]:
    """Every layer's output in Python integers, one element after the other, sharing no code with the oracle."""
    outputs, values, pairs = [], sample, iter(zip(model.weights, model.biases, strict=True))
    for step in model.steps:
        placed = step.layer
        if isinstance(placed.layer, Dense | Conv1d | Conv2d):
            w, b = next(pairs)
            values = hand_linear(placed, w, b, values)
        elif isinstance(placed.layer, Relu):
            values = [max(0, v) // (step.divisor or 1) for v in values]
        else:
            values = hand_pool(placed, values)
        outputs.append(values)
    return outputs


def hand_linear(placed: Placed, w: Ints, b: Ints, values: list[int]) -> list[int]:
    if isinstance(placed.layer, Dense):
        return [sum(int(a) * v for a, v in zip(row, values, strict=True)) + int(c) for row, c in zip(w, b, strict=True)]
    geometry = placed.linear
    (channels, height, width), (maps, rows, columns) = geometry.in_shape, geometry.out_shape
    out = []
    for m in range(maps):
        for r in range(rows):
            for c in range(columns):
                total, at = int(b[m]), 0
                for channel in range(channels):
                    for i in range(geometry.kernel[0]):
                        for j in range(geometry.kernel[1]):
                            y = r * geometry.stride[0] + i - geometry.padding[0]
                            x = c * geometry.stride[1] + j - geometry.padding[1]
                            if 0 <= y < height and 0 <= x < width:
                                total += int(w[m, at]) * values[(channel * height + y) * width + x]
                            at += 1
                out.append(total)
    return out


def hand_pool(placed: Placed, values: list[int]) -> list[int]:
    layer = placed.layer
    assert isinstance(layer, MaxPool | MeanPool)
    shape = (1,) * (3 - len(placed.in_shape)) + placed.in_shape
    window = (1,) * (2 - len(layer.window)) + layer.window
    steps = (1,) * (2 - len(layer.steps)) + layer.steps
    combine = max if isinstance(layer, MaxPool) else sum
    return [
        combine(values[(c * shape[1] + y + i) * shape[2] + x + j] for i in range(window[0]) for j in range(window[1]))
        for c in range(shape[0])
        for y in range(0, shape[1] - window[0] + 1, steps[0])
        for x in range(0, shape[2] - window[1] + 1, steps[1])
    ]


@pytest.mark.parametrize("arithmetic", Arithmetic)
@pytest.mark.parametrize("digits", [1, 2, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_integer_oracle_equals_the_sum_written_out_by_hand(name: str, digits: int, arithmetic: Arithmetic) -> None:
    model = random_model(NETWORKS[name]).quantise(digits, arithmetic)
    x = model.encode_input(uniform(7, (4, *NETWORKS[name].input_shape), 0.0))
    run = ideal(model, x)
    expected = [by_hand(model, [int(v) for v in sample]) for sample in x]
    for index, layer in enumerate(run.layers):
        assert layer.tolist() == [sample[index] for sample in expected]


def test_integers_too_large_for_64_bits_are_computed_in_python_s() -> None:
    network = tiny(Dense(5), Relu(), MeanPool((2,)), Dense(4), Relu(), Dense(3))
    model = random_model(network, size=300.0).quantise(5, Arithmetic.LITERAL)
    x = model.encode_input(uniform(8, (3, 6), 0.0))
    run = ideal(model, x)
    assert run.logits.dtype == object
    assert run.logits.tolist() == [by_hand(model, [int(v) for v in sample])[-1] for sample in x]


@given(st.integers(1, 2**31), st.integers(1, 2**40))
def test_a_linear_layer_is_exact_whatever_the_size_of_its_integers(weight: int, value: int) -> None:
    placed = tiny(Dense(1), classes=1).placed[0]
    w, x = np.full((1, 6), weight, np.int64), np.full((1, 6), value, np.int64)
    w[0, 0], x[0, 1] = -weight, value - 1
    assert apply_exact(placed.linear, w, x).tolist() == [[-weight * value + weight * (value - 1) + 4 * weight * value]]


def test_the_float_run_is_what_the_integers_approach() -> None:
    for network in NETWORKS.values():
        model = random_model(network)
        x = uniform(9, (5, *network.input_shape), 0.0)
        exact = float_reference(model, x)
        for arithmetic in Arithmetic:
            integers = model.quantise(9, arithmetic)
            run = ideal(integers, integers.encode_input(x))
            for layer, scale, real in zip(run.layers, run.scales, exact.layers, strict=True):
                approached = [[float(Fraction(int(v), scale)) for v in row] for row in layer]
                np.testing.assert_allclose(approached, real, atol=1e-6)


def test_a_batch_gives_what_its_samples_give_alone() -> None:
    model = random_model(NETWORKS["overlap"]).quantise(3, Arithmetic.MASKED)
    x = model.encode_input(uniform(10, (600, 2, 6, 5), 0.0))
    whole = ideal(model, x).logits
    assert (whole == np.concatenate([ideal(model, x[i : i + 200]).logits for i in (0, 200, 400)])).all()


def test_equal_logits_give_the_lowest_class() -> None:
    assert predictions(np.array([[3, 5, 5], [7, 7, 7], [1, 2, 3]])).tolist() == [1, 0, 2]


def test_softmax_undoes_the_scale_and_survives_large_logits() -> None:
    probabilities = softmax(np.array([[1000, 0], [10**9, 10**9]]), 1000)
    np.testing.assert_allclose(probabilities, [[1 / (1 + np.exp(-1)), 1 / (1 + np.e)], [0.5, 0.5]], rtol=1e-12)


def test_the_first_layer_that_differs_is_named() -> None:
    network = NETWORKS["dense"]
    model = random_model(network).quantise(3, Arithmetic.MASKED)
    run = ideal(model, model.encode_input(uniform(11, (2, 6), 0.0)))
    assert first_difference(network, run, run) is None
    other = type(run)((run.layers[0], run.layers[1] + 1, run.layers[2] + 1), run.scales)
    assert first_difference(network, run, other) == "2.relu"


def test_pool_windows_are_listed_row_by_row() -> None:
    assert pool_windows((6,), (2,), (2,)).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert pool_windows((1, 3, 4), (2, 2), (2, 2)).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert pool_windows((2, 3), (2,), (1,)).tolist() == [[0, 1], [1, 2], [3, 4], [4, 5]]


def test_a_wrong_number_of_readings_is_refused() -> None:
    model = random_model(NETWORKS["dense"]).quantise(2, Arithmetic.MASKED)
    with pytest.raises(ConfigError, match="5 readings a sample; tiny takes 6"):
        ideal(model, np.zeros((2, 5), np.int64))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(NETWORKS)), st.sampled_from(list(Arithmetic)), st.integers(0, 1000), st.integers(1, 4))
def test_no_value_leaves_its_bound(name: str, arithmetic: Arithmetic, seed: int, digits: int) -> None:
    network = NETWORKS[name]
    model = random_model(network, seed).quantise(digits, arithmetic)
    extremes = np.round(uniform(seed + 1, (16, *network.input_shape), 0.0))
    run = ideal(model, model.encode_input(extremes))
    for bound, layer in zip(value_bounds(model), run.layers, strict=True):
        assert bound.low <= layer.min()
        assert layer.max() <= bound.high


def test_the_bound_of_one_linear_layer_is_reached() -> None:
    network = tiny(Dense(3))
    model = random_model(network).quantise(4, Arithmetic.MASKED)
    (bound,) = value_bounds(model)
    w, b = model.weights[0], model.biases[0]
    highest = ideal(model, np.where(w > 0, 10**4, 0)).logits
    lowest = ideal(model, np.where(w < 0, 10**4, 0)).logits
    assert (bound.low, bound.high) == (lowest.min(), highest.max())
    assert bound.product == max(abs((lowest - b).min()), (highest - b).max())


def test_a_rescale_is_bounded_by_its_ceiling_and_slack_is_added() -> None:
    network = tiny(Dense(1), Relu(), Dense(1), shape=(1,), classes=1)
    model = Model(network, (np.array([[1.5]]), np.array([[1.0]])), (np.array([0.001]), np.zeros(1)), UNIT)
    integers = model.quantise(1, Arithmetic.MASKED)
    assert [b.high for b in value_bounds(integers, high=7)] == [105, 11, 110]
    assert [b.high for b in value_bounds(integers, high=7, slack=6)] == [111, 12, 126]


def test_a_ring_that_is_too_narrow_is_refused_with_the_layer_s_name() -> None:
    bounds = value_bounds(random_model(NETWORKS["maxpool"]).quantise(4, Arithmetic.MASKED))
    bits = ring_bits(bounds)
    check_ring(bounds, bits)
    with pytest.raises(RangeError, match=rf"\d\.\w+ reaches \d+ in magnitude and needs {bits} bits"):
        check_ring(bounds, bits - 1)
    assert max(b.magnitude for b in bounds) < 2 ** (bits - 2) <= 2 * max(b.magnitude for b in bounds)
