"""Runs one of our engines on the same testbed, and says what it took in the same terms."""

from __future__ import annotations

import os

import numpy as np
from testbed.capture import capturing
from testbed.namespaces import open_testbed
from testbed.runs import parties_of, run_on

from parties.request import RunRequest
from peer_table.peer_run import Place
from peer_table.rows import Moved, Run
from peer_table.systems import System
from peer_table.workload import NAME, Workload
from pehealth import __version__
from pehealth.config import Engine, GroupName
from transport.interfaces import Phase


def run_own(system: System, work: Workload, batch: int, place: Place) -> Run:
    """Run an engine once. Raises the project's own errors."""
    warm = dict(system.warm).get(batch, 1)
    request = request_for(Engine(system.variant), batch, warm + dict(system.counted)[batch])
    load = os.getloadavg()[0]
    with (
        open_testbed(parties_of(request), place.shape, "relay" if place.latency else "direct", place.congestion) as bed,
        capturing(bed, place.shape) as capture,
    ):
        ran = run_on(bed, request)
    outcome = ran.outcome
    queries = sorted(outcome.collected)
    spans = [(outcome.submitted[q], outcome.collected[q]) for q in queries]
    moved = Moved.of(capture, spans, warm)
    logits = np.array(outcome.logits[queries[-1]], float) / ran.job.quantised.logit_scale
    error, same = work.compare(logits)
    return Run(
        system.key,
        batch,
        place.latency,
        tuple(ran.online[warm:]),
        tuple(outcome.offline_seconds[q] for q in queries[warm:]),
        outcome.setup_seconds + outcome.offline_seconds[queries[0]] + ran.online[0],
        moved.links,
        moved.before,
        moved.between,
        ran.job.plan.phase(Phase.ONLINE).server_rounds,
        error,
        None,
        same,
        {"pehealth": __version__, "numpy": np.__version__},
        load,
    )


def request_for(engine: Engine, batch: int, queries: int) -> RunRequest:
    """Return the run of an engine; the paper's is at the size of the paper's tables, which is INSECURE."""
    paper = engine is Engine.PAPER
    return RunRequest(
        net=NAME,
        engine=engine,
        group=GroupName.TOY32 if paper else None,
        digits=1 if paper else None,
        walk="fast" if paper else "right",
        batch=batch,
        samples=batch,
        repeat=queries,
    )
