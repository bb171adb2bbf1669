"""From what the parties of a run noted to a trace file."""

from __future__ import annotations

from pathlib import Path

from parties.conduct import Outcome
from parties.documents import read_document, write
from parties.request import RunRequest
from parties.resolve import Job, resolve
from pehealth import schema
from pehealth.experiments.measure import calibrate
from pehealth.experiments.recorded import queries_of
from pehealth.experiments.steps import RunTrace
from pehealth.experiments.synthetic import trace_of_plan
from pehealth.nets.record import RunParameters, Security
from transport.trace import Trace


def trace_of(job: Job, outcome: Outcome, command: str, *, virtual: bool) -> RunTrace:
    """Return the trace of a run whose parties noted what they did; `virtual` if its time was."""
    traces = [Trace.from_wire(report["trace"]) for report in outcome.reports.values()]
    p, request = job.plan.parameters, job.request
    return RunTrace(
        net=job.model.network.name,
        engine=p.engine,
        parameters=RunParameters.of(
            p, transport=str(request.transport), tls=bool(request.tls), network=request.network
        ),
        security=Security.of(p, job.plan.reveals),
        clock="virtual" if virtual else "real",
        layers=tuple(layer.name for layer in job.plan.layers),
        queries=queries_of(Trace.merge(traces)),
        in_flight=request.in_flight,
        command=command,
    )


def planned_trace(request: RunRequest) -> RunTrace:
    """Return the trace that a run would leave by its plan, computing as small layers do on this machine now.

    Raises:
        PehealthError: as `resolve`; or there is no compute model of the engine.
    """
    plan = resolve(request).plan
    return trace_of_plan(plan, calibrate(plan.parameters).predict(plan))


def write_trace(path: Path, trace: RunTrace) -> None:
    """Write a trace file."""
    write(path, trace.to_json(), schema.TRACE, compact=True)


def read_trace(path: Path) -> RunTrace:
    """Return the trace in a file.

    Raises:
        ConfigError: it cannot be read, or is no trace that can be replayed.
    """
    return RunTrace.from_json(read_document(path))
