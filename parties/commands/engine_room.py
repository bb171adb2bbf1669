"""Where the commands meet the launcher and the planner. Tests put their own in the place of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parties.progress import Progress
from parties.request import RunRequest
from pehealth.nets.record import PlanResult, RunResult


@dataclass(frozen=True)
class EngineRoom:
    """What the commands need to have done.

    Attributes:
        run: runs a request to its end; the last argument is the command's name for the record.
        plan: says what a request will cost.
    """

    run: Callable[[RunRequest, Progress, str], RunResult]
    plan: Callable[[RunRequest], PlanResult]


def engine_room() -> EngineRoom:
    """Return the real one; the import takes a quarter of a second, so only who runs something pays."""
    return EngineRoom(run=_run, plan=_plan)


def _run(request: RunRequest, progress: Progress, command: str) -> RunResult:
    from parties.launch import run

    return run(request, progress, command=command)


def _plan(request: RunRequest) -> PlanResult:
    from parties.launch import plan

    return plan(request)


def class_names(net: str) -> tuple[str, ...]:
    """Return the names of a reference network's classes; nothing for a network that we do not know."""
    from pehealth.nets import zoo

    return zoo.reference(net).network.classes if net in zoo.NAMES else ()
