"""Training in torch: a network built from its description, and a loss that has ten-to-the-d integers in view."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pehealth.nets.describe import Conv1d, Conv2d, Dense, MaxPool, MeanPool, Network, Placed, Relu

Parameters = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes:
        epochs, batch, rate, decay: AdamW with a one-cycle rate.
        coarse: weight of the loss at d = 1, as the paper's engine computes it (weights and readings in tenths,
            floored); the rest of the loss is in floats.
        augment: how far to shift, turn and stretch the images: 1 is up to 2 pixels, 12 degrees, 10 %; 0 not at all.
        balance: weigh classes by 1 / frequency^balance.
        limit: weights are kept within -limit..limit.
        seed: of weights, order and augmentation.
    """

    epochs: int
    batch: int = 64
    rate: float = 3e-3
    decay: float = 1e-4
    coarse: float = 0.5
    augment: float = 0.0
    balance: float = 0.0
    limit: float = 4.0
    seed: int = 1


def initial(network: Network, generator: torch.Generator) -> Parameters:
    """Return He-initialised weights (out_channels, fan_in) and zero biases, one pair a linear layer."""
    pairs = []
    for placed in network.linear_layers:
        rows, fan_in = placed.linear.weight_shape
        w = torch.randn(rows, fan_in, generator=generator) * math.sqrt(2 / fan_in)
        pairs.append((w.requires_grad_(), torch.zeros(rows, requires_grad=True)))
    return pairs


def forward(network: Network, parameters: Parameters, x: Tensor, digits: int | None = None) -> Tensor:
    """Return the logits; with `digits`, of readings and weights floored to that many (gradients pass through)."""
    pairs = iter(parameters)
    if digits is not None:
        x = floored(x, digits)
    for placed in network.placed:
        if isinstance(placed.layer, Dense | Conv1d | Conv2d):
            w, b = next(pairs)
            x = _linear(placed, x, w if digits is None else floored(w, digits), b)
        elif isinstance(placed.layer, Relu):
            x = functional.relu(x)
        else:
            x = _pool(placed, x)
    return x


def floored(x: Tensor, digits: int) -> Tensor:
    """Return floor(x * 10^digits) / 10^digits with the gradient of x."""
    unit = 10.0**digits
    return x + (torch.floor(x * unit) / unit - x).detach()


def _linear(placed: Placed, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    geometry = placed.linear
    if isinstance(placed.layer, Dense):
        return functional.linear(x.flatten(1), w, b)
    kernel = w.reshape(geometry.out_channels, geometry.in_shape[0], *geometry.kernel)
    z = functional.conv2d(x.reshape(len(x), *geometry.in_shape), kernel, b, geometry.stride, geometry.padding)
    return z.reshape(len(x), *placed.out_shape)


def _pool(placed: Placed, x: Tensor) -> Tensor:
    if not isinstance(placed.layer, MaxPool | MeanPool):
        raise TypeError(placed.name)
    lead = len(placed.in_shape) - len(placed.layer.window)
    x = x.reshape(len(x), *((1,) if lead == 0 else ()), *placed.in_shape)
    one = len(placed.layer.window) == 1
    if isinstance(placed.layer, MaxPool):
        pool = functional.max_pool1d if one else functional.max_pool2d
    else:
        pool = functional.avg_pool1d if one else functional.avg_pool2d
    return pool(x, placed.layer.window, placed.layer.steps).reshape(len(x), *placed.out_shape)


def augmented(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Return images (batch, 1, 28, 28) each turned, sheared, stretched and shifted at random."""

    def uniform(limit: float) -> Tensor:
        return (torch.rand(len(x), generator=generator) * 2 - 1) * limit * strength

    angle, shear = uniform(math.radians(12)), uniform(0.15)
    width, height = 1 + uniform(0.1), 1 + uniform(0.1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        torch.stack([cos * width, (shear * cos - sin) * height, uniform(2 / 14)], 1),
        torch.stack([sin * width, (shear * sin + cos) * height, uniform(2 / 14)], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False).clamp(0, 1)


def train(
    network: Network, features: np.ndarray, labels: np.ndarray, recipe: Recipe, report: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return float64 weights and biases (values of float32) after training on all of `features`."""
    generator = torch.Generator().manual_seed(recipe.seed)
    x, y = torch.from_numpy(features).float(), torch.from_numpy(labels)
    parameters = initial(network, generator)
    flat = [t for pair in parameters for t in pair]
    average = [t.detach().clone() for t in flat]
    steps = math.ceil(len(x) / recipe.batch)
    optimiser = torch.optim.AdamW(flat, lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, recipe.epochs * steps, pct_start=0.2)
    counts = torch.bincount(y, minlength=len(network.classes)).clamp(min=1).float()
    weight = counts.mean() ** recipe.balance / counts**recipe.balance
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(x), generator=generator)
        total = 0.0
        for part in order.split(recipe.batch):
            batch = augmented(x[part], recipe.augment, generator) if recipe.augment else x[part]
            loss = _loss(network, parameters, batch, y[part], weight, recipe.coarse)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(part)
            _settle(parameters, average, recipe.limit, 1 - 1 / (2 * steps))
        if report and (epoch + 1) % report == 0:
            print(f"  epoch {epoch + 1}/{recipe.epochs}: loss {total / len(x):.4f}", flush=True)
    arrays = [t.numpy().astype(np.float64) for t in average]
    return arrays[::2], arrays[1::2]


def _loss(network: Network, parameters: Parameters, x: Tensor, y: Tensor, weight: Tensor, coarse: float) -> Tensor:
    loss = torch.zeros(())
    if coarse < 1:
        loss = loss + (1 - coarse) * functional.cross_entropy(forward(network, parameters, x), y, weight)
    if coarse > 0:
        loss = loss + coarse * functional.cross_entropy(forward(network, parameters, x, 1), y, weight)
    return loss


def _settle(parameters: Parameters, average: list[Tensor], limit: float, keep: float) -> None:
    """Keep weights in range, and follow them with a moving average, which is what is shipped."""
    with torch.no_grad():
        for w, _ in parameters:
            w.clamp_(-limit, limit)
        for mean, now in zip(average, (t for pair in parameters for t in pair), strict=True):
            mean.lerp_(now, 1 - keep)
