"""`pehealth deploy`: the model, encrypted, to the servers; each party keeps its part in a folder of its own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from parties.flags import RunFlags
from parties.progress import show_progress

if TYPE_CHECKING:
    from parties.conduct import Outcome
    from parties.resolve import Job


def deploy(*, flags: RunFlags = RunFlags()) -> None:  # noqa: B008 - frozen
    """Deploy a model once, for any number of later runs with the same --state.

    Args:
        flags: what is deployed; --state names the directory.
    """
    request = flags.request()
    job: Job
    outcome: Outcome
    with show_progress() as progress:
        job, outcome = import_module("parties.ahead").deploy(request, progress)
    from parties.console import line, open_console, size

    console, p = open_console(), job.plan.parameters
    what = "is deployed" if outcome.deployed else "was deployed before, and is whole,"
    line(console, f"{job.model.network.name} {what} in {request.state} on engine {p.engine}", "bold")
    line(console, f"digits {p.digits}, ring 2^{p.ring}, batch {p.batch}, {p.security_bits} bits of security")
    if outcome.deployed:
        for (sender, receiver), traffic in sorted(job.plan.setup.links.items()):
            line(console, f"{sender} sent {receiver} {size(traffic.payload)}")
    material = ", ".join(f"{server} {size(count)}" for server, count in job.plan.material_bytes.items())
    line(console, f"One-time material a query: {material}; pehealth deal --state {request.state} --count N makes it")
