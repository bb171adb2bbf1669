"""The public description of a network: layers, shape inference, JSON form. Weights are elsewhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pehealth.crypto.linear import LinearMap
from pehealth.errors import ConfigError, UnsupportedLayer

Shape = tuple[int, ...]
"""Of one sample: (features,), (channels, length) or (channels, height, width)."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; flattens its input in channel-major order."""

    kind: ClassVar[str] = "dense"
    units: int

    def out_shape(self, _shape: Shape) -> Shape:
        """(units,) whatever comes in."""
        return (self.units,)

    def linear_map(self, shape: Shape) -> LinearMap:
        """Return the geometry that engines see."""
        return LinearMap.dense(math.prod(shape), self.units)


@dataclass(frozen=True)
class Conv1d:
    """A convolution over (channels, length); a flat input counts as one channel."""

    kind: ClassVar[str] = "conv1d"
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0

    def linear_map(self, shape: Shape) -> LinearMap:
        """Return the geometry that engines see: height one."""
        c, length = shape if len(shape) == 2 else (1, *shape)
        return LinearMap((c, 1, length), self.channels, (1, self.kernel), (1, self.stride), (0, self.padding))

    def out_shape(self, shape: Shape) -> Shape:
        """(channels, length)."""
        c, _, length = self.linear_map(shape).out_shape
        return c, length


@dataclass(frozen=True)
class Conv2d:
    """A convolution over (channels, height, width)."""

    kind: ClassVar[str] = "conv2d"
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def linear_map(self, shape: Shape) -> LinearMap:
        """Return the geometry that engines see."""
        c, h, w = shape
        return LinearMap((c, h, w), self.channels, self.kernel, self.stride, self.padding)

    def out_shape(self, shape: Shape) -> Shape:
        """(channels, height, width)."""
        return self.linear_map(shape).out_shape


@dataclass(frozen=True)
class Relu:
    """max(0, x); in the masked engines it also brings the scale back to 10^d."""

    kind: ClassVar[str] = "relu"

    def out_shape(self, shape: Shape) -> Shape:
        """The input's shape."""
        return shape


@dataclass(frozen=True)
class _Pool:
    """Pooling over the last one or two axes; the window moves by `stride`, the remainder is dropped.

    A flat input (features,) is pooled along its features.
    """

    window: tuple[int, ...]
    stride: tuple[int, ...] | None = None

    @property
    def steps(self) -> tuple[int, ...]:
        """The stride; the window's own size unless said otherwise."""
        return self.stride if self.stride is not None else self.window

    @property
    def size(self) -> int:
        """Elements of a window."""
        return math.prod(self.window)

    def out_shape(self, shape: Shape) -> Shape:
        """The input's shape with the pooled axes shortened."""
        lead = len(shape) - len(self.window)
        pooled = ((n - w) // s + 1 for n, w, s in zip(shape[lead:], self.window, self.steps, strict=True))
        return (*shape[:lead], *pooled)


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The greatest value of each window."""

    kind: ClassVar[str] = "maxpool"


@dataclass(frozen=True)
class MeanPool(_Pool):
    """The mean of each window. Servers add up; the factor 1/size is carried in the scale, exactly."""

    kind: ClassVar[str] = "meanpool"


Layer = Dense | Conv1d | Conv2d | Relu | MaxPool | MeanPool
LINEAR = (Dense, Conv1d, Conv2d)
_KINDS: dict[str, Callable[..., Layer]] = {c.kind: c for c in (Dense, Conv1d, Conv2d, Relu, MaxPool, MeanPool)}


@dataclass(frozen=True)
class Placed:
    """A layer at its place: index (1 is the first), name such as "1.conv2d", shapes of one sample."""

    index: int
    layer: Layer
    in_shape: Shape
    out_shape: Shape

    @property
    def kind(self) -> str:
        """The layer's kind as results name it."""
        return self.layer.kind

    @property
    def name(self) -> str:
        """For instance "2.relu"."""
        return f"{self.index}.{self.kind}"

    @property
    def inputs(self) -> int:
        """Elements of one sample's input."""
        return math.prod(self.in_shape)

    @property
    def outputs(self) -> int:
        """Elements of one sample's output."""
        return math.prod(self.out_shape)

    @cached_property
    def linear(self) -> LinearMap:
        """The geometry of a linear layer."""
        if not isinstance(self.layer, LINEAR):
            raise TypeError(f"{self.name} is not linear")
        return self.layer.linear_map(self.in_shape)


@dataclass(frozen=True)
class Network:
    """What every party knows of a network.

    Attributes:
        name: as `--net` takes it.
        input_shape: of one sample.
        layers: in order.
        classes: the label of each logit.
    """

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """Every layer with its index and shapes.

        Raises:
            UnsupportedLayer: a shape does not fit its layer, or the logits are not one a class; all are listed.
        """
        out: list[Placed] = []
        shape = self.input_shape
        for index, layer in enumerate(self.layers, 1):
            try:
                after = layer.out_shape(shape)
            except (ValueError, TypeError) as error:
                raise UnsupportedLayer(f"layer {index} ({layer.kind}) cannot take a {shape} input") from error
            if min(after, default=0) < 1:
                raise UnsupportedLayer(f"layer {index} ({layer.kind}) leaves nothing of a {shape} input")
            out.append(Placed(index, layer, shape, after))
            shape = after
        if not out or not isinstance(out[-1].layer, LINEAR):
            raise UnsupportedLayer("a network ends in a linear layer; softmax is the centre's, in the clear")
        if math.prod(shape) != len(self.classes):
            raise UnsupportedLayer(f"{math.prod(shape)} logits for {len(self.classes)} classes")
        return tuple(out)

    @property
    def inputs(self) -> int:
        """Readings of one sample."""
        return math.prod(self.input_shape)

    @property
    def linear_layers(self) -> tuple[Placed, ...]:
        """The layers that carry weights, in order."""
        return tuple(p for p in self.placed if isinstance(p.layer, LINEAR))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reads it back."""
        layers = [{"kind": layer.kind, **dataclasses.asdict(layer)} for layer in self.layers]
        return {
            "name": self.name,
            "input": list(self.input_shape),
            "layers": layers,
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Network:
        """Return the network that `data` describes.

        Raises:
            ConfigError: a field is missing, unknown or of the wrong type; every bad layer is listed.
        """
        problems: list[str] = []
        layers: list[Layer] = []
        for index, entry in enumerate(data.get("layers", ()), 1):
            try:
                layers.append(_layer_from_json(entry))
            except (KeyError, TypeError, ValueError) as error:
                problems.append(f"layer {index}: {error}")
        problems += [f"{field} is missing" for field in ("name", "input", "layers", "classes") if field not in data]
        if problems:
            raise ConfigError(*problems)
        network = cls(
            str(data["name"]), tuple(map(int, data["input"])), tuple(layers), tuple(map(str, data["classes"]))
        )
        _ = network.placed
        return network

    def digest(self) -> bytes:
        """SHA-256 of the public shape in canonical JSON; the handshake compares it."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).digest()


def _layer_from_json(entry: Mapping[str, Any]) -> Layer:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k != "kind"}
    kind = entry["kind"]
    if kind not in _KINDS:
        raise ValueError(f"unknown kind {kind!r}; known: {', '.join(sorted(_KINDS))}")
    return _KINDS[kind](**fields)
