"""`pehealth plan`: what a run will cost, without running it."""

from __future__ import annotations

import dataclasses

from parties.commands.engine_room import engine_room
from parties.documents import STDOUT, check_writable, write
from parties.flags import JsonFile, RunFlags
from pehealth import schema
from pehealth.errors import ConfigError


def plan(
    *,
    flags: RunFlags = RunFlags(),  # noqa: B008 - frozen
    count: int | None = None,
    json: JsonFile = None,
) -> None:
    """Show rounds, bytes, material and error bound of a run, computed without running it.

    Args:
        flags: what would run; --trace writes what such a run would leave, for `pehealth replay`.
        count: Queries to say the material's size for (default: those that the samples need).
        json: Write the plan (schema 1) to this file; - is standard output, without the tables.
    """
    request = flags.request()
    check_writable(json, "--json")
    if count is not None and count < 1:
        raise ConfigError(f"--count {count} must be at least 1")
    result = engine_room().plan(request)
    if count is not None:
        result = dataclasses.replace(result, queries=count)
    if request.trace is not None:
        from parties.tracing import planned_trace, write_trace

        write_trace(request.trace, planned_trace(request))
    if json is not None:
        write(json, result.to_json(), schema.PLAN)
    if json != STDOUT:
        from parties import render
        from parties.console import open_console

        render.plan(open_console(), result)
