"""Model files: any bytes, and archives whose directory, arrays and description are changed one by one."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from functools import cache
from typing import Any

import numpy as np

from fuzzing.target import MIB, Source, Target, demand, without_warnings
from pehealth.data.ranges import Ranges
from pehealth.errors import ConfigError
from pehealth.nets.describe import Conv2d, Dense, MaxPool, Network, Relu
from pehealth.nets.weights import Model, load, save

_RAW, _BUILT = 0, 1
_ODD = (0, -1, 1, 2, 3, 2**31, 10**18, 1.5, None, "x", [], [1, 2], [0, 0], {}, True, float("nan"), [10**9, 10**9])
_KEYS = ("units", "channels", "kernel", "stride", "padding", "window", "kind")
_HEADERS = (
    {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**3)},
    {"descr": "|O", "fortran_order": False, "shape": (2, 3)},
    {"descr": "<f8", "fortran_order": False, "shape": (-2, 3)},
    {"descr": "<f8", "fortran_order": True, "shape": (2, 3)},
    {"descr": "<i8", "fortran_order": False, "shape": (2, 3)},
    {"descr": [("a", "<f8"), ("b", "|O")], "fortran_order": False, "shape": (2, 3)},
    {"descr": "<c16", "fortran_order": False, "shape": (2, 3)},
    {"descr": "|V8", "fortran_order": False, "shape": (2**62, 2**62)},
)


def run(data: bytes) -> None:
    """Load a model; one that loads is whole, finite, and comes back from its own file."""
    source = Source(data)
    content = source.rest() if source.below(2) == _RAW else _built(source)
    with without_warnings(UserWarning):  # numpy's, of headers that Python 2 wrote
        model = load(io.BytesIO(content))
    demand(all(np.isfinite(a).all() for a in (*model.weights, *model.biases)), "weights that are not finite were taken")
    demand(all(a.dtype == np.float64 for a in (*model.weights, *model.biases)), "weights of another kind were taken")
    again = io.BytesIO()
    save(model, again)
    again.seek(0)
    demand(load(again).digest() == model.digest(), "a model does not come back from its own file")


def _built(source: Source) -> bytes:
    """Return the archive of a small model with some of its parts replaced."""
    head, arrays = json.loads(_head()), dict(_arrays())
    for _ in range(source.below(4)):
        choice = source.below(6)
        names = list(arrays)
        name = names[source.below(len(names))] if names else "x"
        if choice == 0:
            _spoil(head, source)
        elif choice == 1:
            arrays[name] = _npy(_HEADERS[source.below(len(_HEADERS))], source.take(source.octet()))
        elif choice == 2:
            whole = bytearray(arrays.get(name) or b"\0")
            whole[source.octet() % len(whole)] ^= 1 << source.below(8)
            arrays[name] = bytes(whole)
        elif choice == 3:
            arrays.pop(name, None)
        elif choice == 4:
            arrays["x" + source.take(3).decode("latin-1")] = source.take(source.octet())
        else:
            arrays[name] = arrays.get(name, b"")[: source.octet()]
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if source.below(2) else zipfile.ZIP_STORED
    # Two entries of one name: the reader is to refuse them.
    with without_warnings(UserWarning), zipfile.ZipFile(out, "w", kind) as archive:
        archive.writestr("model.json.npy", _npy_of(np.frombuffer(json.dumps(head).encode(), np.uint8)))
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    whole = bytearray(out.getvalue())
    for _ in range(source.below(3)):
        whole[source.number(2) % len(whole)] = source.octet()
    return bytes(whole)


def _spoil(head: dict[str, Any], source: Source) -> None:
    """Replace one value in the description."""
    odd = copy.deepcopy(_ODD[source.below(len(_ODD))])
    layers = head["network"].get("layers") if isinstance(head.get("network"), dict) else None
    where = source.below(4)
    if where == 0 and isinstance(layers, list) and layers:
        layer = layers[source.below(len(layers))]
        if isinstance(layer, dict):
            layer[_KEYS[source.below(len(_KEYS))]] = odd
    elif where == 1 and isinstance(head.get("network"), dict):
        head["network"][("name", "input", "layers", "classes")[source.below(4)]] = odd
    elif where == 2 and isinstance(head.get("ranges"), dict):
        head["ranges"][("names", "low", "high", "saturating")[source.below(4)]] = odd
    else:
        head[("format", "network", "ranges", "dataset")[source.below(4)]] = odd


def _npy(header: dict[str, Any], body: bytes) -> bytes:
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def _npy_of(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=False)
    return out.getvalue()


@cache
def small_model() -> bytes:
    """Return a model file with a convolution, a pooling and a dense layer."""
    layers = (Conv2d(2, (2, 2)), Relu(), MaxPool((2, 2)), Dense(2))
    network = Network("small", (1, 5, 5), layers, ("no", "yes"))
    shapes = [placed.linear.weight_shape for placed in network.linear_layers]
    weights = tuple(np.arange(a * b, dtype=np.float64).reshape(a, b) / 8 for a, b in shapes)
    biases = tuple(np.zeros(a) for a, _ in shapes)
    out = io.BytesIO()
    save(Model(network, weights, biases, Ranges(("pixel",), (0.0,), (1.0,))), out)
    return out.getvalue()


@cache
def _parts() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(small_model())) as archive:
        return {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}


def _head() -> bytes:
    return bytes(np.lib.format.read_array(io.BytesIO(_parts()["model.json"])))


def _arrays() -> dict[str, bytes]:
    return {name: content for name, content in _parts().items() if name != "model.json"}


def seeds() -> list[bytes]:
    """A small model, cut and whole; archives with each kind of change."""
    built = [
        bytes((_BUILT, 1, kind, where, value, value)) + bytes(6)
        for kind in range(6)
        for where in range(4)
        for value in range(0, 16, 3)
    ]
    return [bytes((_RAW,)) + small_model(), bytes((_RAW,)) + small_model()[:-30], bytes((_BUILT, 0, 0, 0)), *built]


TARGET = Target("model", run, (ConfigError,), seeds, most_bytes=4096, memory=64 * MIB)
