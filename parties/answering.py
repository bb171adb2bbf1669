"""A client's answers, sample by sample: what `pehealth infer` prints and `pehealth.api` returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from parties.service.cards import Answer, ModelCard
from parties.settings import Settings, load_settings
from parties.start import role_of
from pehealth.config import Party
from pehealth.errors import ConfigError


class Answers(Protocol):
    """What answers samples: `parties.service.client.Client`."""

    card: ModelCard

    async def models(self) -> list[ModelCard]:
        """Return every deployed version of every model."""
        ...

    async def infer(self, readings: NDArray[np.float64], *, normalised: bool = False) -> list[Answer]:
        """Return the answers to samples (n, ...), in their order: one a query."""
        ...


def client_settings(path: Path) -> Settings:
    """Return the settings of a client.

    Raises:
        ConfigError: every problem in the file; or it is another party's.
    """
    settings = load_settings(path)
    if role_of(settings.party) is not Party.HMS:
        raise ConfigError(f"{path}: {settings.party} asks for nothing: give a client's settings, HMS1 or so")
    return settings


def named(text: str) -> tuple[str, int | None]:
    """Return the name and the version in "NAME" or "NAME@VERSION"; no version means the newest.

    Raises:
        ConfigError: the version is no number.
    """
    name, at, version = text.partition("@")
    if not at:
        return name, None
    if not (version.isascii() and version.isdecimal() and name):
        raise ConfigError(f"{text!r} names no model: expected NAME, or NAME@VERSION such as clinic@3")
    return name, int(version)


def one_by_one(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield an answer a sample, in order; those of one query share its number."""
    for answer in answers:
        for place in range(answer.samples):
            part = slice(place, place + 1)
            yield dataclasses.replace(
                answer,
                samples=1,
                logits=None if answer.logits is None else answer.logits[part],
                classes=None if answer.classes is None else answer.classes[part],
            )


def answering(
    client: Answers, *, normalised: bool = False
) -> Callable[[Sequence[NDArray[np.float64]]], Awaitable[Sequence[Answer]]]:
    """Return what makes answers of samples, for `parties.stream.start_stream`."""

    async def work(samples: Sequence[NDArray[np.float64]]) -> Sequence[Answer]:
        return list(one_by_one(await client.infer(np.stack(samples), normalised=normalised)))

    return work
