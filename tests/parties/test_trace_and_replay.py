"""A trace of a run, replayed under other networks, is what the run takes there: exactly, in virtual time."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path

import pytest

from parties.launch import is_virtual, perform_job, run
from parties.request import RunRequest, Transport
from parties.resolve import Job, resolve
from parties.tracing import read_trace, trace_of
from pehealth.config import Engine, GroupName
from pehealth.errors import ConfigError
from pehealth.experiments.critical import critical_path, totals
from pehealth.experiments.replay import Settings, replay, typical
from pehealth.experiments.steps import Phase, RunTrace
from pehealth.experiments.synthetic import trace_of_plan
from transport.network import parse_network

NETWORKS = ("lan", "wan", "4g", "3ms,1mbit", "wan,tcp")
ENGINES = (Engine.PAPER, Engine.DEALT, Engine.RLWE)


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


@cache
def job_of(engine: Engine) -> Job:
    """Two queries; the paper's walks are so short that its results are wrong, which changes no message."""
    paper = engine is Engine.PAPER
    return resolve(
        RunRequest(
            net="clinic", engine=engine, group=GroupName.TOY32 if paper else None, digits=1 if paper else 4,
            batch=2, samples=4, sensors=2, insecure_seed=1, trace=Path("unused"),
            walk=3 if paper else "right",
        )
    )  # fmt: skip


def traced(job: Job, network: str) -> tuple[RunTrace, list[float]]:
    """Run under a virtual clock; return the trace and the online seconds of each query."""
    job = dataclasses.replace(job, request=dataclasses.replace(job.request, network=network))
    outcome = perform_job(job, quiet)
    seconds = [outcome.collected[q] - outcome.submitted[q] for q in sorted(outcome.collected)]
    return trace_of(job, outcome, "run", virtual=is_virtual(job.request)), seconds


@pytest.fixture
def computing_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parties.virtual.thread_time", lambda: 0.0)


@pytest.mark.usefixtures("computing_is_free")
@pytest.mark.parametrize("engine", ENGINES)
def test_replay_of_one_trace_is_the_live_run_under_every_network(engine: Engine) -> None:
    trace, _ = traced(job_of(engine), "none")
    for network in NETWORKS:
        _, live = traced(job_of(engine), network)
        replayed = replay(trace.phase("online"), Settings(parse_network(network)))
        assert [q.seconds for q in replayed] == pytest.approx(live, abs=1e-9, rel=0)


@pytest.mark.usefixtures("computing_is_free")
@pytest.mark.parametrize("engine", ENGINES)
def test_the_trace_of_the_plan_is_the_trace_of_the_run(engine: Engine) -> None:
    """Message by message, in both phases; and so is its time."""
    job = job_of(engine)
    trace, _ = traced(job, "none")
    planned = trace_of_plan(job.plan)
    _, live = traced(job, "4g")
    assert replay(planned.phase("online"), Settings(parse_network("4g")))[0].seconds == pytest.approx(live[0], abs=1e-9)
    for phase in ("offline", "online"):
        assert messages(planned, phase) == messages(trace, phase)


def messages(trace: RunTrace, phase: Phase) -> dict[str, list[tuple[object, ...]]]:
    """Return every message of the first query, at both of its ends."""
    return {
        party: [(s.kind, s.peer, s.layer, s.step, s.size, s.depth) for s in steps if s.kind != "compute"]
        for party, steps in trace.phase(phase)[0].programs.items()
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_computed_is_in_the_trace_and_on_the_path(engine: Engine) -> None:
    """The replay under the run's own network is the run, but for the few lines after the last message."""
    trace, live = traced(job_of(engine), "wan")
    replayed = replay(trace.phase("online"), Settings(parse_network("wan")))
    assert [q.seconds for q in replayed] == pytest.approx(live, abs=2e-3, rel=0)
    query = typical(replayed)
    path = critical_path(query)
    causes = totals(path)
    assert sum(causes.values()) == pytest.approx(query.seconds, rel=1e-12)
    assert [p.began for p in path[1:]] == pytest.approx([p.ended for p in path[:-1]])
    depth = max(step.depth for steps in query.trace.programs.values() for step in steps)
    assert causes["latency"] == pytest.approx(depth * 0.020)
    assert 0 < causes["compute"] < query.seconds - depth * 0.020


@pytest.mark.usefixtures("computing_is_free")
@pytest.mark.parametrize("phase", ["setup", "offline"])
def test_other_phases_are_traced_too(phase: str) -> None:
    trace, _ = traced(job_of(Engine.DEALT), "none")
    queries = [q for q in trace.queries if q.phase == phase]
    assert len(queries) == (1 if phase == "setup" else 2)
    assert {"E1", "E2", "HC"} <= queries[0].programs.keys()
    kinds = {(party, s.kind, s.peer) for party, steps in queries[0].programs.items() for s in steps}
    assert {("HC", "send", "E2"), ("E2", "take", "HC")} <= kinds


@pytest.mark.parametrize("transport", [Transport.MEMORY, pytest.param(Transport.PROCESSES, marks=pytest.mark.slow)])
def test_a_real_run_writes_a_trace_that_can_be_read_and_replayed(transport: Transport, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    request = RunRequest(net="clinic", engine=Engine.DEALT, samples=2, transport=transport, trace=path)
    result = run(request, quiet)
    trace = read_trace(path)
    assert (trace.clock, trace.layers, trace.parties) == (
        "real",
        ("0.input", "1.dense", "2.relu", "3.dense", "4.output"),
        ("HMS1", "E1", "E2", "HC"),
    )
    online = trace.phase("online")
    sizes = [s.size for s in online[0].programs["E1"] if s.kind == "send" and s.peer == "E2"]
    assert sum(sizes) == result.planned.phases["online"].links["E1->E2"].payload
    layers = {s.layer for s in online[0].programs["E1"] if s.kind == "compute"}
    assert layers == {0, 1, 2, 3, 4}
    assert typical(replay(online, Settings(parse_network("wan")))).seconds > 0.1
    assert RunTrace.from_json(trace.to_json()) == trace


def test_a_run_that_is_not_traced_notes_nothing() -> None:
    job = job_of(Engine.DEALT)
    outcome = perform_job(dataclasses.replace(job, request=dataclasses.replace(job.request, trace=None)), quiet)
    assert [report["trace"] for report in outcome.reports.values()] == [None] * 5


def test_a_trace_from_which_a_message_is_missing_is_refused(tmp_path: Path) -> None:
    trace, _ = traced(job_of(Engine.DEALT), "none")
    document = json.loads(json.dumps(trace.to_json()))
    steps = document["queries"][-1]["programs"]["E2"]
    steps.remove(next(s for s in steps if s[0] == "take" and s[4] == "E1"))
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="E1 sent 3 messages to E2, which took 2"):
        read_trace(path)
