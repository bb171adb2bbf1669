"""What `pehealth report` has run: secure runs between real parties, each failure in a sentence of its first cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from parties.failure import first_cause, sentence
from parties.launch import plan, run
from parties.progress import silent
from parties.request import DEFAULT_FAILURES, RunRequest, Transport
from pehealth.errors import PehealthError
from pehealth.experiments.report.runs import Planner, Runner, SecureRun
from pehealth.nets.record import PlanResult, RunResult

T = TypeVar("T")
NO_LIMIT = 1e9
"""Seconds that a run of a report may take by its plan: the suite knows what it asks for."""


def runners(data_dir: Path | None) -> tuple[Runner, Planner]:
    """Return what runs and what plans, on the data sets of this folder."""

    def run_it(spec: SecureRun) -> RunResult:
        return _told(lambda: run(request_of(spec, data_dir), silent, command="run"))

    def plan_it(spec: SecureRun) -> PlanResult:
        return _told(lambda: plan(request_of(spec, data_dir)))

    return run_it, plan_it


def request_of(spec: SecureRun, data_dir: Path | None) -> RunRequest:
    """Return a run of the suite as a request."""
    return RunRequest(
        net=spec.net,
        engine=spec.engine,
        group=spec.group,
        digits=spec.digits,
        ring=spec.ring,
        batch=spec.batch,
        samples=spec.samples,
        transport=Transport.PROCESSES if spec.processes else Transport.MEMORY,
        data_dir=data_dir,
        time_limit=NO_LIMIT,
        failures=DEFAULT_FAILURES if spec.failures is None else spec.failures,
        walk=spec.walk,
    )


def _told(do: Callable[[], T]) -> T:
    """Return what `do` returns.

    Raises:
        PehealthError: it failed; says the first cause. Ctrl-C stays what it is.
    """
    try:
        return do()
    except (Exception, BaseExceptionGroup) as error:
        cause = first_cause(error)
        if isinstance(cause, KeyboardInterrupt | SystemExit):
            raise cause from error
        raise PehealthError(sentence(cause)) from error
