"""The record of a run, schema 1: what `--json` writes and what every report and comparison reads.

`RunResult` mirrors pehealth/schema/result-1.json field by field; docs/results.md says what each one means. Bytes are
per link ("E1->E2"), counted at the frame; times are seconds; both are per run of `batch` samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

from pehealth import __version__, schema
from pehealth.config import Engine, Parameters
from pehealth.errors import ConfigError
from pehealth.nets.machine import Machine

SCHEMA = 1
OPTIONAL = "optional"
"""Marks a field that is left out of the document where it is None."""
PHASES = ("setup", "offline", "online")
# The order of both documents.
# fmt: off
RESULT_FIELDS = (
    "version", "command", "machine", "net", "engine", "parameters", "security", "samples", "scale", "accuracy",
    "phases", "layers", "planned", "error_bound", "near_ties",
)
PLAN_FIELDS = (
    "net", "engine", "parameters", "security", "scale", "planned", "error_bound", "material", "queries", "memory",
    "notes",
)
# fmt: on

Links = Mapping[str, "LinkCount"]
Ops = Mapping[str, float]


@dataclass(frozen=True)
class LinkCount:
    """What one party sent to another: payload bytes, framing bytes, messages."""

    payload: int = 0
    framing: int = 0
    messages: int = 0

    @property
    def bytes(self) -> int:
        """Payload and framing."""
        return self.payload + self.framing

    def __add__(self, other: LinkCount) -> LinkCount:
        return LinkCount(self.payload + other.payload, self.framing + other.framing, self.messages + other.messages)


@dataclass(frozen=True)
class PhaseCost:
    """What one phase cost, planned or measured."""

    server_rounds: int = 0
    depth: int = 0
    ops: Ops = field(default_factory=dict)
    links: Links = field(default_factory=dict)


@dataclass(frozen=True)
class PhaseRecord(PhaseCost):
    """What one phase cost as measured."""

    seconds: float = 0.0


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs online; `name` is such as "1.conv2d", `kind` one of the schema's ten."""

    name: str
    kind: str
    server_rounds: int = 0
    links: Links = field(default_factory=dict)
    ops: Ops = field(default_factory=dict)


@dataclass(frozen=True)
class LayerRecord(LayerCost):
    """What one layer cost as measured; `seconds` by server."""

    seconds: Mapping[str, float] = field(default_factory=lambda: {"E1": 0.0, "E2": 0.0})


@dataclass(frozen=True)
class Planned:
    """What the plan said before the run."""

    phases: Mapping[str, PhaseCost] = field(default_factory=lambda: {phase: PhaseCost() for phase in PHASES})
    layers: tuple[LayerCost, ...] = ()


@dataclass(frozen=True)
class RunParameters:
    """The settings of a run that its figures depend on."""

    digits: int
    ring: int
    group: str | None = None
    walk: int | None = None
    cap: int | None = None
    lattice: str | None = None
    batch: int = 1
    transport: str = "memory"
    tls: bool = False
    network: str | None = None
    reveal: str = "logits"

    @classmethod
    def of(cls, parameters: Parameters, *, transport: str, tls: bool, network: str | None) -> Self:
        """Return the record of `parameters` over `transport`."""
        return cls(
            digits=parameters.digits,
            ring=parameters.ring,
            group=parameters.group.value if parameters.group is not None else None,
            walk=parameters.walk,
            cap=parameters.cap,
            lattice=parameters.lattice,
            batch=parameters.batch,
            transport=transport,
            tls=tls,
            network=network,
            reveal=parameters.reveal,
        )


@dataclass(frozen=True)
class Security:
    """Bits of the weakest assumption; whether that is too few; what the servers learn by the protocol itself."""

    bits: int
    insecure: bool
    reveals: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Parameters, reveals: Sequence[str] = ()) -> Self:
        """Return what `parameters` offer; `reveals` of "activation_signs", "pool_argmax"."""
        return cls(parameters.security_bits, parameters.insecure, tuple(reveals))


@dataclass(frozen=True)
class Sample:
    """One patient: the private prediction beside the plaintext one.

    Attributes:
        index: in the data set.
        label: the true class; None where nobody knows it.
        prediction: the class that the secure run gave.
        plain_prediction: the class of the float network.
        logits_int: what the centre received, in units of 1/scale; empty where it received the class alone.
        ideal_int: the oracle `ideal`, in the same units.
        logits: logits_int / scale.
        plain_logits: of the float network.
        online_seconds: from the sensor's first send to the centre's result, of the run that held this sample.
        outputs: what the centre made of `logits` (softmax, say); None where its last step is nothing.
    """

    index: int
    label: int | None
    prediction: int
    plain_prediction: int
    logits_int: tuple[int, ...]
    ideal_int: tuple[int, ...]
    logits: tuple[float, ...]
    plain_logits: tuple[float, ...]
    online_seconds: float
    outputs: tuple[float, ...] | None = field(default=None, metadata={OPTIONAL: True})


