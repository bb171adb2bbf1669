"""`pehealth report`: the command, its resuming, and the runs that it asks for."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parties import cli, report_runner
from parties.commands import run as run_command
from parties.commands.engine_room import EngineRoom
from parties.failure import EXIT_SETTINGS
from parties.progress import show_progress
from parties.report_runner import request_of, runners
from parties.request import RunRequest, Transport
from pehealth import schema
from pehealth.config import Engine, GroupName
from pehealth.errors import PehealthError
from pehealth.experiments.report import output
from pehealth.experiments.report import suite as suites
from pehealth.experiments.report.claims import claims
from pehealth.experiments.report.parts import Experiment
from pehealth.experiments.report.runs import SecureRun, digest_of, plan_experiment, run_experiment
from pehealth.nets.record import RunResult
from transport.errors import PeerLost

MODES: tuple[suites.Mode, ...] = ("quick", "full")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two experiments in the place of a suite's, one of which fails; the names of those that were done."""
    done: list[str] = []

    def fine() -> dict[str, Any]:
        done.append("sensor")
        return {"rows": [{"readings": 8, "words": 16, "words_a_reading": 2.0}]}

    def bad() -> dict[str, Any]:
        done.append("shares")
        raise PehealthError("E2: lost")

    made = [Experiment("sensor", {"kind": "local"}, fine), Experiment("shares", {"kind": "local"}, bad)]
    monkeypatch.setattr(suites, "experiments", lambda *_: made)
    monkeypatch.setattr(output, "find_spec", lambda _name: None)  # drawing PNGs takes longer than all the rest
    return done


def test_a_report_is_written_and_taken_up_again(
    few: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "report"
    for _ in range(2):
        assert cli.main(["report", "--quick", "--out", str(out)]) == 0
    assert few == ["sensor", "shares", "shares"]
    shown = capsys.readouterr()
    assert "not measured: shares: PehealthError: E2: lost" in shown.out
    assert "holds: 1" in shown.out
    assert shown.err == ""
    document = json.loads((out / "report.json").read_text())
    assert schema.problems(document, schema.REPORT) == ()
    assert document["mode"] == "quick"
    assert (out / "report.html").is_file()
    assert cli.main(["report", "--no-resume", "--out", str(out)]) == 0
    assert few == ["sensor", "shares", "shares", "sensor", "shares"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--quick", "--full"], "--quick and --full exclude each other"),
        (["--data-dir", "/nowhere"], "--data-dir /nowhere is not a directory"),
    ],
)
def test_what_cannot_work_is_said_first(
    few: list[str], words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", "--out", str(tmp_path / "r"), *words]) == EXIT_SETTINGS
    assert said in capsys.readouterr().err
    assert few == []
    assert not (tmp_path / "r").exists()


def test_a_file_in_the_way_is_said(few: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r").write_text("")
    assert cli.main(["report", "--out", str(tmp_path / "r")]) == EXIT_SETTINGS
    assert f"--out {tmp_path / 'r'} cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("mode", MODES)
def test_every_run_of_a_suite_can_be_asked_for(mode: suites.Mode) -> None:
    chosen = suites.suite(mode)
    specs = [*chosen.runs, *chosen.planned]
    assert len({spec.name for spec in specs}) == len(specs)
    for spec in specs:
        request = request_of(spec, None).checked()
        assert request.samples % request.batch == 0 or request.samples > request.batch
        assert request.transport is (Transport.PROCESSES if spec.processes else Transport.MEMORY)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """What `pehealth run` was asked for; nothing runs."""
    kept: list[RunRequest] = []

    def keep(request: RunRequest, *_: object) -> RunResult:
        kept.append(request)
        raise PehealthError("enough")

    monkeypatch.setattr(run_command, "engine_room", lambda: EngineRoom(run=keep, plan=keep))  # type: ignore[arg-type]
    return kept


def test_the_commands_of_the_claims_can_be_given(asked: list[RunRequest], tmp_path: Path) -> None:
    given = {claim.command for claim in claims()}
    for command in given:
        words = command.replace("NET", "postop-b").split()
        assert words[0] == "pehealth"
        if words[1] == "run":
            cli.main(words[1:])
            assert asked.pop().net in words
    assert {c for c in given if not c.startswith("pehealth run ")} == {
        "pehealth report --quick --out DIR",
        "pehealth attack toy32 --net mnist-e",
    }


@pytest.mark.parametrize("mode", MODES)
def test_the_command_of_a_run_is_the_run(mode: suites.Mode, asked: list[RunRequest]) -> None:
    kinds = {(s.engine, s.group, s.walk, s.ring, s.failures, s.batch > 1): s for s in suites.suite(mode).runs}
    for spec in kinds.values():
        cli.main(spec.command.split()[1:])
        wanted = request_of(spec, None).checked()
        got = asked.pop()
        assert (got.net, got.engine, got.group, got.digits, got.walk, got.ring) == (
            wanted.net, wanted.engine, wanted.group, wanted.digits, wanted.walk, wanted.ring,
        )  # fmt: skip
        assert (got.samples, got.batch, got.failures, got.transport) == (
            wanted.samples, wanted.batch, wanted.failures, wanted.transport,
        )  # fmt: skip


def test_a_failed_run_says_its_first_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> RunResult:
        raise ExceptionGroup("many", [PeerLost("E1: E2 is gone")])

    monkeypatch.setattr(report_runner, "run", lost)
    with pytest.raises(PehealthError, match="E1: E2 is gone"):
        runners(None)[0](SecureRun("postop-b", Engine.RLWE, 4, 1))


def test_ctrl_c_in_a_run_ends_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> RunResult:
        raise BaseExceptionGroup("many", [KeyboardInterrupt()])

    monkeypatch.setattr(report_runner, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        runners(None)[0](SecureRun("postop-b", Engine.RLWE, 4, 1))


def test_a_record_becomes_figures(make_result: Callable[..., RunResult]) -> None:
    found = digest_of(make_result(Engine.PAPER, GroupName.TOY32))
    assert found["insecure"] is True
    assert found["reveals"] == ["activation_signs"]
    assert (found["samples"], found["like_oracle"], found["exact"]) == (2, 2, 0)
    assert found["error_max"] == pytest.approx(0.00007)
    assert found["layers"][2]["between"] == 160
    assert found["expected"] == {"wrong_conversions": 0.5}
    assert found["links"]["online"]["HMS1->E1"] == 300


def test_real_runs_and_plans_give_what_a_report_reads(five_classes: str) -> None:
    runner, planner = runners(None)
    spec = SecureRun(five_classes, Engine.RLWE, 4, 6, batch=3)
    pytest.importorskip("sklearn", reason="the model's readings are scikit-learn's")
    found = run_experiment(spec, runner).measure()
    assert found["spec"]["command"].startswith("pehealth run --net ")
    assert found["samples"] == found["within_bound"] == 6
    assert found["server_rounds"] == 3
    planned = plan_experiment(spec, planner).measure()
    assert planned["ops"].keys() <= found["ops"].keys() | {"dcf_evals"}


def test_progress_is_one_bar_that_names_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress() as progress:
        for at, name in enumerate(("one", "two")):
            progress(f"report: {name}", at, 2)
        progress("report", 2, 2)
    last = [frame for frame in shown.getvalue().split("\x1b[2K") if "2/2" in frame]
    assert last
    assert all("0/2" not in frame and "1/2" not in frame for frame in last)
