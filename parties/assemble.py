"""From what the parties counted to the record of a run: per query, planned beside measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from parties.check import check_layers
from parties.conduct import Outcome
from parties.kept_plan import session_plan
from parties.measured import measured_notes
from parties.resolve import Job
from pehealth.config import Party
from pehealth.errors import PehealthError
from pehealth.nets.last import finished
from pehealth.nets.oracle import float_reference, ideal, predictions
from pehealth.nets.plan import Plan
from pehealth.nets.record import (
    Accuracy,
    LayerCost,
    LayerRecord,
    LinkCount,
    PhaseCost,
    PhaseRecord,
    Planned,
    PlanResult,
    RunParameters,
    RunResult,
    Sample,
    Security,
)
from pehealth.protocols.cost import Cost
from transport.interfaces import Phase
from transport.meter import Link, MeterReport, Traffic

PHASES = {"setup": Phase.SETUP, "offline": Phase.OFFLINE, "online": Phase.ONLINE}


def link_counts(links: Mapping[Link, Traffic], queries: int = 1) -> dict[str, LinkCount]:
    """Return traffic by link name, of one query; every query must have moved the same."""
    out: dict[str, LinkCount] = {}
    for (sender, receiver), t in sorted(links.items()):
        figures = (t.payload, t.framing, t.messages)
        if any(n % queries for n in figures):
            raise PehealthError(f"{sender}->{receiver}: {queries} equal queries moved {figures}; this is a bug")
        out[f"{sender}->{receiver}"] = LinkCount(*(n // queries for n in figures))
    return out


def planned_record(plan: Plan) -> Planned:
    """Return the plan in the record's form."""
    phases = {name: _phase_cost(plan.phase(phase)) for name, phase in PHASES.items()}
    online = phases["online"]
    phases["online"] = replace(online, ops={**online.ops, **plan.expected})
    layers = tuple(
        LayerCost(layer.name, layer.kind, layer.cost.server_rounds, link_counts(layer.cost.links), dict(layer.cost.ops))
        for layer in plan.layers
    )
    return Planned(phases, layers)


def _phase_cost(cost: Cost) -> PhaseCost:
    return PhaseCost(cost.server_rounds, cost.depth, dict(cost.ops), link_counts(cost.links))


def assemble(job: Job, outcome: Outcome, command: str) -> RunResult:
    """Return the record of a run whose parties have all reported.

    Raises:
        TransportError: a message was sent and not received, or counted differently at its two ends.
    """
    if job.request.state is not None:
        job = replace(job, plan=session_plan(job.plan, outcome, dealer=job.request.dealer))
    reports = outcome.reports
    meter = MeterReport.merge(MeterReport.from_wire(r["meter"]) for r in reports.values())
    meter.check_conserved()
    queries = len(outcome.collected)
    samples = _samples(job, outcome)
    p = job.plan.parameters
    return RunResult(
        command=command,
        net=job.model.network.name,
        engine=p.engine,
        parameters=RunParameters.of(
            p, transport=str(job.request.transport), tls=bool(job.request.tls), network=job.request.network
        ),
        security=Security.of(p, job.plan.reveals),
        samples=samples,
        scale=job.quantised.logit_scale,
        accuracy=_accuracy(samples, job.majority),
        phases=_phases(meter, outcome, reports, queries),
        layers=_layers(job.plan, meter, reports, queries),
        planned=planned_record(job.plan),
        error_bound=job.plan.error_bound,
        near_ties=near_ties(samples, job.plan.error_bound),
        notes=_notes(job, reports, samples, queries),
    )


def _notes(
    job: Job, reports: Mapping[str, Mapping[str, Any]], samples: Sequence[Sample], queries: int
) -> tuple[str, ...]:
    checked = check_layers(job, reports) if job.request.check else ()
    return (*job.plan.notes, *measured_notes(job, reports, samples, queries), *checked)


def plan_record(job: Job) -> PlanResult:
    """Return what a run will cost, in the form that `pehealth plan` prints."""
    p = job.plan.parameters
    return PlanResult(
        net=job.model.network.name,
        engine=p.engine,
        parameters=RunParameters.of(
            p, transport=str(job.request.transport), tls=bool(job.request.tls), network=job.request.network
        ),
        security=Security.of(p, job.plan.reveals),
        scale=job.quantised.logit_scale,
        planned=planned_record(job.plan),
        error_bound=job.plan.error_bound,
        material=job.plan.material_bytes,
        queries=job.queries,
        memory=job.plan.memory_bytes,
        notes=job.plan.notes,
    )


