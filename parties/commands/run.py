"""`pehealth run`: private inference, and the report of it."""

from __future__ import annotations

from parties.commands.engine_room import class_names, engine_room
from parties.documents import STDOUT, check_writable, write
from parties.flags import JsonFile, RunFlags
from parties.progress import show_progress
from pehealth import schema
from pehealth.nets.record import RunResult


def run(*, flags: RunFlags = RunFlags(), json: JsonFile = None) -> None:  # noqa: B008 - frozen
    """Run a network on test samples, all parties on this machine, and report.

    Args:
        flags: what to run.
        json: Write the record (schema 1) to this file; - is standard output, without the report.
    """
    request = flags.request()
    check_writable(json, "--json")
    with show_progress() as progress:
        result = engine_room().run(request, progress, "run")
    deliver(result, json)


def deliver(result: RunResult, json: JsonFile) -> None:
    """Print the report, or write the record, or both."""
    if json is not None:
        write(json, result.to_json(), schema.RESULT)
    if json != STDOUT:
        from parties.console import open_console
        from parties.render import report

        report(open_console(), result, class_names(result.net))
