"""`pehealth replay` on a small trace: figures, pictures, and words that mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parties import cli
from parties.failure import EXIT_SETTINGS
from pehealth import schema
from pehealth.experiments.steps import QueryTrace, RunTrace, Step
from pehealth.nets.record import RunParameters, Security


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A sensor that computes for a second and sends to the centre, which takes half a second."""
    programs = {
        "HMS1": (Step("compute", 0, 0.0, 1.0), Step("send", 0, 1.0, 1.0, "HC", size=1226)),
        "HC": (Step("take", 0, 0.0, 1.0, "HMS1", size=1226, arrived=1.0), Step("compute", 1, 1.0, 1.5)),
    }
    document = RunTrace(
        "example", "paper", RunParameters(1, 32, "toy32"), Security(16, insecure=True, reveals=("activation_signs",)),
        "virtual", ("0.input", "1.output"), (QueryTrace("online", 1, programs),),
    ).to_json()  # fmt: skip
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(document))
    return path


def test_replay_tells_time_path_and_grid_and_draws_both(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {flag: tmp_path / name for flag, name in (("json", "r.json"), ("timeline", "t.svg"), ("plot", "p.svg"))}
    words = [text for flag, path in files.items() for text in (f"--{flag}", str(path))]
    code = cli.main(
        ["replay", str(trace), "--network", "250ms,10kbit", "--speed", "HMS1=2", "--latencies", "1ms,1s", *words]
    )
    out = capsys.readouterr().out
    assert code == 0
    assert "Time of a query, online: 2.25 s" in out
    assert "INSECURE" in out
    assert "activation" in out
    document = json.loads(files["json"].read_text())
    assert schema.problems(document, schema.REPLAY) == ()
    assert document["seconds"] == pytest.approx(0.5 + 1.0 + 0.25 + 0.5)
    assert document["grid"]["latencies"] == [0.001, 1.0]
    assert document["speed"] == {"HMS1": 2.0}
    assert all("<svg" in files[flag].read_text() for flag in ("timeline", "plot"))
    assert "INSECURE" in files["timeline"].read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "fast"], "--network: expected none, lan"),
        (["--link", "E1=lan"], "'E1' is no party of this trace: HMS1, HC"),
        (["--link", "HC=soon"], "--link: expected"),
        (["--speed", "HC=0"], "--speed: expected a factor above 0"),
        (["--handling", "long"], "--handling: expected"),
        (["--bandwidths", "10ms"], "--bandwidths: expected"),
        (["--phase", "setup"], "no query in the setup phase"),
        (["--timeline", "picture.gif"], "ends in .svg or .png"),
        (["--json", "missing/r.json"], "--json missing/r.json"),
    ],
)
def test_words_that_mean_nothing_are_named(
    trace: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", str(trace), *words]) == EXIT_SETTINGS
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    assert cli.main(["replay", str(path)]) == EXIT_SETTINGS
    assert "not a trace-1.json document" in capsys.readouterr().err
