"""A trained model: the public network, its secret weights, the public ranges of its readings; and its integers.

Both records belong to the healthcare centre. Their `repr` shows no weight.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np
from numpy.typing import NDArray

from pehealth.codec.strict_json import parse_json
from pehealth.crypto import fixed
from pehealth.crypto.linear import Ints
from pehealth.data.ranges import Floats, Ranges
from pehealth.errors import ConfigError, RangeError
from pehealth.nets.arrays_file import read_arrays
from pehealth.nets.describe import Network
from pehealth.nets.last import Last
from pehealth.nets.scales import Arithmetic, ScaleStep, scale_steps

FORMAT = 1
MAX_DIGITS = 12
FLOATS = ("float32", "float64")
"""What weights may be stored as."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its weights.

    Attributes:
        network: the public description.
        weights: a float64 array (out_channels, fan_in) a linear layer, as `LinearMap.weight_shape` says.
        biases: a float64 array (out_channels,) a linear layer.
        ranges: the public ranges of the readings; inputs of the network are readings mapped to [0, 1].
        dataset: the data set it was trained on, as `pehealth.data.load` names it; "" if it has no name here.
        last: what the centre makes of the logits.
        digits: what the masked engines take unless told otherwise, chosen for `target`; None: their default.
        target: the error of an output that `digits` were chosen for.

    Raises:
        ConfigError: arrays are missing, of the wrong shape or not finite; every problem is listed.
    """

    network: Network
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    ranges: Ranges
    dataset: str = ""
    last: Last = "logits"
    digits: int | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        problems = _shape_problems(self.network, self.weights, self.biases)
        if len(self.ranges.names) not in (1, self.network.inputs):
            problems.append(f"{len(self.ranges.names)} ranges for {self.network.inputs} readings")
        if self.last not in get_args(Last):
            problems.append(f"the last step is {str(self.last)[:40]!r}; known: {', '.join(get_args(Last))}")
        if self.digits is not None and not 0 <= self.digits <= MAX_DIGITS:
            problems.append(f"digits lie within 0..{MAX_DIGITS}")
        if self.target is not None and not 0 < self.target < float("inf"):
            problems.append("the error target is a positive number")
        if problems:
            raise ConfigError(*(f"model {self.network.name}: {p}" for p in problems))

    def __repr__(self) -> str:
        return f"<Model {self.network.name}: {sum(w.size for w in self.weights)} weights>"

    def digest(self) -> bytes:
        """SHA-256 of everything in the model. The centre's own: it would confirm a guess of the weights."""
        head = [self.network.to_json(), self.ranges.to_json(), self.dataset, *self.extras().items()]
        return _digest(json.dumps(head, sort_keys=True), (*self.weights, *self.biases))

    def extras(self) -> dict[str, Any]:
        """Return what is not as in a plain model, for the file: last step, digits and target."""
        plain = {"last": "logits", "digits": None, "target": None}
        return {name: getattr(self, name) for name, usual in plain.items() if getattr(self, name) != usual}

    def quantise(self, digits: int, arithmetic: Arithmetic) -> QuantizedModel:
        """Return the integers that the protocols compute with.

        Scale:  weights floor(w * 10^digits), as the paper encodes every number [PEH20]; biases floor(b * s) with s
                the scale of their layer's output, so a bias is far finer than a weight.

        Raises:
            RangeError: a weight does not fit 52 bits; it names the layer.
        """
        steps = scale_steps(self.network, digits, arithmetic)
        linear = self.network.linear_layers
        after = {s.layer.index: s.after for s in steps}
        weights: list[NDArray[np.int64]] = []
        for placed, w in zip(linear, self.weights, strict=True):
            try:
                weights.append(fixed.encode(w, digits))
            except RangeError as error:
                raise RangeError(f"weights of {placed.name}: {error}") from error
        biases = tuple(encode_bias(b, after[p.index]) for p, b in zip(linear, self.biases, strict=True))
        return QuantizedModel(self.network, digits, arithmetic, tuple(weights), biases, self.ranges, self.last)


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """A model in integers, made by `Model.quantise`.

    Attributes:
        network, ranges: public, as in `Model`.
        digits: d, the decimal digits kept.
        arithmetic: which scale rule the biases follow.
        weights: int64 (out_channels, fan_in), scale 10^d.
        biases: (out_channels,) at the scale of their layer's output; int64, or Python integers where that is too small.
        last: what the centre makes of the logits.
    """

    network: Network
    digits: int
    arithmetic: Arithmetic
    weights: tuple[NDArray[np.int64], ...]
    biases: tuple[Ints, ...]
    ranges: Ranges
    last: Last = "logits"

    def __repr__(self) -> str:
        return f"<QuantizedModel {self.network.name}: {self.digits} digits, {self.arithmetic}>"

    @property
    def unit(self) -> int:
        """Scale of inputs and weights: 10^d."""
        return int(10**self.digits)

    @property
    def steps(self) -> tuple[ScaleStep, ...]:
        """The scale around every layer."""
        return scale_steps(self.network, self.digits, self.arithmetic)

    @property
    def logit_scale(self) -> int:
        """Scale of the network's output."""
        return self.steps[-1].after

    def encode_input(self, features: Floats) -> NDArray[np.int64]:
        """Return floor(x * 10^d) of normalised readings (batch, ...) as (batch, inputs) int64.

        Raises:
            RangeError: a reading is outside of [0, 1] or not finite; it names the reading.
            ConfigError: the number of readings is not the network's.
        """
        flat = np.asarray(features, np.float64).reshape(len(features), -1)
        if flat.shape[1] != self.network.inputs:
            raise ConfigError(f"{flat.shape[1]} readings a sample; {self.network.name} takes {self.network.inputs}")
        self.ranges.check(flat)
        return fixed.encode(flat, self.digits)

    def digest(self) -> bytes:
        """SHA-256 of every integer. The centre's own: it would confirm a guess of the weights."""
        head = json.dumps([self.network.to_json(), self.digits, self.arithmetic], sort_keys=True)
        return _digest(head, (*self.weights, *self.biases))


