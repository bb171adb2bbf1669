"""JSON that somebody else has written: everything that is not JSON is a ValueError, whatever it was meant to do."""

from __future__ import annotations

import json
from typing import NoReturn


def parse_json(data: str | bytes) -> object:
    """Return the value in `data`.

    Raises:
        ValueError: it is no JSON, holds NaN or an infinity, which JSON does not know, or is nested too deeply.
    """
    try:
        value: object = json.loads(data, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
