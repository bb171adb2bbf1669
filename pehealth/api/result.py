"""What an inference gave: one record for a sample or for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from parties.service.cards import Answer
from pehealth.errors import ConfigError, RangeError
from pehealth.nets.last import Last, finished


@dataclass(frozen=True, eq=False)
class Result:
    """What came of one sample, or of several. `len` says of how many; iterating gives a result for each.

    Attributes:
        queries: the number of each sample's query, which names it in everybody's logs; a batch shares one.
        model: the model's name.
        version: its version; 0 for `run_local`, where nothing is deployed.
        classes: the class of each sample; None if the centre keeps results to itself (a receipt).
        labels: the classes' names; None for a receipt.
        logits: float64 (samples, classes); None for a receipt, and where the class alone is revealed.
        error_bound: by how much a logit may differ from that of the same network computed without rounding errors in
            between, at most; proven for the model before it was deployed.
        digits: decimal digits that readings keep.
        seconds: from the call to the answer, retries included.
        retries: how often a query had to be asked again.
        last: what the model makes of its logits in the end: "logits" (nothing), "softmax", "log_softmax" or "sigmoid".
    """

    queries: tuple[int, ...]
    model: str
    version: int
    classes: tuple[int, ...] | None
    labels: tuple[str, ...] | None
    logits: NDArray[np.float64] | None = field(repr=False)
    error_bound: float
    digits: int
    seconds: float
    retries: int = 0
    last: Last = field(default="logits", repr=False)

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[Result]:
        return (self._part(slice(place, place + 1)) for place in range(len(self)))

    @property
    def outputs(self) -> NDArray[np.float64] | None:
        """What the model gives in the end, (samples, classes): its last step on the logits; None without them."""
        return None if self.logits is None else finished(self.last, self.logits)

    @property
    def query(self) -> int:
        """The query's number, of a result of one sample. Raises ValueError for several, as do the others."""
        self._single()
        return self.queries[0]

    @property
    def class_index(self) -> int | None:
        """The class of the one sample; None for a receipt."""
        self._single()
        return None if self.classes is None else self.classes[0]

    @property
    def label(self) -> str | None:
        """The name of the one sample's class; None for a receipt."""
        self._single()
        return None if self.labels is None else self.labels[0]

    @property
    def sure(self) -> bool | None:
        """True if no error within the bound could change the one sample's class; None without logits."""
        self._single()
        if self.logits is None:
            return None
        best, second = np.sort(self.logits[0])[::-1][:2] if self.logits.shape[1] > 1 else (np.inf, 0.0)
        return bool(best - second > 2 * self.error_bound)

    def _single(self) -> None:
        if len(self) != 1:
            raise ValueError(f"this result is of {len(self)} samples: iterate over it, or use the plural")

    def _part(self, part: slice) -> Result:
        return replace(
            self,
            queries=self.queries[part],
            classes=None if self.classes is None else self.classes[part],
            labels=None if self.labels is None else self.labels[part],
            logits=None if self.logits is None else self.logits[part],
        )


def result_of(answers: Sequence[Answer], seconds: float | None = None) -> Result:
    """Return the result in a client's answers to one call; all are of one model.

    Args:
        answers: at least one.
        seconds: what the call took; None: what the slowest query took.
    """
    first = answers[0]
    classes = _joined([a.classes for a in answers])
    logits = _joined([a.values for a in answers])
    known = None if classes is None else tuple(int(c) for c in classes)
    return Result(
        queries=tuple(a.query for a in answers for _ in range(a.samples)),
        model=first.model,
        version=first.version,
        classes=known,
        labels=None if known is None else tuple(first.labels[c] for c in known),
        logits=logits,
        error_bound=first.error_bound / first.scale,
        digits=first.digits,
        seconds=max(a.seconds for a in answers) if seconds is None else seconds,
        retries=sum(a.retries for a in answers),
        last=first.last,
    )


def _joined(parts: Sequence[NDArray[np.generic] | None]) -> NDArray[np.float64] | None:
    arrays = [part for part in parts if part is not None]
    return np.concatenate(arrays) if len(arrays) == len(parts) else None


def numbers_of(x: ArrayLike) -> NDArray[np.float64]:
    """Return numbers as float64. Raises ConfigError for anything else."""
    try:
        return np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"samples are numbers, all of the same shape: {error}") from error


def samples_of(x: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return one sample or a batch, shaped or flat, as float64 (samples, inputs).

    Raises:
        ConfigError: these are no samples of this shape.
        RangeError: a reading is no finite number.
    """
    inputs, values = int(np.prod(shape)), numbers_of(x)
    batched = values.ndim > 0 and (values.shape[1:] == shape or values.shape[1:] == (inputs,))
    if values.shape != shape and values.shape != (inputs,) and not batched:
        raise ConfigError(
            f"samples of the shape {values.shape}: expected one of {shape} or of {inputs} readings, or a batch of them"
        )
    flat = values.reshape(-1, inputs)
    if not len(flat):
        raise ConfigError("there is no sample in an empty batch")
    if not np.isfinite(flat).all():
        sample, place = map(int, np.argwhere(~np.isfinite(flat))[0])
        raise RangeError(f"sample {sample}: reading {place} is not a finite number")
    return flat
