"""deploy, deal and run --state at the command line: what is said, what is remembered, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parties import cli
from parties.flags import RunFlags
from pehealth.config import Engine
from pehealth.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent


def words(*more: object) -> list[str]:
    return [str(word) for word in more]


def test_a_model_is_deployed_dealt_for_and_run_without_naming_it_again(tmp_path, capsys):
    state = tmp_path / "state"
    assert cli.main(words("deploy", "--state", state, "--engine", "dealt", "--batch", 2, "--dealer")) == 0
    said = capsys.readouterr().out
    assert "clinic is deployed in" in said
    assert "HC sent DEALER" in said
    assert "One-time material a query: E1" in said
    assert cli.main(words("deal", "--state", state, "--count", 3)) == 0
    said = capsys.readouterr().out
    assert said.startswith("Material for 3 queries: E1 ")
    assert "Both servers have it: indices 1 to 3" in said
    assert cli.main(words("run", "--state", state, "--samples", 6, "--no-deal", "--json", tmp_path / "r.json")) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["engine"], result["parameters"]["batch"], len(result["samples"])) == ("dealt", 2, 6)
    assert cli.main(words("run", "--state", state, "--samples", 2, "--no-deal")) == 2
    assert "material for 1 is missing: pehealth deal --state" in capsys.readouterr().err
    audit = subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit_stores.py", state], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "E2: stored 3, reserved 3, used 3, burnt 0, in stock 0" in audit.stdout
    assert "no index served twice" in audit.stdout


def test_files_are_written_and_taken_in(tmp_path, capsys):
    state = tmp_path / "state"
    assert cli.main(words("deploy", "--state", state, "--engine", "dealt")) == 0
    assert cli.main(words("deal", "--state", state, "--count", 2, "--out", tmp_path / "out")) == 0
    capsys.readouterr()
    for file in sorted((tmp_path / "out").iterdir()):
        assert cli.main(words("deal", "--state", state, "--import", file)) == 0
    assert capsys.readouterr().out == "E1 has material for 2 more queries\nE2 has material for 2 more queries\n"
    assert cli.main(words("run", "--state", state, "--samples", 2, "--no-deal")) == 0


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["deploy"], "--state is missing"),
        (["deal", "--count", "2"], "--state is missing"),
        (["deal", "--state", "nothing", "--count", "0"], "--count 0 is outside"),
        (["deal", "--state", "nothing", "--engine", "dealt"], "pehealth deploy first"),
        (["deal", "--state", "nothing", "--import", "no-file"], "no-file cannot be read"),
        (["run", "--no-deal"], "--no-deal needs --state"),
        (["plan", "--count", "0"], "--count 0 must be at least 1"),
    ],
)
def test_what_cannot_work_is_a_setting(tmp_path, capsys, monkeypatch, command, says):
    monkeypatch.chdir(tmp_path)
    assert cli.main(command) == 2
    assert says in capsys.readouterr().err


def test_flags_that_are_named_win_over_what_is_remembered(tmp_path):
    remembered = {
        "net": "clinic", "engine": "dealt", "group": None, "digits": 3, "ring": 40, "lattice": None, "batch": 4,
        "dealer": True, "reveal": "class",
    }  # fmt: skip
    (tmp_path / "settings.json").write_text(json.dumps({"format": 1, "flags": remembered}))
    request = RunFlags(state=tmp_path).request()
    assert (request.net, request.engine, request.digits, request.ring) == ("clinic", Engine.DEALT, 3, 40)
    assert (request.batch, request.samples, request.dealer, request.reveal) == (4, 4, True, "class")
    request = RunFlags(state=tmp_path, digits=4, dealer=False).request()
    assert (request.digits, request.dealer, request.batch) == (4, False, 4)
    request = RunFlags(state=tmp_path, net="cryptonets").request()
    assert (request.engine, request.digits, request.batch) == (Engine.RLWE, None, 1), (
        "another network: nothing is known"
    )


def test_settings_that_cannot_be_read_are_named(tmp_path):
    for bad in ("", "[]", '{"flags": {}}'):
        (tmp_path / "settings.json").write_text(bad)
        with pytest.raises(ConfigError, match=r"settings\.json cannot be read"):
            RunFlags(state=tmp_path).request()


def test_the_plan_says_how_much_material_there_will_be(capsys):
    assert cli.main(["plan", "--engine", "dealt", "--count", "1000", "--json", "-"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["queries"] == 1000
    assert cli.main(["plan", "--engine", "dealt", "--count", "1000"]) == 0
    assert "One-time material for 1,000 queries: E1 " in capsys.readouterr().out
