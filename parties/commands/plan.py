"""`pehealth plan`: what a run will cost, without running it."""

from __future__ import annotations

from parties.commands.engine_room import engine_room
from parties.documents import STDOUT, check_writable, write
from parties.flags import JsonFile, RunFlags
from pehealth import schema


def plan(*, flags: RunFlags = RunFlags(), json: JsonFile = None) -> None:  # noqa: B008 - frozen
    """Show rounds, bytes, material and error bound of a run, computed without running it.

    Args:
        flags: what would run; --trace writes what such a run would leave, for `pehealth replay`.
        json: Write the plan (schema 1) to this file; - is standard output, without the tables.
    """
    request = flags.request()
    check_writable(json, "--json")
    result = engine_room().plan(request)
    if request.trace is not None:
        from parties.tracing import planned_trace, write_trace

        write_trace(request.trace, planned_trace(request))
    if json is not None:
        write(json, result.to_json(), schema.PLAN)
    if json != STDOUT:
        from parties import render
        from parties.console import open_console

        render.plan(open_console(), result)
