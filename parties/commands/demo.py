"""`pehealth demo`: from nothing to a private diagnosis on real data, and the published protocol beside it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from parties.commands.engine_room import engine_room
from parties.commands.run import deliver
from parties.console import line, open_console
from parties.documents import STDOUT, check_writable
from parties.flags import JsonFile, RunFlags
from parties.progress import show_progress
from parties.render import compare
from parties.request import RunRequest, Transport
from pehealth.config import Engine, GroupName
from pehealth.errors import ConfigError
from pehealth.nets.record import RunResult

SAMPLES = 10

INTRODUCTION = """\
A healthcare centre (HC) owns a trained network, a sensor (HMS1) a patient's readings. Two servers, E1 and E2, compute
the diagnosis and learn neither the readings, nor the network, nor the diagnosis. Each party is a process of its own.
"""


def demo(
    *,
    flags: RunFlags = RunFlags(),  # noqa: B008 - frozen
    beside: Annotated[bool, Parameter(negative="--no-beside")] = True,
    json: JsonFile = None,
) -> None:
    """Run private inference on real data between separate processes; then the paper's protocol, side by side.

    Args:
        flags: what to run; processes and a few samples unless told otherwise.
        beside: Also run the published protocol, in its toy group (INSECURE), for comparison.
        json: Write the record (schema 1) of the private run to this file; - is standard output.
    """
    request = flags.request(Transport.PROCESSES, SAMPLES)
    check_writable(json, "--json")
    console = open_console()
    if json != STDOUT:
        line(console, INTRODUCTION)
    with show_progress() as progress:
        result = engine_room().run(request, progress, "demo")
    deliver(result, json)
    if beside and json != STDOUT and request.engine is not Engine.PAPER:
        baseline = _baseline(request)
        if isinstance(baseline, RunResult):
            compare(console, [result, baseline])
        else:
            line(console, f"\nThe paper's protocol cannot run this network beside it: {baseline}")


def _baseline(request: RunRequest) -> RunResult | ConfigError:
    """Run one sample by the paper's protocol in one process, or say why it cannot be run."""
    try:
        paper = RunRequest(
            net=request.net, engine=Engine.PAPER, group=GroupName.TOY32, data_dir=request.data_dir
        ).checked()
        with show_progress() as progress:
            return engine_room().run(paper, progress, "demo")
    except ConfigError as error:
        return error
