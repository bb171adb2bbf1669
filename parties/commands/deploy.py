"""`pehealth deploy`: the model, encrypted, to the servers; each party keeps its part in a folder of its own."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parties.flags import RunFlags
from parties.progress import show_progress
from pehealth.errors import ConfigError

if TYPE_CHECKING:
    from parties.conduct import Outcome
    from parties.request import RunRequest
    from parties.resolve import Job


def deploy(
    model: str | None = None,
    /,
    *,
    flags: RunFlags = RunFlags(),  # noqa: B008 - frozen
    service: Path | None = None,
    version: int | None = None,
) -> None:
    """Deploy a model once: to running services (--service), or for later runs on this machine (--state).

    Args:
        model: A name that `pehealth data list` shows, or a model file; the same as --net.
        flags: how it is deployed; with --service: --engine, --digits, --ring, --lattice, --batch and --reveal.
        service: HC's settings file: its service, which runs on this machine, deploys to all parties.
        version: With --service: refuse if the next version of this model would be another.
    """
    if model is not None and flags.net not in (None, model):
        raise ConfigError(f"two models are named: {model} and --net {flags.net}")
    flags = dataclasses.replace(flags, net=model or flags.net)
    if service is None:
        if version is not None:
            raise ConfigError("--version has no meaning without --service")
        _deploy_here(flags.request())
        return
    if flags.state is not None:
        raise ConfigError("--state and --service exclude each other: a service keeps its state where its settings say")
    if flags.net is None:
        raise ConfigError("name the model: pehealth deploy MODEL --service HC.toml")
    _deploy_there(flags.request(), service, version)


def _deploy_here(request: RunRequest) -> None:
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


def _deploy_there(request: RunRequest, service: Path, version: int | None) -> None:
    from parties.commands.operating import ask_service
    from parties.console import line, open_console
    from pehealth.nets.weights import save
    from pehealth.nets.zoo import load_model

    file = io.BytesIO()
    save(load_model(request.net), file)
    said = ask_service(service, "deploy", model=file.getvalue(), request=to_wire(request), version=version or 0)
    console = open_console()
    line(console, f"{said['model']}@{said['version']} is deployed on engine {said['engine']}", "bold")
    line(
        console,
        f"digits {said['digits']}, ring 2^{said['ring']}, batch {said['batch']}, {said['bits']} bits of security",
    )
    line(console, f"a logit differs from the ideal one by at most {int(said['error_bound']) / int(said['scale']):.3g}")
    line(
        console,
        f"deployment {said['id']}; pehealth retire {said['model']}@{said['version']} --service {service} ends it",
    )


def to_wire(request: RunRequest) -> Mapping[str, Any]:
    """Return what a service is told of how to deploy."""
    return {
        "engine": str(request.engine),
        "digits": 0 if request.digits is None else request.digits + 1,
        "ring": request.ring or 0,
        "lattice": request.lattice or "",
        "batch": request.batch,
        "reveal": request.reveal,
    }
