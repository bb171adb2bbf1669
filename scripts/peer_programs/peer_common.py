"""What the peers' programs share. numpy and the standard library alone: each runs in its peer's own environment.

    PYTHON peer_NAME.py JOB.json RANK

The job says where everyone listens, which weights and images to take, and how often; the program leaves what it
measured in the job's folder. Times are of the monotonic clock, which all processes of a machine share. Rank 0 owns the
model, rank 1 the images.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MODEL_OWNER, IMAGE_OWNER = 0, 1
KERNEL, STRIDE, PADDING, SIDE, MAPS = 5, 2, 1, 28, 5
PADDED = SIDE + 2 * PADDING
OUT = (PADDED - KERNEL) // STRIDE + 1


def relu(x: Floats) -> Floats:
    """Return max(x, 0)."""
    return np.maximum(x, 0)


@dataclass(frozen=True)
class Net:
    """The network `cryptonets`: convolution, ReLU, dense, ReLU, dense. Weights (outputs, inputs), biases (outputs,)."""

    conv: Floats
    conv_bias: Floats
    dense1: Floats
    bias1: Floats
    dense2: Floats
    bias2: Floats

    @classmethod
    def load(cls, file: str) -> Net:
        """Return the weights in an .npz file of six arrays."""
        with np.load(file, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in cls.__annotations__})

    def zeros(self) -> Net:
        """Return a network of the same shape that holds nothing, for who may know no more."""
        return Net(**{name: np.zeros_like(array) for name, array in vars(self).items()})

    def plain(self, images: Floats, activation: Callable[[Floats], Floats] = relu) -> Floats:
        """Return the logits (batch, 10) in the clear: what everyone is compared with."""
        maps = activation(windows(pad(images)) @ self.conv.T + self.conv_bias)
        hidden = maps.transpose(0, 2, 1).reshape(len(images), -1)
        hidden = activation(hidden @ self.dense1.T + self.bias1)
        return hidden @ self.dense2.T + self.bias2


@dataclass(frozen=True)
class Parabolas:
    """A network with parabolas in the place of ReLU, written so that each activation is a square and nothing else.

    c2 x^2 + c1 x + c0 = (a x + b)^2 + c, with `a` and `b` moved into the layer before and `c` into the bias after it.
    """

    net: Net

    @classmethod
    def of(cls, net: Net, images: Floats) -> Parabolas:
        """Return `net` with the parabolas nearest to ReLU, in the mean of squares, for normally distributed values.

        Args:
            net: with ReLU.
            images: (batch, 28, 28); the spread of a layer's values is that on these images.
        """
        before = windows(pad(images)) @ net.conv.T + net.conv_bias
        a1, b1, c1 = square(_spread(before))
        hidden = np.maximum(before, 0).transpose(0, 2, 1).reshape(len(images), -1)
        a2, b2, c2 = square(_spread(hidden @ net.dense1.T + net.bias1))
        bias1 = net.bias1 + c1 * net.dense1.sum(axis=1)
        return cls(
            Net(
                a1 * net.conv, a1 * net.conv_bias + b1,
                a2 * net.dense1, a2 * bias1 + b2,
                net.dense2, net.bias2 + c2 * net.dense2.sum(axis=1),
            )
        )  # fmt: skip

    def plain(self, images: Floats) -> Floats:
        """Return the logits (batch, 10) in the clear."""
        return self.net.plain(images, np.square)


def square(spread: float) -> tuple[float, float, float]:
    """Return (a, b, c) such that (a x + b)^2 + c is the least-squares parabola to ReLU under N(0, spread^2)."""
    root = math.sqrt(8 * math.pi)
    a = 1 / math.sqrt(spread * root)
    b = 1 / (4 * a)
    return a, b, spread / root - b * b


def _spread(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


@dataclass(frozen=True)
class Query:
    """One inference of a batch: from sharing the images to opened logits, and what was done for it beforehand."""

    began: float
    ended: float
    offline: float = 0.0


@dataclass
class Measured:
    """What one party measured.

    Attributes:
        setup: seconds from the first connection to the shared model; libraries are loaded before.
        queries: in order.
        logits: of the last query; empty at a party that learns none.
        rounds: as the peer itself counts them, if it does.
        versions: of what ran.
    """

    setup: float = 0.0
    queries: list[Query] = field(default_factory=list)
    logits: list[list[float]] = field(default_factory=list)
    rounds: int | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What a program is told; `variant` chooses among the peer's protocols."""

    folder: str
    hosts: list[str]
    port: int
    device: str
    weights: str
    images: str
    variant: str
    queries: int
    rank: int

    @classmethod
    def read(cls) -> Job:
        """Return the job that the command line names."""
        return cls(**json.loads(Path(sys.argv[1]).read_text()), rank=int(sys.argv[2]))

    @property
    def addresses(self) -> list[str]:
        """Return "host:port" of each rank, each with a port of its own."""
        return [f"{host}:{self.port + rank}" for rank, host in enumerate(self.hosts)]

    def net(self) -> Net:
        """Return the model at its owner, zeros of its shape elsewhere."""
        net = Net.load(self.weights)
        return net if self.rank == MODEL_OWNER else net.zeros()

    def batch(self) -> Floats:
        """Return the images (batch, 28, 28) at their owner, zeros elsewhere."""
        images: Floats = np.load(self.images, allow_pickle=False)
        return images if self.rank == IMAGE_OWNER else np.zeros_like(images)

    def leave(self, measured: Measured) -> None:
        """Write what was measured."""
        Path(self.folder, f"rank{self.rank}.json").write_text(json.dumps(asdict(measured)))


def pad(images: Floats) -> Floats:
    """Return (batch, 28, 28) with a border of zeros, flat: (batch, 900)."""
    width = ((0, 0), (PADDING, PADDING), (PADDING, PADDING))
    return np.pad(images, width).reshape(len(images), -1)


def window_index() -> NDArray[np.intp]:
    """Return which pixels of a padded, flat image each of the 169 windows holds: (169, 25)."""
    corner = STRIDE * (PADDED * np.arange(OUT)[:, None] + np.arange(OUT)[None, :])
    inside = PADDED * np.arange(KERNEL)[:, None] + np.arange(KERNEL)[None, :]
    return corner.reshape(-1, 1) + inside.reshape(1, -1)


def windows(padded: Any) -> Any:  # noqa: ANN401 - arrays of any library
    """Return the windows (batch, 169, 25) of padded, flat images."""
    return padded[:, window_index()]
