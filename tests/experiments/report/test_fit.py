"""Training in numpy: gradients against differences, and a network that learns."""

from __future__ import annotations

import numpy as np
import pytest

from pehealth.crypto.prg import Prg
from pehealth.errors import UnsupportedLayer
from pehealth.experiments.report import fit
from pehealth.nets import zoo
from pehealth.nets.describe import Conv1d, Dense, MaxPool, MeanPool, Network, Relu

NETS = {
    "dense and pool": Network("n", (6,), (Dense(8), Relu(), MaxPool((2,)), Dense(4), Relu(), Dense(3)), tuple("abc")),
    "conv": Network("n", (6,), (Conv1d(3, 2), Relu(), Dense(3)), tuple("abc")),
}


def loss(network: Network, pairs: fit.Pairs, x: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> float:
    given = iter(pairs)
    for placed in network.placed:
        if isinstance(placed.layer, Dense | Conv1d):
            w, b = next(given)
            x = placed.linear.add_bias(placed.linear.apply(w, x), b)
        elif isinstance(placed.layer, Relu):
            x = np.maximum(x, 0)
        else:
            x = x.reshape(len(x), -1, 2).max(axis=2)
    log = x - x.max(axis=1, keepdims=True)
    log -= np.log(np.exp(log).sum(axis=1, keepdims=True))
    each = weight[labels]
    return float(-(each * log[np.arange(len(labels)), labels]).sum() / each.sum())


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_the_loss(name: str) -> None:
    network, rng = NETS[name], Prg.insecure_seed(4)
    pairs = list(fit.initial(network, rng))
    x = rng.words64((9, 6)) / 2.0**64
    labels, weight = rng.below(9, 3).astype(np.int64), np.array([1.0, 2.0, 0.5])
    found = fit.gradients(network, pairs, x, labels, weight)
    flat = [array for pair in pairs for array in pair]
    assert [g.shape for g in found] == [a.shape for a in flat]
    for array, gradient in zip(flat, found, strict=True):
        for place in np.ndindex(array.shape):
            kept, step = array[place], 1e-6
            array[place] = kept + step
            above = loss(network, pairs, x, labels, weight)
            array[place] = kept - step
            below = loss(network, pairs, x, labels, weight)
            array[place] = kept
            assert gradient[place] == pytest.approx((above - below) / (2 * step), abs=1e-7)


def test_a_network_learns_and_a_seed_repeats_it() -> None:
    rng = Prg.insecure_seed(5)
    x = rng.words64((400, 6)) / 2.0**64
    labels = (x[:, 0] > 0.5).astype(np.int64) * (1 + (x[:, 5] > 0.5))
    recipe = fit.Recipe(epochs=60, batch=50, coarse=0.2)
    pairs, again = (fit.train(NETS["conv"], x, labels, recipe, seed=1) for _ in range(2))
    assert all(
        np.array_equal(a, b) for one, two in zip(pairs, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    model_logits = x
    for placed, (w, b) in zip(NETS["conv"].linear_layers, pairs, strict=True):
        model_logits = placed.linear.add_bias(placed.linear.apply(w, np.maximum(model_logits, 0)), b)
    assert np.mean(model_logits.argmax(axis=1) == labels) > 0.85
    assert max(np.abs(w).max() for w, _ in pairs) <= recipe.limit


@pytest.mark.parametrize(
    "layers",
    [(Dense(4), Relu(), MeanPool((2,)), Dense(3)), (Dense(6), Relu(), Conv1d(2, 2), Relu(), Dense(3))],
)
def test_what_it_cannot_train_it_refuses(layers: tuple[object, ...]) -> None:
    network = Network("n", (6,), layers, tuple("abc"))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedLayer, match="this training"):
        fit.train(network, np.ones((4, 6)), np.zeros(4, np.int64), fit.Recipe(1, 4), 1)


def test_the_small_reference_networks_can_be_trained() -> None:
    for name in ("postop-a", "postop-b", "wearable-c", "wearable-d"):
        network = zoo.reference(name).network
        pairs = fit.train(network, np.ones((4, 8)) / 2, np.zeros(4, np.int64), fit.Recipe(1, 4), 1)
        assert [w.shape for w, _ in pairs] == [p.linear.weight_shape for p in network.linear_layers]
