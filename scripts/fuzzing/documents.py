"""JSON that other runs have written: traces, results, and what parties report of their messages."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from fuzzing.scratch import scratch_file
from fuzzing.target import Source, Target, demand
from parties.documents import read_result
from parties.replaying import own_settings
from parties.tracing import read_trace
from pehealth.errors import ConfigError
from pehealth.experiments.recorded import queries_of
from pehealth.experiments.replay_record import replay_result
from pehealth.experiments.steps import QueryTrace, RunTrace, Step
from pehealth.nets.record import RunParameters, Security
from transport.errors import TransportError
from transport.trace import Event, Trace

_FILE, _RESULT, _WIRE = 0, 1, 2
_ODD = (0, -1, 10**30, 1e308, -0.5, float("inf"), float("nan"), None, "", "E1", [], {}, True, "sent", 2**32, 7)


def run(data: bytes) -> None:
    """Read a document, or a valid one with one or two values replaced, and replay what could be read."""
    source = Source(data)
    mode, built = source.below(3), source.below(2)
    text = _changed(source, mode) if built else source.rest()
    if mode == _WIRE:
        trace = Trace.from_wire(_loads(text))
        demand(Trace.from_wire(trace.to_wire()) == trace or text.find(b"NaN") >= 0, "a trace does not come back")
        _ = trace.messages(), queries_of(Trace.merge([trace, trace]))
        return
    with scratch_file(text, "trace.json") as path:
        if mode == _RESULT:
            read_result(path)
            return
        trace = read_trace(path)
    replay_result(trace, own_settings(trace), own_settings(trace), "online")


def _loads(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError("no JSON") from error


def _changed(source: Source, mode: int) -> bytes:
    """Return a valid document in which a path of choices leads to a value that is replaced."""
    document: Any = json.loads(_wire() if mode == _WIRE else _trace())
    for _ in range(1 + source.below(2)):
        place = document
        for _ in range(source.below(7)):
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = list(keys)[source.octet() % len(keys)]
            if source.below(4) == 0 or not isinstance(place[key], dict | list):
                place[key] = copy.deepcopy(_ODD[source.below(len(_ODD))])
                break
            place = place[key]
    return json.dumps(document).encode()


@cache
def _trace() -> str:
    def step(kind: str, peer: str = "", size: int = 0) -> Step:
        return Step(kind, 1, 0.5, 1.0, peer, size=size)  # type: ignore[arg-type]

    programs = {
        "HMS1": (step("compute"), step("send", "E1", 100), step("send", "E2", 100)),
        "E1": (step("take", "HMS1"), step("send", "E2", 50), step("take", "E2"), step("send", "HC", 9)),
        "E2": (step("take", "HMS1"), step("send", "E1", 50), step("take", "E1"), step("send", "HC", 9)),
        "HC": (step("take", "E1"), step("take", "E2"), step("compute")),
    }
    security, parameters = Security(128, insecure=False), RunParameters(4, 40)
    query = QueryTrace("online", 1, programs)
    return json.dumps(
        RunTrace("example", "dealt", parameters, security, "model", ("0.input", "1.x"), (query,)).to_json()
    )


@cache
def _wire() -> str:
    events = (
        Event("sent", "E1", 1, 0.0, 0.1, "E2", 3 << 30 | 1 << 16, 40, 1),
        Event("arrived", "E2", 1, 0.2, 0.2, "E1", 3 << 30 | 1 << 16, 40, 1),
        Event("taken", "E2", 1, 0.1, 0.3, "E1", 3 << 30 | 1 << 16, 40, 1),
        Event("computed", "E2", 1, 0.0, 0.5, tag=3 << 30 | 1 << 16, name="layer"),
    )
    return json.dumps(Trace(1000.0, events).to_wire())


def seeds() -> list[bytes]:
    """Documents as they are written, and changed ones."""
    whole = [
        bytes((_FILE, 0)) + _trace().encode(),
        bytes((_RESULT, 0)) + _trace().encode(),
        bytes((_WIRE, 0)) + _wire().encode(),
    ]
    built = [bytes((mode, 1, 0, 5, n, 1, 1, 1, 1, 1, 0, n)) for mode in (_FILE, _WIRE) for n in range(14)]
    return whole + built


TARGET = Target("document", run, (ConfigError, TransportError), seeds, most_bytes=6000)
