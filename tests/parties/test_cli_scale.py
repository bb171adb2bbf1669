"""`pehealth scale` and `pehealth plan --trace`, with a compute model in the place of measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parties import cli, scaling, tracing
from parties.failure import EXIT_SETTINGS
from parties.tracing import read_trace
from pehealth import schema
from pehealth.experiments.compute_model import ComputeModel

MODEL = ComputeModel({"linear": {"macs": 1e-9}, "relu": {"gates": 1e-6}}, {"relu": 0.9})


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (scaling, tracing):
        monkeypatch.setattr(module, "calibrate", lambda _parameters: MODEL)


def test_scale_shows_growth_and_writes_document_trace_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, trace, plot = tmp_path / "s.json", tmp_path / "t.json", tmp_path / "p.svg"
    words = ["scale", "--over", "depth", "--engine", "dealt", "--networks", "wan", "5ms,10mbit"]
    assert cli.main([*words, "--json", str(document), "--trace", str(trace), "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert "Growth with convolutions" in out
    assert "online 5ms,10mbit" in out
    assert "relu 0.90" in out
    found = json.loads(document.read_text())
    assert schema.problems(found, schema.SCALE) == ()
    assert [p["value"] for p in found["families"][0]["points"]] == [1, 2, 4, 8, 16, 32]
    assert read_trace(trace).net == "chain-32"
    assert "<svg" in (tmp_path / "p-depth.svg").read_text()


def test_scale_of_the_papers_engine_says_that_it_is_insecure(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["scale", "--over", "depth", "--engine", "paper"]) == 0
    out = capsys.readouterr().out
    assert "INSECURE" in out
    assert "Reveals to E1 and E2" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ring", "99", "--digits", "-1"], "--digits -1 is outside 0..12"),
        (["--networks", "fast"], "--networks: expected none, lan"),
        (["--engine", "ddh"], "without weights"),
        (["--plot", "missing/p.svg"], "--plot missing/p.svg"),
    ],
)
def test_settings_that_cannot_work_are_named(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert cli.main(["scale", "--over", "depth", *words]) == EXIT_SETTINGS
    assert said in capsys.readouterr().err


def test_a_plan_leaves_a_trace_that_can_be_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.json"
    assert cli.main(["plan", "--net", "clinic", "--engine", "dealt", "--trace", str(path)]) == 0
    capsys.readouterr()
    assert cli.main(["replay", str(path), "--network", "20ms"]) == 0
    out = capsys.readouterr().out
    assert "Time of a query, online: 100 ms" in out
    assert "nothing ran" in out
