"""JSON Schemas (draft 2020-12) of what the command line writes, and the check against them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from pehealth.errors import ConfigError

RESULT = "result-1.json"
PLAN = "plan-1.json"
BENCH = "bench-1.json"
TRACE = "trace-1.json"
REPLAY = "replay-1.json"
SCALE = "scale-1.json"
IMPORT = "import-1.json"
ANSWER = "answer-1.json"
REPORT = "report-1.json"


def load(name: str) -> dict[str, Any]:
    """Return the schema `name`: RESULT or PLAN."""
    schema: dict[str, Any] = json.loads(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))
    return schema


def problems(document: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return every way in which `document` differs from the schema, each with its place."""
    from jsonschema import Draft202012Validator  # 70 ms: only who checks pays
    from referencing import Registry, Resource

    registry = Registry().with_resource(RESULT, Resource.from_contents(load(RESULT)))
    validator = Draft202012Validator(load(name), registry=registry)
    return tuple(f"{error.json_path}: {error.message}" for error in validator.iter_errors(document))


def check(document: Mapping[str, object], name: str) -> None:
    """Raise unless `document` keeps the schema.

    Raises:
        ConfigError: it does not; every difference is listed.
    """
    if found := problems(document, name):
        raise ConfigError(*(f"not a {name} document: {problem}" for problem in found))
