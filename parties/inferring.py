"""From a file or a stream of readings to answers of a running service, a line each, as soon as each is there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import trio

from parties.answering import Answers, one_by_one
from parties.failure import exit_code, first_cause, sentence
from parties.service.cards import Answer
from parties.stream import from_thread, start_stream
from pehealth.data.readings import STREAM, Format, format_of, open_rows
from pehealth.data.windows import Sample, Shaping, Tally
from pehealth.errors import ConfigError, PehealthError
from transport.errors import TransportError

STREAM_NAME = "standard input"


@dataclass(frozen=True)
class Inference:
    """What is to be answered, and how.

    Attributes:
        file: where the readings are; "-" is standard input.
        kind: its format; None: by its ending, CSV for standard input.
        window, stride, clip: as `Shaping`.
        in_flight: queries under way at once.
        keep_going: a sample that fails does not end the rest.
    """

    file: Path
    kind: Format | None = None
    window: int | None = None
    stride: int | None = None
    clip: bool = False
    in_flight: int = 4
    keep_going: bool = False

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise ConfigError(f"--in-flight {self.in_flight} must be at least 1")
        if self.file != STREAM and not self.file.is_file():
            raise ConfigError(f"{self.file} is not a file")

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open the readings.

        Standard input gets a reader of its own that is never closed: a thread may be left behind in its wait, and
        closing would wait for it.
        """
        if self.file == STREAM:
            return nullcontext(os.fdopen(sys.stdin.fileno(), "rb", closefd=False))
        return self.file.open("rb")


@dataclass(frozen=True, eq=False)
class Line:
    """One sample's outcome.

    Attributes:
        place: which sample, from 0.
        sample: its readings, and where they were.
        answer: what the service said; None if it failed.
        error: why it failed.
    """

    place: int
    sample: Sample
    answer: Answer | None
    error: Exception | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the line's fields, for a program to read."""
        head = {"sample": self.place, "line": self.sample.number, "clipped": self.sample.clipped}
        a = self.answer
        if a is None:
            error = self.error or ValueError()
            return {**head, "error": sentence(error), "kind": type(error).__name__, "code": exit_code(error)}
        values, known = a.values, None if a.classes is None else int(a.classes[0])
        return {
            **head,
            "query": a.query,
            "model": a.model,
            "version": a.version,
            "class": known,
            "label": None if known is None else a.labels[known],
            "logits": None if values is None else values[0].tolist(),
            **({} if a.outputs is None or a.last == "logits" else {"outputs": a.outputs[0].tolist()}),
            "error_bound": a.error_bound / a.scale,
            "digits": a.digits,
            "seconds": round(a.seconds, 6),
            "retries": a.retries,
        }

    def to_text(self) -> str:
        """Return the line for people, below `HEADER`."""
        shown = self.to_json()
        head = f"{shown['sample']:>6}  {shown['line']:>6}"
        if self.answer is None:
            return f"{head}  failed: {shown['error']}"
        label = "(receipt)" if shown["label"] is None else shown["label"]
        logit = "" if shown["logits"] is None else f"{shown['logits'][shown['class']]:.4f}"
        model = f"{shown['model']}@{shown['version']}"
        notes = [f"{shown['clipped']} clipped"] * bool(shown["clipped"])
        notes += [f"asked {shown['retries'] + 1} times"] * bool(shown["retries"])
        result = f"{shown['query']:>8}  {label:<20}  {logit:>10}  {shown['error_bound']:>8.2g}  {shown['digits']:>6}"
        return f"{head}  {result}  {shown['seconds']:>8.4f}  {model}  {', '.join(notes)}".rstrip()


HEADER = (
    f"{'sample':>6}  {'line':>6}  {'query':>8}  {'label':<20}  {'logit':>10}  {'error <=':>8}  {'digits':>6}"
    f"  {'seconds':>8}  model"
)
Show = Callable[[Line], None]


def as_json(line: Line) -> str:
    """Return a line as one JSON document."""
    return json.dumps(line.to_json(), allow_nan=False)


def run_inference(
    opened: AbstractAsyncContextManager[Answers], inference: Inference, show: Show, begin: Callable[[], None]
) -> Tally:
    """Run `infer_all` in an event loop of its own, and return what was read.

    Raises:
        PehealthError, TransportError: the first cause of the end, one of them.
    """
    try:
        return trio.run(_run, opened, inference, show, begin)
    except BaseExceptionGroup as group:
        raise first_cause(group) from None


async def _run(
    opened: AbstractAsyncContextManager[Answers], inference: Inference, show: Show, begin: Callable[[], None]
) -> Tally:
    async with opened as client:
        return await infer_all(client, inference, show, begin)


async def infer_all(client: Answers, inference: Inference, show: Show, begin: Callable[[], None]) -> Tally:
    """Have every sample answered and show each outcome as soon as it is there; return what was read.

    Args:
        client: of the service.
        inference: what to read.
        show: takes each outcome.
        begin: called once, before the first.

    Raises:
        ConfigError, RangeError: the readings cannot be used; what came before was answered and shown.
        PehealthError, TransportError: a sample failed: the first, at once, or with `keep_going` after the last.
    """
    card, tally = client.card, Tally()
    shaping = Shaping(card.inputs, card.ranges, inference.window, inference.stride, inference.clip)
    kind = format_of(inference.file, inference.kind)
    name = STREAM_NAME if inference.file == STREAM else str(inference.file)
    begin()
    failure: Exception | None = None
    with inference.open() as stream:
        samples = from_thread(shaping.samples(open_rows(stream, name, kind, shaping.columns), tally))
        async with trio.open_nursery() as nursery:
            work = _Work(client, keep_going=inference.keep_going)
            results = start_stream(
                nursery, samples, work, together=card.batch, in_flight=inference.in_flight, ordered=False
            )
            async for place, sample, outcome in results:
                line = Line(place, sample, *outcome)
                failure = failure or line.error
                show(line)
    if not tally.samples:
        raise ConfigError(f"{name} holds no sample: {tally.rows} rows, and a sample takes {inference.window or 1}")
    if failure is not None:
        raise failure
    return tally


@dataclass(frozen=True, eq=False)
class _Work:
    """Makes outcomes of samples; with `keep_going` a failure is one, too."""

    client: Answers
    keep_going: bool

    async def __call__(self, samples: Sequence[Sample]) -> Sequence[tuple[Answer | None, Exception | None]]:
        try:
            answers = await self.client.infer(np.stack([sample.values for sample in samples]))
        except (PehealthError, TransportError) as error:
            if not self.keep_going:
                raise
            return [(None, error)] * len(samples)
        return [(answer, None) for answer in one_by_one(answers)]