def near_ties(samples: Iterable[Sample], bound: int) -> tuple[int, ...]:
    """Return the samples whose two best ideal logits are within 2 * bound: the class may honestly differ."""
    out = []
    for s in samples:
        best, *others = sorted(s.ideal_int, reverse=True)
        if others and best - others[0] <= 2 * bound:
            out.append(s.index)
    return tuple(out)


def _samples(job: Job, outcome: Outcome) -> tuple[Sample, ...]:
    batch = job.plan.parameters.batch
    count = len(job.labels)
    plain = float_reference(job.model, job.features).logits
    exact = ideal(job.quantised, job.inputs).logits
    secure, guesses = _received(outcome)
    plain_guesses = predictions(plain)
    scale, queries = job.quantised.logit_scale, sorted(outcome.collected)
    return tuple(
        Sample(
            index=int(job.indices[i]),
            label=int(job.labels[i]),
            prediction=guesses[i],
            plain_prediction=int(plain_guesses[i]),
            logits_int=tuple(secure[i]),
            ideal_int=tuple(int(v) for v in exact[i]),
            logits=tuple(v / scale for v in secure[i]),
            plain_logits=tuple(float(v) for v in plain[i]),
            online_seconds=_online(outcome, queries[i // batch]),
            outputs=_outputs(job, secure[i]),
        )
        for i in range(count)
    )


def _outputs(job: Job, logits: Sequence[int]) -> tuple[float, ...] | None:
    """Return what the centre makes of a sample's logits, if its last step is something."""
    if job.model.last == "logits" or not logits:
        return None
    real = np.array([[v / job.quantised.logit_scale for v in logits]])
    return tuple(map(float, finished(job.model.last, real)[0]))


def _received(outcome: Outcome) -> tuple[list[list[int]], list[int]]:
    """Return each sample's logits and class; no logits where the centre received the class alone."""
    if outcome.classes:
        classes = [c for query in sorted(outcome.classes) for c in outcome.classes[query]]
        return [[] for _ in classes], classes
    logits = [row for query in sorted(outcome.logits) for row in outcome.logits[query]]
    return logits, predictions_of(logits)


def predictions_of(logits: Sequence[Sequence[int]]) -> list[int]:
    """Return the class of each sample; a tie goes to the lower index."""
    return [list(row).index(max(row)) for row in logits]


def _online(outcome: Outcome, query: int) -> float:
    return outcome.collected[query] - outcome.submitted[query]


def _accuracy(samples: Sequence[Sample], majority: float) -> Accuracy:
    n = len(samples)
    return Accuracy(
        sum(s.prediction == s.label for s in samples) / n,
        sum(s.plain_prediction == s.label for s in samples) / n,
        majority,
    )


def _phases(
    meter: MeterReport, outcome: Outcome, reports: Mapping[str, Mapping[str, Any]], queries: int
) -> dict[str, PhaseRecord]:
    seconds = {
        "setup": outcome.setup_seconds,
        "offline": median(outcome.offline_seconds.values()) if outcome.offline_seconds else 0.0,
        "online": median(_online(outcome, q) for q in outcome.collected) if outcome.collected else math.nan,
    }
    dealt = queries if outcome.dealt is None else max(1, len(outcome.dealt))
    out = {}
    for name, phase in PHASES.items():
        runs = {Phase.SETUP: 1, Phase.OFFLINE: dealt}.get(phase, queries)
        ops: Counter[str] = Counter()
        for (p, _), counted in _ops(reports.values()).items():
            if p is phase:
                ops.update(counted)
        out[name] = PhaseRecord(
            meter.server_rounds(phase),
            meter.depth(phase),
            {k: v / runs for k, v in ops.items()},
            link_counts(meter.links(phase), runs),
            seconds[name],
        )
    return out


def _layers(
    plan: Plan, meter: MeterReport, reports: Mapping[str, Mapping[str, Any]], queries: int
) -> tuple[LayerRecord, ...]:
    ops = _ops(reports.values())
    out = []
    for layer in plan.layers:
        seconds = {}
        for server in (Party.E1, Party.E2):
            spent = dict(reports[server]["seconds"]).get(layer.index, [0.0])
            seconds[str(server)] = median(spent)
        out.append(
            LayerRecord(
                layer.name,
                layer.kind,
                meter.layer_rounds(Phase.ONLINE, layer.index),
                link_counts(meter.links(Phase.ONLINE, layer.index), queries),
                {k: v / queries for k, v in ops.get((Phase.ONLINE, layer.index), {}).items()},
                seconds,
            )
        )
    return tuple(out)


def _ops(reports: Iterable[Mapping[str, Any]]) -> dict[tuple[Phase, int], Counter[str]]:
    out: dict[tuple[Phase, int], Counter[str]] = {}
    for report in reports:
        for phase, layer, counted in report["ops"]:
            out.setdefault((Phase(phase), layer), Counter()).update(counted)
    return out