def encode_bias(bias: Floats, scale: int) -> Ints:
    """Return floor(bias * scale): int64, or Python integers if one does not fit.

    The scale of a bias may hold the window of a mean pool and exceed what a float64 tells apart, so this is the floor
    of the float64 product, not the decimal floor of `fixed.encode`.
    """
    product = np.floor(bias * float(scale))
    if np.abs(product).max(initial=0) < 2.0**62:
        return product.astype(np.int64)
    return np.array([int(v) for v in product.ravel()], object).reshape(product.shape)


def save(model: Model, path: Path | IO[bytes]) -> None:
    """Write `model` to an .npz file: float32 where that holds the values exactly, else float64; no pickle."""
    head = {
        "format": FORMAT,
        "network": model.network.to_json(),
        "ranges": model.ranges.to_json(),
        "dataset": model.dataset,
        **model.extras(),
    }
    arrays: dict[str, NDArray[Any]] = {"model.json": np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8)}
    for placed, w, b in zip(model.network.linear_layers, model.weights, model.biases, strict=True):
        arrays[f"{placed.name}.weight"] = _narrow(w)
        arrays[f"{placed.name}.bias"] = _narrow(b)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def load(path: Path | IO[bytes]) -> Model:
    """Return the model that `save` wrote.

    Raises:
        ConfigError: the file is missing, no .npz, of another format, or its arrays do not fit the network;
            every problem is listed.
    """
    shown = str(path) if isinstance(path, Path) else getattr(path, "name", "the model")
    try:
        with path.open("rb") if isinstance(path, Path) else nullcontext(path) as stream:
            arrays = read_arrays(stream)
        head = _head(arrays.pop("model.json").tobytes())
        if head["format"] != FORMAT:
            raise ConfigError(f"{shown} has model format {str(head['format'])[:40]}; this version reads {FORMAT}")
        network, ranges = Network.from_json(head["network"]), Ranges.from_json(head["ranges"])
        dataset, last = str(head["dataset"]), head.get("last", "logits")
        digits = int(head["digits"]) if "digits" in head else None
        target = float(head["target"]) if "target" in head else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ConfigError(f"{shown} is not a model file of pehealth: {error}") from error
    _check_names(shown, network, arrays)
    floats = {name: a.astype(np.float64) for name, a in arrays.items()}
    linear = network.linear_layers
    weights, biases = ([floats[f"{p.name}.{what}"] for p in linear] for what in ("weight", "bias"))
    return Model(network, tuple(weights), tuple(biases), ranges, dataset, last, digits, target)


def _head(text: bytes) -> dict[str, Any]:
    head = parse_json(text)
    if not isinstance(head, dict) or not isinstance(head.get("dataset", ""), str):
        raise TypeError("its description is no JSON object that names a data set")
    return head


def _check_names(shown: str, network: Network, arrays: Mapping[str, NDArray[Any]]) -> None:
    names = [f"{p.name}.{what}" for p in network.linear_layers for what in ("weight", "bias")]
    problems = [f"{shown}: {name} is missing" for name in names if name not in arrays]
    problems += [f"{shown}: {name} belongs to no layer" for name in arrays if name not in names]
    problems += [f"{shown}: {n} holds {a.dtype}, not floats" for n, a in arrays.items() if a.dtype.name not in FLOATS]
    if problems:
        raise ConfigError(*problems)


def _narrow(values: Floats) -> NDArray[np.floating]:
    narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow.astype(np.float64), values) else values


def _shape_problems(network: Network, weights: Sequence[Floats], biases: Sequence[Floats]) -> list[str]:
    linear = network.linear_layers
    if not len(weights) == len(biases) == len(linear):
        return [f"{len(linear)} linear layers, {len(weights)} arrays of weights, {len(biases)} of biases"]
    problems: list[str] = []
    for placed, w, b in zip(linear, weights, biases, strict=True):
        shape = placed.linear.weight_shape
        for what, array, expected in (("weights", w, shape), ("biases", b, shape[:1])):
            if array.shape != expected:
                problems.append(f"{placed.name}: {what} have shape {array.shape}, the layer takes {expected}")
            elif not np.isfinite(array).all():
                problems.append(f"{placed.name}: {int((~np.isfinite(array)).sum())} {what} are not finite")
    return problems


def _digest(head: str, arrays: Sequence[NDArray[Any]]) -> bytes:
    out = hashlib.sha256(head.encode())
    for a in arrays:
        body = json.dumps([int(v) for v in a.ravel()]).encode() if a.dtype.kind in "iO" else a.astype("<f8").tobytes()
        out.update(f"{a.shape}{len(body)}:".encode() + body)
    return out.digest()
