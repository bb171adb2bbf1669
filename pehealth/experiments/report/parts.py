"""Experiments and their stored results: each is a part of its own, keyed by a digest of its parameters.

A part that is done is not done again (`resume`); one that fails is told in the page and stops nothing else.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pehealth import __version__
from pehealth.errors import ConfigError

Result = dict[str, Any]
Progress = Callable[[str, int, int], None]
Status = Literal["done", "failed"]


@dataclass(frozen=True)
class Experiment:
    """Something to be measured.

    Attributes:
        name: unique, such as "run mnist-e paper toy32 fast d=1".
        parameters: everything that its result depends on, as JSON.
        measure: does it and returns JSON; called with nobody else computing.
        revision: raised when the same parameters come to mean another measurement.
    """

    name: str
    parameters: Mapping[str, Any]
    measure: Callable[[], Result]
    revision: int = 1

    @property
    def digest(self) -> str:
        """SHA-256 of version, name, revision and parameters, 24 hexadecimal digits."""
        known = [__version__, self.name, self.revision, self.parameters]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Part:
    """A measured experiment.

    Attributes:
        result: what `measure` gave; empty if it failed.
        problem: why it failed, in a sentence.
        seconds: how long it took.
    """

    name: str
    digest: str
    status: Status
    seconds: float
    parameters: Mapping[str, Any]
    result: Result
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the part as it is stored, and as it stands in report-1.json."""
        return {
            "name": self.name,
            "digest": self.digest,
            "status": self.status,
            "seconds": self.seconds,
            "parameters": dict(self.parameters),
            "result": self.result,
            "problem": self.problem,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Part:
        """Return the part behind `to_json`.

        Raises:
            ConfigError: a field is missing or too many.
        """
        try:
            return cls(**document)
        except TypeError as error:
            raise ConfigError(f"not a part of a report: {error}") from error


class MissingPart(Exception):
    """A table, figure or claim needs an experiment that was not done or failed; says which and why."""


class Parts(Mapping[str, Result]):
    """The results by experiment's name; what is not there says why."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.all = tuple(parts)
        self._by_name = {part.name: part for part in parts}

    def __getitem__(self, name: str) -> Result:
        """Return a result.

        Raises:
            MissingPart: the experiment failed or was no part of this report.
        """
        part = self._by_name.get(name)
        if part is None:
            raise MissingPart(f"{name} was not measured")
        if part.status != "done":
            raise MissingPart(f"{name} failed: {part.problem}")
        return part.result

    def __contains__(self, name: object) -> bool:
        """True if the experiment is done."""
        part = self._by_name.get(name) if isinstance(name, str) else None
        return part is not None and part.status == "done"

    def __iter__(self) -> Iterator[str]:
        """Names of what is done."""
        return (part.name for part in self.all if part.status == "done")

    def __len__(self) -> int:
        """How many are done."""
        return sum(part.status == "done" for part in self.all)


class PartStore:
    """Parts as files of a folder, one each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, experiment: Experiment) -> Part | None:
        """Return the stored part of exactly this experiment, or None: absent, unreadable or of other parameters."""
        try:
            part = Part.from_json(json.loads(self._path(experiment.digest).read_text(encoding="utf-8")))
        except (OSError, ValueError, ConfigError):
            return None
        return part if part.digest == experiment.digest and part.status == "done" else None

    def save(self, part: Part) -> None:
        """Store a part, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(part.digest)
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps(part.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(path)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"


def perform(experiments: Sequence[Experiment], store: PartStore, progress: Progress, *, resume: bool = True) -> Parts:
    """Do every experiment that is not stored yet, one after the other, and return all parts."""
    parts = []
    for at, experiment in enumerate(experiments):
        progress(f"report: {experiment.name}", at, len(experiments))
        part = store.load(experiment) if resume else None
        if part is None:
            part = measure(experiment)
            if part.status == "done":
                store.save(part)
        parts.append(part)
    progress("report", len(experiments), len(experiments))
    return Parts(parts)


def measure(experiment: Experiment) -> Part:
    """Do one experiment; whatever goes wrong becomes a failed part."""
    began = time.perf_counter()
    result: Result = {}
    problem = ""
    try:
        result = experiment.measure()
    except Exception as error:  # noqa: BLE001 - one failure must not cost the others; it is shown in the page
        problem = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - began
    status: Status = "failed" if problem else "done"
    return Part(experiment.name, experiment.digest, status, seconds, experiment.parameters, result, problem)
