"""Real runs of the masked engines: nothing that they print, write, trace or would show of their objects is secret."""

from __future__ import annotations

import json

import pytest
from secret_search import HOLDERS, Secrets, Seen, collect

from parties import cli
from pehealth.protocols import masked


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
