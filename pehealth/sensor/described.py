"""What the centre says of its models, checked: a sensor believes sizes of nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from pehealth.errors import ConfigError
from pehealth.sensor.share import MAX_READINGS, MAX_RING, Scaling
from transport.errors import FrameError
from transport.handshake import MAX_TEXT, is_name

MAX_LEASE = 4096
MAX_CLASSES = 65_536
MAX_NUMBER = 100
"""Digits of a scale."""


@dataclass(frozen=True, slots=True)
class Described:
    """One deployed model.

    Attributes:
        room: what the parties call this deployment.
        name, version: the model's.
        scaling: how readings become integers.
        batch: samples in a query.
        ring: k.
        labels: of the classes.
        scale: a logit is its integer divided by this.
        error_bound: units of 1/scale by which a logit may differ from the ideal one.
        fields: what both ends of a link must have in common.
    """

    room: str
    name: str
    version: int
    scaling: Scaling
    batch: int
    ring: int
    labels: tuple[str, ...]
    scale: int
    error_bound: int
    fields: Mapping[str, str]

    def batch_of(self, readings: Sequence[float]) -> list[int]:
        """Return the integers of a whole query: one sample, and zeros in place of the others.

        Raises:
            ConfigError, RangeError: as `Scaling.encode`.
        """
        return self.scaling.encode(readings) + [0] * ((self.batch - 1) * self.scaling.inputs)

    def result_in(self, told: Mapping[str, Any]) -> tuple[int | None, tuple[float, ...] | None]:
        """Return the class of the one sample, and its logits, as far as the centre tells them.

        Raises:
            FrameError: what it told is no result of this model.
        """
        if "logits" in told:
            rows = told["logits"]
            row = rows[0] if isinstance(rows, list) and len(rows) == self.batch else None
            if isinstance(row, list) and len(row) == len(self.labels) and all(type(v) is int for v in row):
                return row.index(max(row)), tuple(v / self.scale for v in row)
            raise FrameError(f"reply from HC: expected the logits of {self.name}, came something else")
        if "classes" in told:
            places = told["classes"]
            place = places[0] if isinstance(places, list) and len(places) == self.batch else None
            if type(place) is int and 0 <= place < len(self.labels):
                return place, None
            raise FrameError(f"reply from HC: expected a class of {self.name}, came something else")
        return None, None


def choose(told: Mapping[str, Any], name: str, version: int | None) -> Described:
    """Return the model that was asked for, of those that the centre has; the newest version unless one was named.

    Raises:
        FrameError: what the centre told is no description of models.
        ConfigError: it has no such model, or several and none was named.
    """
    models = told.get("models")
    if not isinstance(models, list) or not all(isinstance(m, dict) for m in models):
        raise FrameError("reply from HC: expected a list of models, came something else")
    known = [m for m in models if isinstance(m.get("model"), str) and type(m.get("version")) is int]
    shown = ", ".join(f"{m['model']} version {m['version']}" for m in known) or "none"
    fitting = [m for m in known if m["model"] == name or not name]
    if not name and len({m["model"] for m in fitting}) > 1:
        raise ConfigError(f"HC has several models: name one of {shown}")
    fitting = [m for m in fitting if version in (None, m["version"])]
    if not fitting:
        wanted = name or "any model" if version is None else f"{name or 'a model'} version {version}"
        raise ConfigError(f"HC does not have {wanted}; it has {shown}")
    return _described(max(fitting, key=lambda m: int(m["version"])))


def _described(told: Mapping[str, Any]) -> Described:
    """Return the model behind a card: `parties.service.cards.ModelCard.to_wire`."""
    room, settings = told.get("deployment"), told.get("settings")
    if not is_name(room) or not isinstance(settings, str) or len(settings) > MAX_TEXT:
        raise FrameError("reply from HC: a model without a deployment or settings")
    shape = told.get("input_shape")
    sizes = [told.get("batch"), told.get("ring"), *(shape if isinstance(shape, list) else [None])]
    if not all(type(n) is int and n > 0 for n in sizes) or type(digits := told.get("digits")) is not int:
        raise FrameError("reply from HC: a model whose sizes are no numbers")
    batch, ring, inputs = told["batch"], told["ring"], prod(sizes[2:])
    if batch * inputs > MAX_READINGS or ring > MAX_RING:
        raise FrameError(f"reply from HC: a model of {batch} samples of {inputs} readings, {ring} bits: too large here")
    scaling = Scaling.of(told.get("ranges") or {}, inputs, digits)
    labels = told.get("labels")
    if not (isinstance(labels, list) and 0 < len(labels) <= MAX_CLASSES and all(isinstance(v, str) for v in labels)):
        raise FrameError("reply from HC: a model without names of its classes")
    scale, bound = (_integer(told.get(name)) for name in ("scale", "error_bound"))
    if scale < 1:
        raise FrameError("reply from HC: a model whose logits have no scale")
    fields = {"model": told["model"], "version": str(told["version"]), "settings": settings}
    return Described(room, told["model"], told["version"], scaling, batch, ring, tuple(labels), scale, bound, fields)


def _integer(text: object) -> int:
    """Return the number in a text of digits: it may exceed 64 bits. Raises FrameError."""
    if isinstance(text, str) and len(text) <= MAX_NUMBER and text.isascii() and text.isdecimal():
        return int(text)
    raise FrameError("reply from HC: a model whose scale or bound is no number")


def spans_of(told: Mapping[str, Any]) -> list[int]:
    """Return the query numbers of a lease, ascending.

    Raises:
        FrameError: what the centre told is no lease.
    """
    spans = told.get("spans")
    try:
        pairs = [(int(first), int(end)) for first, end in spans]  # type: ignore[union-attr]
    except (TypeError, ValueError) as error:
        raise FrameError("reply from HC: expected spans of query numbers, came something else") from error
    if not 0 < sum(end - first for first, end in pairs) <= MAX_LEASE or any(not 0 <= a < b for a, b in pairs):
        raise FrameError("reply from HC: expected spans of query numbers, came something else")
    return [number for first, end in pairs for number in range(first, end)]
