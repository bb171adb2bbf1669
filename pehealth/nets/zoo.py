"""The eight reference networks, with the weights that are shipped.

Layers are those of [PEH20] as far as it tells them; where its figure is lost, widths are ours (docs/networks.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pehealth.data import clinic, mnist, postoperative, wearable
from pehealth.data.ranges import Ranges
from pehealth.errors import ConfigError
from pehealth.nets.describe import Conv1d, Conv2d, Dense, Layer, MaxPool, MeanPool, Network, Relu, Shape
from pehealth.nets.weights import Model, load

_LAYERS: dict[str, tuple[Layer, ...]] = {
    "postop-a": (Dense(40), Relu(), MaxPool((2,)), Dense(20), Relu(), Dense(3)),
    "postop-b": (Conv1d(4, 2), Relu(), Dense(3)),
    "wearable-c": (Dense(40), Relu(), MaxPool((2,)), Dense(20), Relu(), Dense(4)),
    "wearable-d": (Conv1d(3, 2), Relu(), Dense(4)),
    "mnist-e": (Conv2d(5, (5, 5), (2, 2), (1, 1)), Relu(), MeanPool((2, 2)), Dense(10)),
    "mnist-f": (Conv2d(5, (5, 5), (2, 2), (2, 2)), Relu(), Dense(100), Relu(), Dense(10)),
    "clinic": (Dense(16), Relu(), Dense(2)),
    "cryptonets": (Conv2d(5, (5, 5), (2, 2), (1, 1)), Relu(), Dense(100), Relu(), Dense(10)),
}
NAMES = tuple(_LAYERS)


@dataclass(frozen=True)
class Reference:
    """What is public of a reference network: its shape, the ranges of its readings, its data set's name."""

    network: Network
    ranges: Ranges
    dataset: str


def reference(name: str) -> Reference:
    """Return the reference network `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in _LAYERS:
        raise ConfigError(f"no reference network {name!r}; known: {', '.join(NAMES)}")
    shape, classes, ranges, dataset = _data_of(name)
    return Reference(Network(name, shape, _LAYERS[name], classes), ranges, dataset)


def load_model(name_or_path: str | Path) -> Model:
    """Return a reference network with its shipped weights, or the model in an .npz or an .onnx file.

    An .onnx file is imported with the usual settings: readings from 0 to 1, digits for an error of 0.01.

    Raises:
        ConfigError: it is neither the name of a reference network nor a readable model file.
        RangeError: an .onnx file needs other settings: `pehealth import` has them.
    """
    if isinstance(name_or_path, str) and name_or_path in _LAYERS:
        file = resources.files("pehealth.nets").joinpath("models", f"{name_or_path}.npz")
        with file.open("rb") as stream:
            return load(stream)
    path = Path(name_or_path)
    if path.suffix == ".onnx":
        from pehealth.nets.onnx_import import import_onnx

        return import_onnx(path).model
    if path.suffix != ".npz":
        raise ConfigError(
            f"{name_or_path} is no .npz or .onnx file and no reference network; those are: {', '.join(NAMES)}"
        )
    return load(path)


def _data_of(name: str) -> tuple[Shape, tuple[str, ...], Ranges, str]:
    if name.startswith("postop"):
        return (8,), postoperative.CLASSES, postoperative.RANGES, postoperative.SOURCE.name
    if name.startswith("wearable"):
        return (8,), wearable.CLASSES, wearable.RANGES, wearable.SOURCE.name
    if name == "clinic":
        return (30,), clinic.CLASSES, clinic.RANGES, "clinic"
    return (1, 28, 28), mnist.CLASSES, mnist.RANGES, mnist.SOURCE.name
