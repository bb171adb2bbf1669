"""The benchmark's runner: real parties, and what they and the conductor timed."""

from __future__ import annotations

import dataclasses

from parties.conduct import Outcome
from parties.launch import perform_job
from parties.progress import Progress, silent
from parties.request import RunRequest
from parties.resolve import Job, resolve
from pehealth.config import Engine, GroupName, Party
from pehealth.experiments.bench import BenchResult, Measured, bench, plain_seconds
from pehealth.nets.machine import Machine
from pehealth.protocols.cost import merge
from transport.interfaces import Phase


def run_bench(
    request: RunRequest,
    engines: tuple[Engine, ...],
    batches: tuple[tuple[int, int], ...],
    queries: int,
    progress: Progress,
) -> BenchResult:
    """Measure every engine on every (batch, in flight) and return the session.

    Raises:
        PehealthError, TransportError: a run failed.
    """
    plain: dict[int, float] = {}
    most = max(batch for batch, _ in batches)
    job = resolve(dataclasses.replace(request, batch=1, samples=most))
    for batch, _ in batches:
        plain[batch] = plain_seconds(job.model, job.features, batch)

    def runner(engine: str, batch: int, count: int, in_flight: int) -> Measured:
        return measure(for_engine(request, Engine(engine), batch, count, in_flight))

    rows = bench(runner, [str(e) for e in engines], batches, queries, plain, progress)
    return BenchResult(
        job.model.network.name,
        str(request.transport),
        request.network,
        {batch: 1e3 * seconds for batch, seconds in plain.items()},
        rows,
        Machine.here(),
    )


def for_engine(request: RunRequest, engine: Engine, batch: int, count: int, in_flight: int) -> RunRequest:
    """Return the request of one run: the same `batch` samples again and again, `count` times."""
    paper = engine is Engine.PAPER
    return dataclasses.replace(
        request,
        engine=engine,
        group=GroupName.TOY32 if paper else None,
        walk="fast" if paper else "right",
        batch=batch,
        samples=batch,
        repeat=count,
        in_flight=in_flight,
    )


def measure(request: RunRequest) -> Measured:
    """Run a request and return its times and counts a query."""
    job = resolve(request)
    return measured(job, perform_job(job, silent))


def measured(job: Job, outcome: Outcome) -> Measured:
    """Return what a run gave, in the benchmark's form."""
    plan, reports = job.plan, outcome.reports
    links = {f"{a}->{b}": t.payload for (a, b), t in merge(plan.online.links).items()}
    times = {name: dict(report["phase_seconds"]).get(int(Phase.OFFLINE), []) for name, report in reports.items()}
    dealer = Party.DEALER if Party.DEALER in reports else Party.HC
    queries = sorted(outcome.collected)
    return Measured(
        online=[outcome.collected[q] - outcome.submitted[q] for q in queries],
        servers={s: times[s] for s in (Party.E1, Party.E2) if times[s]},
        dealer=times[dealer],
        wall=_wall(outcome, job.request.in_flight),
        setup=outcome.setup_seconds,
        material=plan.material_bytes,
        between=links.get("E1->E2", 0),
        upload=sum(n for link, n in links.items() if link.startswith(Party.HMS)),
        result=sum(n for link, n in links.items() if link.endswith(f"->{Party.HC}")),
        server_rounds=plan.online.server_rounds,
        depth=plan.online.depth,
        peak={name: report["peak_bytes"] for name, report in reports.items()},
        insecure=plan.parameters.insecure,
        reveals=plan.reveals,
    )


def _wall(outcome: Outcome, in_flight: int) -> float:
    """Return the seconds that the counted queries took, group by group; dealing between groups is not online."""
    queries = sorted(outcome.collected)
    warm = in_flight if in_flight > 1 else min(3, len(queries) - 1)
    counted = queries[warm:]
    groups = [counted[i : i + in_flight] for i in range(0, len(counted), in_flight)]
    return sum(max(outcome.collected[q] for q in g) - min(outcome.submitted[q] for q in g) for g in groups)
