"""The events that may be logged and the fields that each may have: nothing else can be written.

A field is a text of limited length or a number of Python's own; bytes, arrays, their scalars and every other object are
refused, so a share, a key or a mask cannot be handed over in the form in which the program holds it.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping

Value = str | int | float
INFO, WARNING, ERROR = "info", "warning", "error"
NAME, SENTENCE = 64, 400
"""Greatest lengths of a text; the rest is cut off."""
GREATEST = 2**63
FIELDS: Mapping[str, int | type[int | float]] = {
    "address": NAME, "deployment": NAME, "model": NAME, "outcome": NAME, "peer": NAME,
    "room": NAME, "who": NAME, "of": NAME, "version_of_pehealth": NAME, "head": NAME, "why": SENTENCE,
    "version": int, "query": int, "queries": int, "rounds": int, "left": int, "lines": int, "count": int,
    "seconds": float,
}  # fmt: skip
"""Field -> the length of a text, or the type of a number."""
EVENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "started": (INFO, ("version_of_pehealth",)),
    "stopping": (INFO, ()),
    "stopped": (INFO, ()),
    "failed": (ERROR, ("why",)),
    "listening": (INFO, ("address",)),
    "link_up": (INFO, ("room", "peer")),
    "link_down": (WARNING, ("room", "peer", "why")),
    "refused": (WARNING, ("who", "why")),
    "note": (INFO, ("why",)),
    "left_out": (WARNING, ("of", "count")),
    "deployed": (INFO, ("deployment", "model", "version")),
    "retired": (INFO, ("deployment", "model", "version", "queries")),
    "material_out": (WARNING, ("deployment", "left")),
    "material_back": (INFO, ("deployment", "left")),
    "query": (INFO, ("deployment", "model", "version", "query", "who", "outcome", "seconds", "rounds")),
    "query_failed": (WARNING, ("deployment", "model", "version", "query", "who", "outcome", "seconds", "rounds")),
    "ready": (INFO, ()),
    "not_ready": (WARNING, ("why",)),
    "slow_loop": (WARNING, ("seconds",)),
    "audit_head": (INFO, ("lines", "head")),
    "audit_failed": (ERROR, ("why",)),
}
"""Event -> its level, and its fields: all of them, each time."""


def line_of(now: dt.datetime, party: str, event: str, fields: Mapping[str, object]) -> str:
    """Return one line of JSON: time, level, party, event and the event's fields.

    Control characters, and all that is not ASCII, are escaped, so a line stays a line and a terminal stays as it is.

    Raises:
        KeyError: the event is not in `EVENTS`.
        TypeError: a field is missing, is none of the event's, or has another type; it says which, never the value.
    """
    level, names = EVENTS[event]
    if set(fields) != set(names):
        raise TypeError(
            f"event {event} has the fields {', '.join(names) or 'none'}; came {', '.join(fields) or 'none'}"
        )
    head = {"time": moment(now), "level": level, "party": party, "event": event}
    return json.dumps(head | {name: checked(name, fields[name]) for name in names}, allow_nan=False)


def checked(name: str, value: object) -> Value:
    """Return a field's value, texts cut to their length.

    Raises:
        TypeError: it is of another type than the field's, or a number out of all reason.
    """
    kind = FIELDS[name]
    if isinstance(kind, int):
        if type(value) is str:
            return value if len(value) <= kind else value[: kind - 3] + "..."
    elif kind is float and type(value) in (float, int):
        number = float(str(value))
        if math.isfinite(number):
            return round(number, 6)
    elif kind is int and type(value) is int and abs(value) < GREATEST:
        return value
    wanted = "a text" if isinstance(kind, int) else kind.__name__
    raise TypeError(f"field {name}: expected {wanted}, came {type(value).__name__}; it is not shown")


def moment(now: dt.datetime) -> str:
    """Return a time in UTC, to the millisecond: 2026-11-24T08:00:00.000Z."""
    return now.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
