"""Secure runs: what is asked of the Runner, and the figures that tables and claims read from a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any, Literal

from pehealth.config import Engine, GroupName
from pehealth.experiments.report.parts import Experiment, Result
from pehealth.nets.record import LayerRecord, Links, PlanResult, RunResult, Sample


@dataclass(frozen=True)
class SecureRun:
    """One run between real parties, in the terms of `pehealth run`.

    Attributes:
        net, engine, group, digits, walk, samples, batch, ring, failures: as the flags of the same name.
        processes: each party a process of its own, over TCP with TLS; else all in this process.
    """

    net: str
    engine: Engine
    digits: int
    samples: int
    group: GroupName | None = None
    walk: Literal["right", "fast"] | int = "right"
    batch: int = 1
    ring: int | None = None
    failures: float | None = None
    processes: bool = False

    @property
    def name(self) -> str:
        """What the run is called as an experiment."""
        walked = f" {self.group} walk {self.walk}" if self.group else ""
        ring = f" l={self.ring}" if self.ring else ""
        batch = f" batch {self.batch}" if self.batch > 1 else ""
        return f"run {self.net} {self.engine}{walked} d={self.digits}{ring}{batch}"

    @property
    def command(self) -> str:
        """The command that does the same."""
        words = ["pehealth run", "--net", self.net, "--engine", str(self.engine), "--digits", str(self.digits)]
        if self.group:
            words += ["--group", str(self.group), "--walk", str(self.walk)]
        for flag, value in (("--ring", self.ring), ("--failures", self.failures)):
            words += [flag, str(value)] if value is not None else []
        words += ["--batch", str(self.batch)] if self.batch > 1 else []
        words += ["--samples", str(self.samples)]
        words += ["--transport", "processes"] if self.processes else []
        return " ".join(words)


BY_CHANCE = ("ddlog_steps", "wrong_conversions")
"""Counts that a plan knows in expectation alone."""
Runner = Callable[[SecureRun], RunResult]
"""Runs it to the end; raises a PehealthError or TransportError, in a sentence, if that cannot be."""
Planner = Callable[[SecureRun], PlanResult]
"""Says what it would cost, with no limit of time."""


def run_experiment(spec: SecureRun, runner: Runner) -> Experiment:
    """Return the experiment of a secure run."""
    return Experiment(
        spec.name, {"kind": "run", **plain(spec)}, lambda: {"spec": plain(spec), **digest_of(runner(spec))}
    )


def plan_experiment(spec: SecureRun, planner: Planner) -> Experiment:
    """Return the experiment of a plan alone; its name begins with "plan" instead of "run"."""

    def measure() -> Result:
        found = planner(spec)
        online = found.planned.phases["online"]
        return {"spec": plain(spec), "notes": list(found.notes), "walk": found.parameters.walk, "ops": dict(online.ops)}

    return Experiment(plan_name(spec), {"kind": "plan", **plain(spec)}, measure)


def plan_name(spec: SecureRun) -> str:
    """Return the name of the plan's experiment."""
    return f"plan{spec.name.removeprefix('run')}"


def plain(spec: SecureRun) -> dict[str, Any]:
    """Return the run as JSON, with the command that repeats it."""
    fields = {
        name: value if value is None or isinstance(value, int | float) else str(value)
        for name, value in asdict(spec).items()
    }
    return {**fields, "command": spec.command}


def digest_of(record: RunResult) -> Result:
    """Return what is kept of a record: times, bytes, rounds, counts, and how right the answers were."""
    samples = record.samples
    errors = [abs(a - b) for s in samples for a, b in zip(s.logits, s.plain_logits, strict=True)]
    online, planned_ops = record.phases["online"], record.planned.phases["online"].ops
    return {
        "net": record.net,
        "engine": str(record.engine),
        "insecure": record.security.insecure,
        "bits": record.security.bits,
        "reveals": list(record.security.reveals),
        "group": record.parameters.group,
        "walk": record.parameters.walk,
        "ring": record.parameters.ring,
        "digits": record.parameters.digits,
        "batch": record.parameters.batch,
        "samples": len(samples),
        "seconds": median(s.online_seconds for s in samples),
        "seconds_each": [s.online_seconds for s in samples],
        "like_oracle": sum(s.prediction == best(s.ideal_int) for s in samples),
        "exact": sum(s.logits_int == s.ideal_int for s in samples),
        "within_bound": sum(deviation(s) <= record.error_bound for s in samples),
        "near_ties": len(record.near_ties),
        "accuracy": record.accuracy.secure,
        "plain_accuracy": record.accuracy.plain,
        "majority": record.accuracy.majority,
        "error_mean": mean(errors),
        "error_max": max(errors),
        "server_rounds": online.server_rounds,
        "depth": online.depth,
        "ops": dict(online.ops),
        "expected": {name: planned_ops[name] for name in BY_CHANCE if name in planned_ops},
        "links": {phase: payloads(cost.links) for phase, cost in record.phases.items()},
        "planned_links": {phase: payloads(cost.links) for phase, cost in record.planned.phases.items()},
        "layers": [layer_digest(layer) for layer in record.layers],
        "notes": list(record.notes),
    }  # fmt: skip


def best(logits: tuple[int, ...]) -> int:
    """Return the class of the greatest logit, the first among equals."""
    return max(range(len(logits)), key=lambda i: logits[i])


def deviation(sample: Sample) -> int:
    """Return by how much a secure logit differs from the oracle's, at most."""
    return max(abs(a - b) for a, b in zip(sample.logits_int, sample.ideal_int, strict=True))


def payloads(links: Links) -> dict[str, int]:
    """Return payload bytes by link."""
    return {name: count.payload for name, count in links.items()}


def layer_digest(layer: LayerRecord) -> Result:
    """Return a layer's time (the slower server's), what went between the servers, rounds and counts."""
    between = {name: count for name, count in layer.links.items() if name in ("E1->E2", "E2->E1")}
    return {
        "name": layer.name,
        "kind": layer.kind,
        "seconds": max(layer.seconds.values()),
        "between": sum(count.payload for count in between.values()),
        "messages": sum(count.messages for count in between.values()),
        "rounds": layer.server_rounds,
        "ops": dict(layer.ops),
    }


def one_server_bytes(links: Mapping[str, int]) -> int:
    """Return payload on E1's links: readings in, E1 to E2, its share of the result: what the paper seems to count."""
    return sum(n for name, n in links.items() if name.endswith("->E1") and name.startswith("HMS")) + sum(
        n for name, n in links.items() if name.startswith("E1->")
    )
