"""Families of networks, each growing in one respect, up to the layer shapes of ResNet-18 on 224 x 224 pixels.

There is no residual addition in a description yet. So these are plain chains: the eighteen layers of [HZRS16] with
their shapes, without shortcuts and the three 1 x 1 convolutions on them, and with a 2 x 2 max pool in place of the
3 x 3 one with stride 2, which leaves the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pehealth.nets.describe import Conv2d, Dense, Layer, MaxPool, MeanPool, Network, Relu

STAGES, BLOCKS = 4, 4
CLASSES = 1000


@dataclass(frozen=True)
class Member:
    """A network of a family at one value of what grows, and the samples of a query."""

    value: int
    network: Network
    batch: int = 1


@dataclass(frozen=True)
class Family:
    """Networks that differ in one respect; `unit` says in words what the values count."""

    name: str
    unit: str
    members: tuple[Member, ...]


def resnet_chain(size: int = 224, width: int = 64, classes: int = CLASSES) -> Network:
    """Return the plain chain of ResNet-18's layer shapes for size x size pixels (a multiple of 32) in three colours.

    `width` is the number of maps of the first stage: 64 in [HZRS16].
    """
    layers: list[Layer] = [Conv2d(width, (7, 7), (2, 2), (3, 3)), Relu(), MaxPool((2, 2))]
    for stage in range(STAGES):
        for block in range(BLOCKS):
            step = 2 if stage and block == 0 else 1
            layers += [Conv2d(width << stage, (3, 3), (step, step), (1, 1)), Relu()]
    layers += [MeanPool((size // 32, size // 32)), Dense(classes)]
    return Network(f"resnet18-chain-{size}x{width}", (3, size, size), tuple(layers), _names(classes))


def plain_chain(depth: int, width: int = 16, size: int = 32, classes: int = 10) -> Network:
    """Return `depth` equal 3 x 3 convolutions, each with a ReLU, and a dense layer."""
    layers: list[Layer] = [Conv2d(width, (3, 3), (1, 1), (1, 1)), Relu()] * depth
    layers += [MeanPool((size // 4, size // 4)), Dense(classes)]
    return Network(f"chain-{depth}", (width, size, size), tuple(layers), _names(classes))


def _image() -> Family:
    sizes = (32, 64, 96, 128, 160, 192, 224)
    return Family("image", "pixels a side", tuple(Member(n, resnet_chain(n)) for n in sizes))


def _channels() -> Family:
    widths = (8, 16, 32, 64, 128)
    return Family("channels", "maps of the first layer", tuple(Member(n, resnet_chain(64, n)) for n in widths))


def _depth() -> Family:
    return Family("depth", "convolutions", tuple(Member(n, plain_chain(n)) for n in (1, 2, 4, 8, 16, 32)))


def _batch() -> Family:
    network = resnet_chain(32, 16)
    return Family("batch", "samples a query", tuple(Member(n, network, n) for n in (1, 2, 4, 8, 16, 32, 64)))


FAMILIES: Mapping[str, Callable[[], Family]] = {
    "image": _image,
    "channels": _channels,
    "depth": _depth,
    "batch": _batch,
}


def _names(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))
