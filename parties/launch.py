"""Running a job: all parties in this process, over TCP in this process, or as processes of their own."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio
import trio.testing

from parties.assemble import assemble, plan_record
from parties.conduct import Conductor, Crew, Outcome, Progress
from parties.conduct_kept import KeptConductor
from parties.failure import settle_seconds
from parties.links import carrier_of, make_identities
from parties.perform import ANY_PORT, perform
from parties.private import pack_model, pack_readings
from parties.process import spawn
from parties.request import RunRequest, Transport
from parties.resolve import Job, resolve
from parties.start import DEFAULT_PATIENCE, Start, party_names, role_of
from parties.state_dir import make_directory, party_folder, remember
from parties.tracing import trace_of, write_trace
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from pehealth.nets.plan import sensor_names, sensor_parts
from pehealth.nets.record import PlanResult, RunResult
from transport.errors import PeerTimeout
from transport.memory import MemoryHub
from transport.mesh import Carrier

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


@dataclass(frozen=True)
class Session:
    """Who takes part in a session, and what they are made to do.

    Attributes:
        everyone: names of all parties.
        drive: conducts them, and returns what they report.
        owner: HC is there with its model; else it deals and does nothing more.
    """

    everyone: tuple[str, ...]
    drive: Callable[[Job, Crew, Callable[[], float], Progress], Awaitable[Outcome]]
    owner: bool = True


def perform_job(job: Job, progress: Progress, session: Session | None = None) -> Outcome:
    """Run a job to the end and return what was measured; by default its queries, with all its parties."""
    clock = trio.testing.MockClock(autojump_threshold=0) if is_virtual(job.request) else None
    if job.request.state is not None:
        make_directory(job.request.state)
    return trio.run(execute, job, progress, session or queries_of(job), clock=clock)


def queries_of(job: Job) -> Session:
    """Return the session that runs a job's queries."""
    return Session(party_names(job.plan.parameters, dealer=job.request.dealer), run_queries)


def plan(request: RunRequest) -> PlanResult:
    """Return what a run will cost, without running it.

    Raises:
        PehealthError: as `resolve`.
    """
    return plan_record(resolve(request))


def is_virtual(request: RunRequest) -> bool:
    """True if the run is to be in virtual time."""
    return request.transport is Transport.MEMORY and request.network is not None


async def execute(job: Job, progress: Progress, session: Session) -> Outcome:
    """Run a job with the parties of a session."""
    starts = start_all(job, session)
    if job.request.transport is Transport.PROCESSES:
        async with spawn(list(starts)) as crew:
            for name, start in starts.items():
                await crew.send(name, start.to_wire())
            return await conduct(crew, time.monotonic, progress, job, session)
    else:
        async with in_process(starts, job) as local:
            return await conduct(local, trio.current_time, progress, job, session)


async def conduct(crew: Crew, now: Callable[[], float], progress: Progress, job: Job, session: Session) -> Outcome:
    """Introduce the parties to one another and drive the session.

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
    return await session.drive(job, crew, now, progress)


async def run_queries(job: Job, crew: Crew, now: Callable[[], float], progress: Progress) -> Outcome:
    """Drive the queries of a job; parties that keep their state take up where they left off."""
    request = job.request
    if request.state is None:
        return await Conductor(crew, now, progress).run(job.queries, request.in_flight)
    conductor = kept_conductor(job, crew, now, progress)
    conductor.remedy = "" if request.deal else f"pehealth deal --state {request.state}, or leave --no-deal out"
    return await conductor.run(job.queries, request.in_flight)


def kept_conductor(job: Job, crew: Crew, now: Callable[[], float], progress: Progress) -> KeptConductor:
    """Return the conductor of parties that keep their state; it remembers the settings once they are deployed."""
    return KeptConductor(crew, now, progress, partial(remember, job))


def start_all(job: Job, session: Session | None = None) -> dict[str, Start]:
    """Return the start of every party of a session; each holds only what its role may know."""
    session = session or queries_of(job)
    p, everyone = job.plan.parameters, session.everyone
    run_id = secrets.token_hex(8)
    parts = dict(zip(sensor_names(p.sensors), sensor_parts(job.model.network.inputs, p.sensors), strict=True))
    identities = make_identities(everyone) if job.request.tls else {}
    out = {}
    for name in everyone:
        private: Mapping[str, Any] = {}
        if role_of(name) is Party.HC and session.owner:
            private = pack_model(job.quantised)
        elif role_of(name) is Party.HMS:
            private = pack_readings(job.padded_inputs()[:, parts[name]])
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
            _folder(job.request.state, name),
            identities.get(name),
        )
    return out


def _folder(state: Path | None, name: str) -> str:
    """Return where a party keeps its state; sensors keep none."""
    if state is None:
        return ""
    return str(party_folder(state.resolve(), name))


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
async def in_process(
    starts: Mapping[str, Start], job: Job, wrap: Callable[[str, Carrier], Carrier] | None = None
) -> AsyncIterator[LocalCrew]:
    """Run all parties as tasks; the block is the conductor's. A party that fails ends the block with its error.

    Args:
        starts: what each party is told.
        job: what they run.
        wrap: tests only: makes of a party's network what it is to be.
    """
    crew = LocalCrew(tuple(starts))
    memory = job.request.transport is Transport.MEMORY
    hub = MemoryHub()
    seed = job.request.insecure_seed
    async with trio.open_nursery() as nursery:
        for name, start in starts.items():
            rng = Prg.insecure_seed(seed).child(name) if seed is not None else None
            carrier: Carrier = hub if memory else carrier_of(start)
            if wrap is not None:
                carrier = wrap(name, carrier)
            nursery.start_soon(_be, start, crew, carrier, name if memory else ANY_PORT, rng)
        yield crew


async def _be(start: Start, crew: LocalCrew, carrier: Carrier, listen: str, rng: Prg | None) -> None:
    try:
        await perform(start, crew.control(start.name), carrier, trio.current_time, listen=listen, seed=rng)
    except Exception as error:
        # Who failed first may be about to say so, and this error would cut it short.
        await trio.sleep(settle_seconds(error))
        raise
