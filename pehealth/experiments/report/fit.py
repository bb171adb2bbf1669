"""Training of the small networks in numpy, for repeated splits: nobody who reads a report should need torch.

The recipe is that of `scripts/train.py` (AdamW, one-cycle rate, half of the loss at d = 1, a moving average of the
weights), without images. It is for dense networks, with a 1-D convolution in front at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pehealth.crypto.prg import Prg
from pehealth.data.dataset import Labels
from pehealth.data.ranges import Floats
from pehealth.errors import UnsupportedLayer
from pehealth.nets.describe import LINEAR, MaxPool, Network, Relu
from pehealth.nets.oracle import windows

Pairs = list[tuple[Floats, Floats]]
"""Weights (out_channels, fan_in) and biases of each linear layer."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: the meaning of every field is that of `scripts/train_torch.py`."""

    epochs: int
    batch: int
    rate: float = 1e-2
    decay: float = 1e-3
    coarse: float = 0.5
    balance: float = 0.0
    limit: float = 2.0


def train(network: Network, features: Floats, labels: Labels, recipe: Recipe, seed: int) -> Pairs:
    """Return weights after training on all of features (n, readings); repeatable for a seed.

    Raises:
        UnsupportedLayer: the network has other layers than this trains.
    """
    rng = Prg.insecure_seed(seed)
    pairs = list(initial(network, rng))
    counts = np.maximum(np.bincount(labels, minlength=len(network.classes)), 1)
    weight = (counts.mean() / counts) ** recipe.balance
    flat = [array for pair in pairs for array in pair]
    average, first, second = ([a.copy() for a in flat], [a * 0 for a in flat], [a * 0 for a in flat])
    steps = math.ceil(len(features) / recipe.batch)
    at, total = 0, steps * recipe.epochs
    for _ in range(recipe.epochs):
        order = np.argsort(rng.words64(len(features)))
        for part in np.array_split(order, steps):
            at += 1
            grads = loss_gradients(network, pairs, features[part], labels[part], weight, recipe.coarse)
            rate = recipe.rate * one_cycle(at / total)
            for value, grad, m, v, mean in zip(flat, grads, first, second, average, strict=True):
                m += 0.1 * (grad - m)
                v += 0.001 * (grad * grad - v)
                step = m / (1 - 0.9**at) / (np.sqrt(v / (1 - 0.999**at)) + 1e-8)
                value -= rate * (step + recipe.decay * value)
                if value.ndim > 1:
                    np.clip(value, -recipe.limit, recipe.limit, out=value)
                mean += (value - mean) / (2 * steps)
    return list(zip(average[::2], average[1::2], strict=True))


def initial(network: Network, rng: Prg) -> Iterator[tuple[Floats, Floats]]:
    """Yield He-initialised weights and zero biases, by Box and Muller's transform."""
    for placed in network.linear_layers:
        shape = placed.linear.weight_shape
        u, v = ((rng.words64(shape) + 0.5) / 2.0**64 for _ in range(2))
        normal = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
        yield normal * math.sqrt(2 / shape[1]), np.zeros(shape[0])


def one_cycle(done: float) -> float:
    """Return the rate's factor: up from 1/25 in the first fifth, then down to nearly 0, both along a cosine."""
    if done < 0.2:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * done / 0.2)) / 2
    return 1e-4 + (1 + math.cos(math.pi * (done - 0.2) / 0.8)) / 2


def loss_gradients(
    network: Network, pairs: Pairs, x: Floats, labels: Labels, weight: Floats, coarse: float
) -> list[Floats]:
    """Return the gradients, weights and biases in turn, of the weighted cross entropy in floats and at d = 1."""
    fine = gradients(network, pairs, x, labels, weight)
    tenths = [(np.floor(w * 10) / 10, b) for w, b in pairs]
    rough = gradients(network, tenths, np.floor(x * 10) / 10, labels, weight)
    return [(1 - coarse) * a + coarse * b for a, b in zip(fine, rough, strict=True)]


def gradients(network: Network, pairs: Pairs, x: Floats, labels: Labels, weight: Floats) -> list[Floats]:
    """Return the gradients of the weighted cross entropy, weights and biases in turn."""
    inputs, given = [], iter(pairs)
    x = x.reshape(len(x), -1)
    for placed in network.placed:
        inputs.append(x)
        if isinstance(placed.layer, LINEAR):
            w, b = next(given)
            x = placed.linear.add_bias(placed.linear.apply(w, x), b)
        elif isinstance(placed.layer, Relu):
            x = np.maximum(x, 0)
        elif isinstance(placed.layer, MaxPool):
            x = windows(x, placed).max(axis=-1)
        else:
            raise UnsupportedLayer(f"{placed.name}: this training knows dense, conv1d, relu and maxpool")
    return backward(network, pairs, inputs, entropy_slope(x, labels, weight))


def entropy_slope(logits: Floats, labels: Labels, weight: Floats) -> Floats:
    """Return the gradient of the weighted mean cross entropy with respect to the logits."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    odds[np.arange(len(labels)), labels] -= 1
    each = weight[labels]
    return np.asarray(odds * (each / each.sum())[:, None], np.float64)


def backward(network: Network, pairs: Pairs, inputs: Sequence[Floats], slope: Floats) -> list[Floats]:
    """Return the gradients, given every layer's input and the slope at the logits."""
    out: list[Floats] = []
    left = list(pairs)
    for placed, x in zip(reversed(network.placed), reversed(inputs), strict=True):
        if isinstance(placed.layer, LINEAR):
            w, _ = left.pop()
            geometry = placed.linear
            maps = slope.reshape(len(x), geometry.out_channels, geometry.positions)
            columns = geometry.columns(x)
            out += [maps.sum(axis=(0, 2)), np.einsum("bop,bpf->of", maps, columns, optimize=True)]
            if left:  # nothing trains the readings
                slope = into_inputs(placed.linear.is_dense, slope, w, placed.name)
        elif isinstance(placed.layer, Relu):
            slope = slope * (x > 0)
        else:
            slope = into_winners(windows(x, placed), slope, x.shape)
    return out[::-1]


def into_inputs(dense: bool, slope: Floats, w: Floats, name: str) -> Floats:
    """Return the slope at a dense layer's inputs."""
    if not dense:
        raise UnsupportedLayer(f"{name}: this training takes a convolution as the first layer only")
    return slope @ w


def into_winners(seen: Floats, slope: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the slope at a max pool's inputs, for windows that lie side by side and fill the input."""
    won = np.arange(seen.shape[2]) == seen.argmax(axis=2)[:, :, None]
    return np.asarray(won * slope[:, :, None], np.float64).reshape(shape)