@dataclass(frozen=True)
class Accuracy:
    """Share of right classes: of the secure run, the float network, and always saying the commonest class."""

    secure: float | None = None
    plain: float | None = None
    majority: float | None = None


@dataclass(frozen=True)
class RunResult:
    """One run; the attributes are those of schema 1, but for `notes`: sentences for the reader of the report."""

    command: str
    net: str
    engine: Engine
    parameters: RunParameters
    security: Security
    samples: tuple[Sample, ...]
    scale: int
    accuracy: Accuracy
    phases: Mapping[str, PhaseRecord]
    layers: tuple[LayerRecord, ...]
    planned: Planned
    error_bound: float
    near_ties: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    machine: Machine = field(default_factory=Machine.here)
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        """Return the document, in the order of the schema; it is not checked yet (`validate`)."""
        return {"schema": SCHEMA, **{name: _plain(getattr(self, name)) for name in RESULT_FIELDS}}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """Return the record behind a document that `to_json` made.

        Raises:
            ConfigError: it does not keep schema 1; every difference is listed.
        """
        validate(document)
        # The schema has just vouched for every type below.
        d = cast("Mapping[str, Any]", document)
        return cls(
            command=d["command"],
            net=d["net"],
            engine=Engine(d["engine"]),
            parameters=RunParameters(**d["parameters"]),
            security=Security(**{**d["security"], "reveals": tuple(d["security"]["reveals"])}),
            samples=tuple(_sample(s) for s in d["samples"]),
            scale=d["scale"],
            accuracy=Accuracy(**d["accuracy"]),
            phases={name: PhaseRecord(**_links(p)) for name, p in d["phases"].items()},
            layers=tuple(LayerRecord(**_links(layer)) for layer in d["layers"]),
            planned=_planned(d["planned"]),
            error_bound=d["error_bound"],
            near_ties=tuple(d["near_ties"]),
            machine=Machine(**d["machine"]),
            version=d["version"],
        )


@dataclass(frozen=True)
class PlanResult:
    """What a run will cost, computed without running: pehealth/schema/plan-1.json.

    Attributes:
        material: bytes of one-time material a query, by party.
        queries: how many are planned.
        memory: peak bytes of arrays, by party.
        notes: sentences for the reader, such as the probability of an output that is one unit off.
    """

    net: str
    engine: Engine
    parameters: RunParameters
    security: Security
    scale: int
    planned: Planned
    error_bound: float
    material: Mapping[str, int] = field(default_factory=dict)
    queries: int = 1
    memory: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        """Return the document, in the order of the schema."""
        body = {name: _plain(getattr(self, name)) for name in PLAN_FIELDS}
        return {"schema": SCHEMA, "version": self.version, "command": "plan", **body}


def validate(document: Mapping[str, object]) -> None:
    """Raise unless `document` keeps result-1.json, its counts fit together and it names every sample once.

    Raises:
        ConfigError: it does not; every difference is listed.
    """
    schema.check(document, schema.RESULT)
    d = cast("Mapping[str, Any]", document)
    indices = [s["index"] for s in d["samples"]]
    problems = [f"near_ties names sample {i}, which was not run" for i in d["near_ties"] if i not in indices]
    if len(set(indices)) != len(indices):
        problems.append("samples holds an index twice")
    if problems:
        raise ConfigError(*(f"not a {schema.RESULT} document: {problem}" for problem in problems))


def _plain(value: object) -> object:
    """Return `value` as JSON's own types."""
    if dataclasses.is_dataclass(value):
        named = [(f, getattr(value, f.name)) for f in dataclasses.fields(value)]
        return {f.name: _plain(v) for f, v in named if v is not None or OPTIONAL not in f.metadata}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _links(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "links": {name: LinkCount(**count) for name, count in entry["links"].items()}}


def _sample(entry: Mapping[str, Any]) -> Sample:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return Sample(**fields)


def _planned(entry: Mapping[str, Any]) -> Planned:
    return Planned(
        {name: PhaseCost(**_links(p)) for name, p in entry["phases"].items()},
        tuple(LayerCost(**_links(layer)) for layer in entry["layers"]),
    )
