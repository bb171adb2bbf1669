"""Our own runs, on this machine's loopback or with each party in a namespace of its own."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from parties.conduct import Outcome
from parties.launch import conduct, perform_job, queries_of, start_all
from parties.process import spawn
from parties.progress import silent
from parties.request import RunRequest, Transport
from parties.resolve import Job, resolve
from parties.start import party_names
from testbed.namespaces import Bed
from testbed.party import VARIABLE
from transport.meter import MeterReport

WORKER = str(Path(__file__).with_name("party.py"))


@dataclass(frozen=True)
class Ran:
    """A run that is over.

    Attributes:
        job, outcome: as the launcher has them.
        metered: link "E1->E2" -> bytes of frames, control frames and goodbyes included; on a testbed alone.
    """

    job: Job
    outcome: Outcome
    metered: dict[str, int]

    @property
    def online(self) -> list[float]:
        """Seconds of each query from the sensor's first send to the centre's result, in order."""
        return [self.outcome.collected[q] - self.outcome.submitted[q] for q in sorted(self.outcome.collected)]


def run_here(request: RunRequest) -> Ran:
    """Run on loopback, a process a party; links shaped by ourselves if the request says so."""
    job = resolve(replace(request, transport=Transport.PROCESSES, tls=False))
    return Ran(job, perform_job(job, silent), {})


def run_on(bed: Bed, request: RunRequest) -> Ran:
    """Run with each party in its namespace, over the kernel's TCP and nothing of ours that shapes."""
    job = resolve(replace(request, transport=Transport.PROCESSES, tls=False, network=None))
    with tempfile.TemporaryDirectory() as folder:
        outcome = trio.run(_execute, job, bed, folder)
        reports = [MeterReport.from_wire(json.loads(p.read_text())) for p in sorted(Path(folder).glob("*.json"))]
    sums: dict[str, int] = {}
    for (link, _), traffic in MeterReport.merge(reports).sent.items():
        name = "->".join(link)
        sums[name] = sums.get(name, 0) + traffic.total
    return Ran(job, outcome, sums)


def parties_of(request: RunRequest) -> tuple[str, ...]:
    """Return the names of the parties of a run."""
    return party_names(resolve(request).plan.parameters, dealer=request.dealer)


async def _execute(job: Job, bed: Bed, folder: str) -> Outcome:
    session = queries_of(job)
    starts = start_all(job, session)
    told = {
        "enter": {name: bed.command(name) for name in starts},
        "listen": {name: f"{bed.address(name)}:0" for name in starts},
        "folder": folder,
    }
    async with spawn(list(starts), worker=(WORKER,), env={VARIABLE: json.dumps(told)}) as crew:
        for name, start in starts.items():
            await crew.send(name, start.to_wire())
        return await conduct(crew, time.monotonic, silent, job, session)
