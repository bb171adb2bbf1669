"""What a client is told of a deployed model, and what it is answered. Public but for the results; no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto import fixed
from pehealth.data.ranges import Floats, Ranges
from pehealth.errors import ConfigError, PeerProtocolError
from pehealth.nets.last import Last, finished


@dataclass(frozen=True)
class ModelCard:
    """One deployed version of a model, as a client needs to know it.

    Attributes:
        deployment: names it at every party, for ever.
        model, version: as people name it; the newest version is the highest.
        engine: how linear layers are computed.
        input_shape: of one sample.
        labels: of the classes, in order.
        ranges: of the readings.
        digits: d; a reading x is carried as floor(x * 10^d).
        ring: k; uploads are shared mod 2^k.
        batch: samples in one query.
        scale: a logit is its integer divided by this.
        error_bound: units (of 1/scale) by which a logit may differ from the ideal one.
        reveal: what the centre receives of a query: "logits" or "class".
        settings: digest of all public settings, hex; both ends of a link have the same.
        in_flight: queries that one client may have under way.
        last: what the model makes of its logits in the end.
    """

    deployment: str
    model: str
    version: int
    engine: str
    input_shape: tuple[int, ...]
    labels: tuple[str, ...]
    ranges: Ranges
    digits: int
    ring: int
    batch: int
    scale: int
    error_bound: int
    reveal: str
    settings: str
    in_flight: int = 1
    last: Last = "logits"

    @property
    def inputs(self) -> int:
        """Readings of one sample."""
        return int(np.prod(self.input_shape))

    def hello_fields(self) -> dict[str, str]:
        """Return what both ends of a link of this deployment must have in common."""
        return {"model": self.model, "version": str(self.version), "settings": self.settings}

    def normalise(self, readings: NDArray[np.float64]) -> Floats:
        """Return readings in their own units, (n, *input_shape) or (n, inputs), as (n, inputs) in [0, 1].

        Raises:
            RangeError: a reading is not finite or out of its range; names it, never its value.
            ConfigError: another number of readings.
        """
        return self.ranges.normalise(self._flat(readings))

    def encode(self, features: Floats) -> NDArray[np.int64]:
        """Return floor(x * 10^d) of normalised readings, (n, inputs). Errors as `normalise`."""
        flat = self._flat(features)
        self.ranges.check(flat)
        return fixed.encode(flat, self.digits)

    def _flat(self, readings: Floats) -> Floats:
        values = np.asarray(readings, np.float64)
        flat = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
        if flat.shape[1] != self.inputs:
            raise ConfigError(
                f"a sample of {flat.shape[1]} readings; {self.model} takes {self.inputs}, as {self.input_shape}"
            )
        return flat

    def to_wire(self) -> dict[str, Any]:
        """Return what msgpack takes. Integers that may exceed 64 bits are texts."""
        return {
            **{name: getattr(self, name) for name in _TEXTS + _NUMBERS},
            "input_shape": list(self.input_shape),
            "labels": list(self.labels),
            "ranges": self.ranges.to_json(),
            "scale": str(self.scale),
            "error_bound": str(self.error_bound),
            "last": self.last,
        }

    @classmethod
    def from_wire(cls, data: object) -> ModelCard:
        """Return the card behind `to_wire`.

        Raises:
            PeerProtocolError: it is none.
        """
        try:
            return _card(data)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ConfigError) as error:
            raise PeerProtocolError(f"HC: a model's card cannot be read: {error}") from error


_TEXTS = ("deployment", "model", "engine", "reveal", "settings")
_NUMBERS = ("version", "digits", "ring", "batch", "in_flight")
_MOST = {"version": 2**31, "digits": 22, "ring": 64, "batch": 4096, "in_flight": 4096}


def _card(data: object) -> ModelCard:
    if not isinstance(data, dict):
        raise TypeError("not a map")
    if not all(isinstance(data[name], str) for name in ("scale", "error_bound")):
        raise TypeError("a number that is to be a text is none")
    texts = {name: data[name] for name in _TEXTS}
    numbers = {name: data[name] for name in _NUMBERS}
    shape, labels = data["input_shape"], data["labels"]
    if not all(isinstance(text, str) for text in (*texts.values(), *labels)):
        raise TypeError("a text is none")
    if not all(type(n) is int and n > 0 for n in shape) or len(shape) > 3:
        raise ValueError("the shape of a sample is none")
    if not all(type(n) is int and (name == "digits" or n > 0) and 0 <= n <= _MOST[name] for name, n in numbers.items()):
        raise ValueError("a number is out of its range")
    ranges = Ranges.from_json(data["ranges"])
    scale, bound = int(data["scale"]), int(data["error_bound"])
    last: Last = data.get("last", "logits")
    if last not in get_args(Last):
        raise ValueError("the last step is unknown")
    return ModelCard(
        **texts, **numbers, input_shape=tuple(shape), labels=tuple(labels), ranges=ranges, scale=scale,
        error_bound=bound, last=last,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one query: a batch of samples, the last of which may be fewer.

    Attributes:
        query: its index in the deployment: names it in everybody's logs.
        deployment, model, version: what answered.
        samples: how many samples it held.
        logits: int64 (samples, classes), units of 1/scale; None where the class alone, or a receipt, is revealed to us.
        classes: (samples,): the greatest logit's place, or the class that was revealed; None for a receipt.
        labels: of the classes.
        scale: see `ModelCard`.
        digits: decimal digits that readings kept.
        error_bound: units by which a logit may differ from the ideal one.
        seconds: from the moment the query was begun to its answer, retries included.
        retries: how often it was asked again under a fresh index.
        last: see `ModelCard`.
    """

    query: int
    deployment: str
    model: str
    version: int
    samples: int
    logits: NDArray[np.int64] | None = field(repr=False)
    classes: NDArray[np.int64] | None = field(repr=False)
    labels: tuple[str, ...]
    scale: int
    digits: int
    error_bound: int
    seconds: float
    retries: int = 0
    last: Last = "logits"

    @property
    def values(self) -> NDArray[np.float64] | None:
        """The logits as real numbers, (samples, classes)."""
        return None if self.logits is None else self.logits / float(self.scale)

    @property
    def outputs(self) -> NDArray[np.float64] | None:
        """What the model makes of `values` in the end, (samples, classes)."""
        values = self.values
        return None if values is None else finished(self.last, values)


def answer_of(
    card: ModelCard, query: int, samples: int, result: Mapping[str, Any], seconds: float, retries: int
) -> Answer:
    """Return the answer in what the centre said of a query.

    Raises:
        PeerProtocolError: logits or classes are not those of this model.
    """
    logits: NDArray[np.int64] | None = None
    classes: NDArray[np.int64] | None = None
    try:
        if "logits" in result:
            logits = np.array(result["logits"], np.int64).reshape(card.batch, len(card.labels))[:samples]
            classes = logits.argmax(axis=1)
        elif "classes" in result:
            classes = np.array(result["classes"], np.int64).reshape(card.batch)[:samples]
    except (ValueError, TypeError, OverflowError) as error:
        raise PeerProtocolError(f"HC: the result of query {query} is none of {card.model}: {error}") from error
    if classes is not None and ((classes < 0) | (classes >= len(card.labels))).any():
        raise PeerProtocolError(f"HC: the result of query {query} names a class that {card.model} does not have")
    return Answer(
        query, card.deployment, card.model, card.version, samples, logits, classes, card.labels, card.scale,
        card.digits, card.error_bound, seconds, retries, card.last,
    )  # fmt: skip
