"""Running a job: all parties in this process, over TCP in this process, or as processes of their own."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from parties.assemble import assemble, plan_record
from parties.conduct import Conductor, Crew, Outcome, Progress
from parties.perform import ANY_PORT, perform
from parties.private import pack_model, pack_readings
from parties.process import spawn
from parties.request import RunRequest, Transport
from parties.resolve import Job, resolve
from parties.start import DEFAULT_PATIENCE, Start, party_names, role_of
from parties.tracing import trace_of, write_trace
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from pehealth.nets.plan import sensor_names, sensor_parts
from pehealth.nets.record import PlanResult, RunResult
from transport.errors import PeerTimeout
from transport.memory import MemoryHub
from transport.mesh import Carrier
from transport.tcp import Tcp

SLOWEST = 20
"""A message may be this many times as late as a query's computing should take: machines are shared."""
START_SECONDS = 60.0
"""How long the parties of a run on one machine may take to start and to listen."""


def run(request: RunRequest, progress: Progress, *, command: str = "run") -> RunResult:
    """Run what was asked for and return its record.

    Links in memory under a `--network` live in virtual time: latency costs nothing, and what each party computes
    counts as if it had a core of its own.

    Raises:
        PehealthError, TransportError or an exception group of them; nothing is left running.
    """
    job = resolve(request)
    outcome = perform_job(job, progress)
    if request.trace is not None:
        write_trace(request.trace, trace_of(job, outcome, command, virtual=is_virtual(job.request)))
    return assemble(job, outcome, command)


def perform_job(job: Job, progress: Progress) -> Outcome:
    """Run a job with all its parties to the end and return what was measured."""
    clock = trio.testing.MockClock(autojump_threshold=0) if is_virtual(job.request) else None
    return trio.run(execute, job, progress, clock=clock)


def plan(request: RunRequest) -> PlanResult:
    """Return what a run will cost, without running it.

    Raises:
        PehealthError: as `resolve`.
    """
    return plan_record(resolve(request))


def is_virtual(request: RunRequest) -> bool:
    """True if the run is to be in virtual time."""
    return request.transport is Transport.MEMORY and request.network is not None


async def execute(job: Job, progress: Progress) -> Outcome:
    """Run a job with all its parties."""
    starts = start_all(job)
    if job.request.transport is Transport.PROCESSES:
        async with spawn(list(starts)) as crew:
            for name, start in starts.items():
                await crew.send(name, start.to_wire())
            return await conduct(crew, time.monotonic, progress, job)
    else:
        async with in_process(starts, job) as local:
            return await conduct(local, trio.current_time, progress, job)


async def conduct(crew: Crew, now: Callable[[], float], progress: Progress, job: Job) -> Outcome:
    """Introduce the parties to one another and drive the run.

    Raises:
        PeerTimeout: a party has not started after `START_SECONDS`; names each.
    """
    book: dict[str, str] = {}
    with trio.move_on_after(START_SECONDS):
        while len(book) < len(crew.names):
            name, event = await crew.event()
            book[name] = event["bound"]
    if missing := [name for name in crew.names if name not in book]:
        late = f"{', '.join(missing)} did not start within {START_SECONDS:g} s"
        raise PeerTimeout(f"{late}: is the machine short of memory or of processors?")
    for name in crew.names:
        await crew.send(name, {"op": "addresses", "book": book})
    return await Conductor(crew, now, progress).run(job.queries, job.request.in_flight)


def start_all(job: Job) -> dict[str, Start]:
    """Return the start of every party of a job; each holds only what its role may know."""
    p = job.plan.parameters
    everyone = party_names(p, dealer=job.request.dealer)
    run_id = secrets.token_hex(8)
    inputs = job.padded_inputs()
    parts = dict(zip(sensor_names(p.sensors), sensor_parts(inputs.shape[1], p.sensors), strict=True))
    out = {}
    for name in everyone:
        private: Mapping[str, Any] = {}
        if role_of(name) is Party.HC:
            private = pack_model(job.quantised)
        elif role_of(name) is Party.HMS:
            private = pack_readings(inputs[:, parts[name]])
        out[name] = Start(
            name,
            job.model.network,
            p,
            everyone,
            run_id,
            job.request.network or "",
            private,
            is_virtual(job.request),
            job.request.check,
            job.request.trace is not None,
            job.request.workers,
            max(DEFAULT_PATIENCE, SLOWEST * job.plan.compute_seconds),
        )
    return out


class LocalCrew:
    """The parties of a run as tasks of this process."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._commands = {n: trio.open_memory_channel[Mapping[str, Any]](math.inf) for n in names}
        self._say, self._hear = trio.open_memory_channel[tuple[str, Mapping[str, Any]]](math.inf)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parties."""
        return self._names

    async def send(self, name: str, command: Mapping[str, Any]) -> None:
        """Send a command to one party."""
        await self._commands[name][0].send(command)

    async def event(self) -> tuple[str, Mapping[str, Any]]:
        """Wait for the next event of any party."""
        return await self._hear.receive()

    def control(self, name: str) -> LocalControl:
        """Return a party's own end."""
        return LocalControl(name, self._commands[name][1], self._say)


class LocalControl:
    """A party's line to the conductor in the same process."""

    def __init__(
        self,
        name: str,
        commands: trio.MemoryReceiveChannel[Mapping[str, Any]],
        events: trio.MemorySendChannel[tuple[str, Mapping[str, Any]]],
    ) -> None:
        self._name, self._commands, self._events = name, commands, events

    async def send(self, event: Mapping[str, Any]) -> None:
        """Report an event."""
        await self._events.send((self._name, event))

    async def receive(self) -> Mapping[str, Any]:
        """Wait for the next command."""
        return await self._commands.receive()

    def locate(self, where: Callable[[], str]) -> None:
        """Nobody asks: in one process the errors themselves come out."""


@asynccontextmanager
async def in_process(starts: Mapping[str, Start], job: Job) -> AsyncIterator[LocalCrew]:
    """Run all parties as tasks; the block is the conductor's. A party that fails ends the block with its error."""
    crew = LocalCrew(tuple(starts))
    memory = job.request.transport is Transport.MEMORY
    carrier: Carrier = MemoryHub() if memory else Tcp()
    seed = job.request.insecure_seed
    async with trio.open_nursery() as nursery:
        for name, start in starts.items():
            rng = Prg.insecure_seed(seed).child(name) if seed is not None else None
            nursery.start_soon(_be, start, crew, carrier, name if memory else ANY_PORT, rng)
        yield crew


async def _be(start: Start, crew: LocalCrew, carrier: Carrier, listen: str, rng: Prg | None) -> None:
    await perform(start, crew.control(start.name), carrier, trio.current_time, listen=listen, seed=rng)
