"""The public description of a network: layers, shape inference, JSON form. Weights are elsewhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pehealth.crypto.linear import LinearMap
from pehealth.errors import ConfigError, UnsupportedLayer
from pehealth.nets.layers import (
    KINDS,
    LINEAR,
    SHAPING,
    Add,
    Conv1d,
    Conv2d,
    Dense,
    Layer,
    MaxPool,
    MeanPool,
    Pad,
    Relu,
    Rescale,
    Reshape,
    Shape,
    Transpose,
)
from pehealth.nets.network_json import bad_form

__all__ = [
    "LINEAR", "SHAPING", "Add", "Conv1d", "Conv2d", "Dense", "Layer", "MaxPool", "MeanPool", "Network", "Pad",
    "Placed", "Relu", "Rescale", "Reshape", "Shape", "Transpose",
]  # fmt: skip

Sources = tuple[int, ...]
"""Which layers' outputs a layer takes, by index; 0 is the network's input."""


@dataclass(frozen=True)
class Placed:
    """A layer at its place: index (1 is the first), name such as "1.conv2d", shapes of one sample.

    Attributes:
        in_shape: of each input.
        sources: where its inputs come from.
    """

    index: int
    layer: Layer
    in_shape: Shape
    out_shape: Shape
    sources: Sources

    @property
    def source(self) -> int:
        """Where the input of a layer that takes one comes from."""
        return self.sources[0]

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
        layers: in order; a layer comes after those it takes its input from. The last one's output is the network's.
        classes: the label of each logit.
        sources: where each layer takes its inputs from; () if each takes the output of the one before.
    """

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    classes: tuple[str, ...]
    sources: tuple[Sources, ...] = ()

    def __post_init__(self) -> None:
        if self.sources == tuple((index,) for index in range(len(self.layers))):
            object.__setattr__(self, "sources", ())

    @property
    def is_chain(self) -> bool:
        """True if each layer takes the output of the one before."""
        return not self.sources

    def sources_of(self, index: int) -> Sources:
        """Return where layer `index` takes its inputs from."""
        return self.sources[index - 1] if self.sources else (index - 1,)

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """Every layer with its index and shapes.

        Raises:
            UnsupportedLayer: a shape does not fit its layer, a source does not come before, an output is not used,
                or the logits are not one a class.
        """
        if problems := list(self._wiring()):
            raise UnsupportedLayer("; ".join(problems))
        out: list[Placed] = []
        shapes = [self.input_shape]
        for index, layer in enumerate(self.layers, 1):
            taken = {shapes[source] for source in self.sources_of(index)}
            if len(taken) > 1:
                raise UnsupportedLayer(f"layer {index} ({layer.kind}) cannot add shapes {sorted(taken)}")
            shape = taken.pop()
            try:
                after = layer.out_shape(shape)
            except (ValueError, TypeError) as error:
                raise UnsupportedLayer(f"layer {index} ({layer.kind}) cannot take a {shape} input") from error
            if min(after, default=0) < 1:
                raise UnsupportedLayer(f"layer {index} ({layer.kind}) leaves nothing of a {shape} input")
            out.append(Placed(index, layer, shape, after, self.sources_of(index)))
            shapes.append(after)
        if math.prod(shapes[-1]) != len(self.classes):
            raise UnsupportedLayer(f"{math.prod(shapes[-1])} logits for {len(self.classes)} classes")
        return tuple(out)

    def _wiring(self) -> Iterator[str]:
        """Yield what is wrong with which layers are there and who takes whose output."""
        if not self.layers or not isinstance(self.layers[-1], (*LINEAR, Add, MeanPool)):
            yield "a network ends in a linear layer, a sum or a mean; softmax is the centre's, in the clear"
        if not any(isinstance(layer, LINEAR) for layer in self.layers):
            yield "a network has a linear layer"
        if self.sources and len(self.sources) != len(self.layers):
            yield f"{len(self.sources)} lists of sources for {len(self.layers)} layers"
            return
        used = {0}
        for index, layer in enumerate(self.layers, 1):
            sources = self.sources_of(index)
            wanted = len(layer.factors) if isinstance(layer, Add) else 1
            if len(sources) != wanted or not all(0 <= source < index for source in sources):
                yield f"layer {index} ({layer.kind}) takes {wanted} outputs of layers before it, not {list(sources)}"
            used.update(sources)
        unused = set(range(1, len(self.layers))) - used
        if unused:
            yield f"nothing takes the output of layer {', '.join(map(str, sorted(unused)))}"

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
        for entry, sources in zip(layers, self.sources, strict=False):
            entry["from"] = list(sources)
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
        problems, readable = bad_form(data)
        layers: list[Layer] = []
        for index, entry in readable.items():
            try:
                layers.append(_layer_from_json(entry))
            except (KeyError, TypeError, ValueError) as error:
                problems.append(f"layer {index}: {error}")
        problems += [f"{field} is missing" for field in ("name", "input", "layers", "classes") if field not in data]
        if problems:
            raise ConfigError(*problems)
        listed = [entry.get("from", [index]) for index, entry in enumerate(data["layers"])]
        network = cls(
            str(data["name"]),
            tuple(map(int, data["input"])),
            tuple(layers),
            tuple(map(str, data["classes"])),
            tuple(tuple(map(int, sources)) for sources in listed),
        )
        _ = network.placed
        return network

    def digest(self) -> bytes:
        """SHA-256 of the public shape in canonical JSON; the handshake compares it."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).digest()


def _layer_from_json(entry: Mapping[str, Any]) -> Layer:
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k not in ("kind", "from")}
    kind = entry["kind"]
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; known: {', '.join(sorted(KINDS))}")
    return KINDS[kind](**fields)
