"""The form of a network's description, checked before anything is made of it: who sent it is not trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pehealth.errors import ConfigError

MOST_LAYERS = 1000
MOST_CLASSES = 2**20
MOST_NUMBER = 2**31 - 1
MOST_TEXT = 1024
MOST_SIDES = 8
"""Numbers in one list: sides of a shape, a kernel, a window; outputs that one layer takes."""
_LEAST = {"units": 1, "channels": 1, "kernel": 1, "stride": 1, "window": 1, "divisor": 1, "input": 1}
"""Least value of a number by its name; 0 unless named here or in `_SIGNED`."""
_SIGNED = ("factors", "shape", "constant")
_FLOATS = ("constant",)
_LISTS = ("input", "from", "window", "shape", "order", "factors", "before", "after")
"""What is never a single number."""
_SINGLE = ("units", "channels", "divisor", "constant")
"""What always is one."""


def bad_form(data: object) -> tuple[list[str], dict[int, Mapping[str, Any]]]:
    """Return what is wrong with the form of a description, and its layers that can be read, by index.

    Fields that are missing are not told of.

    Raises:
        ConfigError: it is no object, or has no list of layers that is worth reading.
    """
    if not isinstance(data, Mapping):
        raise ConfigError("a network is described by an object with name, input, layers and classes")
    layers = data.get("layers", ())
    if not isinstance(layers, list | tuple) or len(layers) > MOST_LAYERS:
        raise ConfigError(f"layers: expected a list of at most {MOST_LAYERS}")
    problems = [*_bad_texts(data), *_bad_numbers("input", data.get("input", ()))]
    readable: dict[int, Mapping[str, Any]] = {}
    for index, entry in enumerate(layers, 1):
        found = [f"layer {index}: {problem}" for problem in _bad_layer(entry)]
        problems += found
        if not found:
            readable[index] = entry
    return problems, readable


def _bad_texts(data: Mapping[str, Any]) -> Iterator[str]:
    if not _is_text(data.get("name", "")):
        yield f"name: expected a text of at most {MOST_TEXT} characters"
    classes = data.get("classes", ())
    if not isinstance(classes, list | tuple) or len(classes) > MOST_CLASSES or not all(map(_is_text, classes)):
        yield f"classes: expected at most {MOST_CLASSES} texts of at most {MOST_TEXT} characters"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT


def _bad_layer(entry: object) -> Iterator[str]:
    if not isinstance(entry, Mapping) or not all(isinstance(name, str) for name in entry):
        yield "expected an object with a kind"
        return
    for name, value in entry.items():
        if name == "kind":
            if not _is_text(value):
                yield "kind: expected a text"
        elif value is not None or name in _LISTS:
            yield from _bad_numbers(name, value)


def _bad_numbers(name: str, value: object) -> Iterator[str]:
    """Yield what is wrong with a number, or a list of some."""
    numbers = value if isinstance(value, list | tuple) else [value]
    least = -MOST_NUMBER if name in _SIGNED else _LEAST.get(name, 0)
    wanted = name not in (_SINGLE if isinstance(value, list | tuple) else _LISTS)
    if not wanted or len(numbers) > MOST_SIDES or not all(_is_number(name, number, least) for number in numbers):
        most = "one number" if name in _SINGLE else f"a list of at most {MOST_SIDES} numbers"
        yield f"{name[:MOST_TEXT]}: expected {most} from {least} to {MOST_NUMBER}"


def _is_number(name: str, value: object, least: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not (name in _FLOATS and math.isfinite(value)):
        return False
    return least <= value <= MOST_NUMBER
