"""All parties in this process, for trying a network out: nobody is protected from anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import trio
from numpy.typing import ArrayLike

from parties.progress import silent
from parties.request import WALKING, RunRequest, Transport
from pehealth.api.result import Result, samples_of
from pehealth.config import Engine, GroupName
from pehealth.errors import ConfigError
from pehealth.nets.weights import Model
from pehealth.nets.zoo import load_model

if TYPE_CHECKING:
    from parties.resolve import Job

E = TypeVar("E", Engine, GroupName)
T = TypeVar("T")
MOST_TOGETHER = 64
"""Samples in a query unless told otherwise."""


def run_local(
    net: str | Path | Model,
    x: ArrayLike,
    engine: str = "rlwe",
    *,
    digits: int | None = None,
    group: str | None = None,
    batch: int | None = None,
    tls: bool = False,
) -> Result:
    """Run sensor, centre and both servers in this process, and return what the centre received.

    It blocks until the result is there, and works beside an event loop that runs already, as in a notebook; an
    asynchronous program has `await trio.to_thread.run_sync(run_local, ...)`.

    Args:
        net: a reference network's name, a model file, or a model.
        x: one sample or a batch, in the readings' own units.
        engine: "rlwe" or "dealt"; "ddh"; or "paper", the published protocol.
        digits: decimal digits kept; None: the engine's default.
        group: of "ddh" and "paper": "modp2048", "modp3072" (the default), or for "paper" "toy32", which is INSECURE.
        batch: samples in a query; None: up to 64 for "rlwe" and "dealt", else 1.
        tls: link the parties by TCP with mutual TLS, rather than in memory.

    Raises:
        ConfigError, RangeError: the network, the samples or the settings cannot be used.
    """
    model = net if isinstance(net, Model) else load_model(net)
    samples = samples_of(x, model.network.input_shape)
    chosen = _member(Engine, engine, "engine")
    if batch is None:
        batch = 1 if chosen in WALKING else min(len(samples), MOST_TOGETHER)
    request = RunRequest(
        net=model.network.name,
        engine=chosen,
        group=None if group is None else _member(GroupName, group, "group"),
        digits=digits,
        batch=batch,
        samples=len(samples),
        transport=Transport.TCP if tls else Transport.MEMORY,
    )
    from parties.resolve import resolve_samples  # with what it brings, for those alone who run something

    return _result(resolve_samples(request, model, samples))


def _alone(function: Callable[..., T], *args: object) -> T:
    """Call what runs an event loop: in a thread of its own if one runs in this thread already."""
    if not (_in_loop(asyncio.get_running_loop) or _in_loop(trio.lowlevel.current_task)):
        return function(*args)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


def _in_loop(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except RuntimeError:
        return False
    return True


def _member(kind: type[E], text: str, what: str) -> E:
    try:
        return kind(text)
    except ValueError as error:
        raise ConfigError(f"{what} {text!r}: expected one of {', '.join(kind)}") from error


def _result(job: Job) -> Result:
    """Run a job and return its result."""
    from parties.launch import perform_job

    outcome = _alone(perform_job, job, silent)
    batch, count, scale = job.plan.parameters.batch, len(job.labels), job.quantised.logit_scale
    queries = sorted(outcome.collected)
    units = [row for query in queries for row in outcome.logits[query]][:count]
    logits = np.array([[value / scale for value in row] for row in units], np.float64)
    classes = tuple(row.index(max(row)) for row in units)
    return Result(
        queries=tuple(queries[place // batch] for place in range(count)),
        model=job.model.network.name,
        version=0,
        classes=classes,
        labels=tuple(job.model.network.classes[c] for c in classes),
        logits=logits,
        error_bound=job.plan.error_bound / scale,
        digits=job.quantised.digits,
        seconds=max(outcome.collected.values()) - min(outcome.submitted.values()),
        last=job.model.last,
    )
