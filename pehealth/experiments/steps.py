"""What a run did, as programs: for each query and party what it computed, sent and took, in order. The trace file.

`pehealth/schema/trace-1.json` is this module's form on disk; docs/replay.md explains it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self, cast

from pehealth import __version__, schema
from pehealth.errors import ConfigError
from pehealth.nets.machine import Machine
from pehealth.nets.record import RunParameters, Security

SCHEMA = 1
Kind = Literal["compute", "send", "take"]
Phase = Literal["setup", "offline", "online"]
Clock = Literal["real", "virtual", "model"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a party does before it does the next. Times are seconds since the start of the trace.

    Attributes:
        kind: "compute", "send" (lasts until the link has taken the message) or "take" (lasts as long as it waits).
        layer: index of the layer that it serves; 0 is the input, the one after the last the output.
        began, ended: when, in the run that was traced.
        peer: the other end of a message.
        step: which message of the layer.
        size: bytes of payload.
        depth: longest chain of messages that ends in this one.
        arrived: of "take": when the message had arrived.
    """

    kind: Kind
    layer: int
    began: float
    ended: float
    peer: str = ""
    step: int = 0
    size: int = 0
    depth: int = 0
    arrived: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it took when it was traced."""
        return self.ended - self.began

    def to_row(self) -> list[object]:
        """Return the step as a row of the file."""
        row: list[object] = [self.kind, self.layer, self.began, self.ended]
        if self.kind != "compute":
            row += [self.peer, self.step, self.size, self.depth]
        return [*row, self.arrived] if self.kind == "take" else row


@dataclass(frozen=True)
class QueryTrace:
    """One query in one phase: the program of each party."""

    phase: Phase
    query: int
    programs: Mapping[str, tuple[Step, ...]]

    def problems(self) -> list[str]:
        """Return every link on which another number of messages was sent than taken; or that nobody did anything."""
        sent, taken = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for party, steps in self.programs.items():
            sent.update((party, s.peer) for s in steps if s.kind == "send")
            taken.update((s.peer, party) for s in steps if s.kind == "take")
        where = f"{self.phase} phase of query {self.query}"
        if not any(self.programs.values()):
            return [f"{where}: nobody did anything"]
        return [
            f"{where}: {a} sent {sent[a, b]} messages to {b}, which took {taken[a, b]}"
            for a, b in sorted(sent.keys() | taken.keys())
            if sent[a, b] != taken[a, b]
        ]


@dataclass(frozen=True)
class RunTrace:
    """A trace file.

    Attributes:
        net, engine, parameters, security: of the run, as in its record.
        clock: "virtual" if time was, "model" if nothing ran and a plan was asked, else "real".
        layers: the name of each layer by its index, input and output included.
        in_flight: queries that were under way at once.
        queries: every query in every phase; the set-up is query 0.
        machine: what computed.
        command: which command wrote the file.
    """

    net: str
    engine: str
    parameters: RunParameters
    security: Security
    clock: Clock
    layers: tuple[str, ...]
    queries: tuple[QueryTrace, ...]
    in_flight: int = 1
    machine: Machine = dataclasses.field(default_factory=Machine.here)
    command: str = "run"
    version: str = __version__

    @cached_property
    def parties(self) -> tuple[str, ...]:
        """Everybody who did anything: sensors, then the servers, the centre and the dealer."""
        names = {name for query in self.queries for name in query.programs}
        return tuple(sorted(names, key=lambda name: (not name.startswith("HMS"), *_place(name))))

    def phase(self, phase: Phase) -> tuple[QueryTrace, ...]:
        """Return the queries of a phase, in order."""
        return tuple(sorted((q for q in self.queries if q.phase == phase), key=lambda q: q.query))

    def to_json(self) -> dict[str, Any]:
        """Return the document; it is not checked yet."""
        names = ("version", "command", "net", "engine", "clock", "in_flight")
        records = ("machine", "parameters", "security")
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in names},
            **{name: _plain(dataclasses.asdict(getattr(self, name))) for name in records},
            "layers": list(self.layers),
            "queries": [
                {
                    "phase": q.phase,
                    "query": q.query,
                    "programs": {party: [s.to_row() for s in steps] for party, steps in q.programs.items()},
                }
                for q in self.queries
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """Return the trace behind a document that `to_json` made.

        Raises:
            ConfigError: it does not keep the schema, or was cut; every difference is listed.
        """
        schema.check(document, schema.TRACE)
        # The schema has just vouched for every type below.
        d = cast("Mapping[str, Any]", document)
        queries = tuple(
            QueryTrace(
                q["phase"],
                q["query"],
                {party: tuple(Step(*row[:8], *row[8:]) for row in rows) for party, rows in q["programs"].items()},
            )
            for q in d["queries"]
        )
        trace = cls(
            net=d["net"],
            engine=d["engine"],
            parameters=RunParameters(**d["parameters"]),
            security=Security(**{**d["security"], "reveals": tuple(d["security"]["reveals"])}),
            clock=d["clock"],
            layers=tuple(d["layers"]),
            queries=queries,
            in_flight=d["in_flight"],
            machine=Machine(**d["machine"]),
            command=d["command"],
            version=d["version"],
        )
        trace.check()
        return trace

    def check(self) -> None:
        """Check that the trace is whole.

        Raises:
            ConfigError: messages are missing, or a step names a party or a layer that is not there.
        """
        problems = [problem for query in self.queries for problem in query.problems()]
        last = len(self.layers) - 1
        if any(not 0 <= s.layer <= last for q in self.queries for steps in q.programs.values() for s in steps):
            problems.append(f"a step belongs to no layer of 0..{last}")
        if problems:
            raise ConfigError(*(f"this trace cannot be replayed: {problem}" for problem in problems[:10]))


def _place(name: str) -> tuple[int, str]:
    order = ("HMS", "E1", "E2", "HC", "DEALER")
    return next((i for i, start in enumerate(order) if name.startswith(start)), len(order)), name.rjust(8)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
