"""Real runs of the masked engines: nothing that they print, write, trace or would show of their objects is secret."""

from __future__ import annotations

import gc
import json

import pytest
from secret_search import Secrets, collect

from parties import cli
from pehealth.protocols import masked

OURS = ("pehealth.", "parties.", "transport.")
EACH = 12
"""Objects of one type that are looked at."""
HOLDERS = {"Prg", "RingWeights", "ReadyQuery", "QuantizedModel"}
"""Types that hold secrets: shown field by field, they would tell them."""


class Seen:
    """What the objects of ours that are alive would tell of themselves, and what they hold."""

    def __init__(self) -> None:
        self.told: dict[str, set[str]] = {}
        self.held: dict[str, set[str]] = {}

    def look(self) -> None:
        """Look at what is alive now."""
        for value in gc.get_objects():
            name = type(value).__name__
            told = self.told.setdefault(name, set())
            if f"{type(value).__module__}.".startswith(OURS) and len(told) < EACH:
                told.add(f"{value!r} {value}")
                if name in HOLDERS:
                    self.held.setdefault(name, set()).add(str(fields_of(value)))


def fields_of(value: object, depth: int = 3) -> list[object]:
    """What an object of ours holds, and what that holds."""
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif f"{type(value).__module__}.".startswith(OURS):
        slots = [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
        parts = [*getattr(value, "__dict__", {}).values(), *slots]
    else:
        return [value]
    return [value] if depth == 0 else [inner for part in parts for inner in fields_of(part, depth - 1)]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    return collect(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dealt", "rlwe"])
def test_a_run_tells_no_secret(engine, tmp_path, secrets, monkeypatch, capfd):
    seen, real, looks = Seen(), masked.open_masked, [2, 5]

    async def looked_at(*args, **kwargs):
        result = await real(*args, **kwargs)
        looks[:] = [left - 1 for left in looks]
        if 0 in looks:
            seen.look()
        return result

    monkeypatch.setattr(masked, "open_masked", looked_at)
    words = ["run", "--engine", engine, "--samples", "2", "--dealer", "--sensors", "2"]
    words += ["--json", str(tmp_path / "result.json"), "--trace", str(tmp_path / "trace.json")]
    assert cli.main([*words, "--state", str(tmp_path / "state")]) == 0
    out, err = capfd.readouterr()
    files = [*tmp_path.glob("*.json"), *(tmp_path / "state").glob("*.json")]
    told = {"stdout": out, "stderr": err} | {path.name: path.read_text() for path in files}
    told |= {f"repr of {kind}": "\n".join(texts) for kind, texts in seen.told.items()}
    assert {"result.json", "trace.json", "settings.json", "repr of Channel", "repr of Job"} <= set(told)
    assert len(json.loads(told["result.json"])["samples"]) == 2
    assert {where: found for where, text in told.items() if (found := secrets.found_in(text))} == {}
    assert {kind for kind, texts in seen.held.items() if secrets.found_in("\n".join(texts))} == HOLDERS
