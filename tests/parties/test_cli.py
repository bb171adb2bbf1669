"""The command line: flags become a request, whatever goes wrong becomes one sentence and an exit code."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from parties import cli
from parties.commands import demo as demo_command
from parties.commands import plan as plan_command
from parties.commands import run as run_command
from parties.commands.engine_room import EngineRoom
from parties.documents import read_result
from parties.failure import PartyFailed
from parties.flags import RunFlags
from parties.progress import Progress
from parties.request import RunRequest, Transport
from pehealth import schema
from pehealth.config import Engine, GroupName
from pehealth.errors import ConfigError, PeerProtocolError
from pehealth.nets.record import PlanResult, RunResult
from transport.errors import PeerLost

ROOT = Path(__file__).parent.parent.parent


class Fake:
    """Stands in for launcher and planner: keeps what it was asked, gives or raises what it was told."""

    def __init__(self, make_result: Callable[..., RunResult]) -> None:
        self.asked: list[RunRequest] = []
        self.make_result = make_result
        self.error: BaseException | None = None

    def run(self, request: RunRequest, progress: Progress, command: str) -> RunResult:
        self.asked.append(request)
        progress("queries", 1, 1)
        if self.error is not None:
            raise self.error
        return dataclasses.replace(self.make_result(request.engine, request.group), command=command)

    def plan(self, request: RunRequest) -> PlanResult:
        self.asked.append(request)
        result = self.make_result(request.engine, request.group)
        names = ("net", "engine", "parameters", "security", "scale", "planned", "error_bound")
        return PlanResult(**{name: getattr(result, name) for name in names})


@pytest.fixture
def fake(make_result: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch) -> Fake:
    stand_in = Fake(make_result)
    room = EngineRoom(run=stand_in.run, plan=stand_in.plan)
    for module in (run_command, plan_command, demo_command):
        monkeypatch.setattr(module, "engine_room", lambda: room)
    return stand_in


def test_flags_reach_the_request(fake: Fake, tmp_path: Path) -> None:
    words = "run --net wearable-c --engine paper --group modp2048 --digits 2 --walk 9 --ring 48 --batch 2 --samples 7"
    words += " --repeat 3 --sensors 2 --transport tcp --no-tls --network 20ms,100mbit --check --time-limit 5"
    assert cli.main([*words.split(), "--trace", str(tmp_path / "t"), "--data-dir", str(tmp_path)]) == 0
    assert fake.asked == [
        RunRequest(
            net="wearable-c",
            engine=Engine.PAPER,
            group=GroupName.MODP2048,
            digits=2,
            walk=9,
            ring=48,
            batch=2,
            samples=7,
            repeat=3,
            sensors=2,
            transport=Transport.TCP,
            tls=False,
            network="20ms,100mbit",
            data_dir=tmp_path,
            trace=tmp_path / "t",
            check=True,
            time_limit=5.0,
        )
    ]


@pytest.mark.parametrize("walk", ["right", "fast"])
def test_a_walk_may_be_a_word(fake: Fake, walk: str) -> None:
    assert cli.main(["run", "--engine", "paper", "--walk", walk]) == 0
    assert fake.asked[0].walk == walk


def test_every_setting_of_a_request_has_a_flag() -> None:
    flags = {f.name for f in dataclasses.fields(RunFlags)}
    assert {f.name for f in dataclasses.fields(RunRequest)} - flags == {"insecure_seed"}


def test_a_batch_without_samples_is_one_full_batch(fake: Fake) -> None:
    cli.main(["run", "--batch", "8"])
    assert fake.asked[0].samples == 8


def test_run_prints_the_report_and_no_progress_in_a_pipe(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run"]) == 0
    out, err = capsys.readouterr()
    assert "Accuracy over 2 samples" in out
    assert err == ""


def test_json_is_written_checked_and_whole(fake: Fake, tmp_path: Path) -> None:
    assert cli.main(["run", "--json", str(tmp_path / "r.json")]) == 0
    assert read_result(tmp_path / "r.json") == dataclasses.replace(fake.make_result(), command="run")
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_json_on_standard_output_stands_alone(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--json", "-"]) == 0
    assert schema.problems(json.loads(capsys.readouterr().out), schema.RESULT) == ()


def test_a_document_that_breaks_its_schema_is_never_written(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fake.make_result()
    fake.make_result = lambda *_: dataclasses.replace(whole, scale=0)
    assert cli.main(["run", "--json", str(tmp_path / "r.json")]) == 70
    assert list(tmp_path.iterdir()) == []
    assert "a bug of ours" in capsys.readouterr().err


def test_an_unwritable_file_is_refused_before_the_run(fake: Fake, tmp_path: Path) -> None:
    assert cli.main(["run", "--json", str(tmp_path / "no" / "r.json")]) == 2
    assert cli.main(["run", "--json", str(tmp_path)]) == 2
    assert fake.asked == []


def test_plan_runs_nothing_and_keeps_its_schema(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--json", "-"]) == 0
    assert schema.problems(json.loads(capsys.readouterr().out), schema.PLAN) == ()
    assert cli.main(["plan"]) == 0
    assert "Error bound" in capsys.readouterr().out


def test_the_demo_runs_processes_and_the_paper_beside_them(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo"]) == 0
    assert [(r.engine, r.transport) for r in fake.asked] == [
        (Engine.RLWE, Transport.PROCESSES),
        (Engine.PAPER, Transport.MEMORY),
    ]
    out = capsys.readouterr().out
    assert "Side by side" in out
    assert "INSECURE: toy32" in out
    assert cli.main(["demo", "--no-beside"]) == 0
    assert len(fake.asked) == 3


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            ConfigError("digits do not fit", "nor does the ring"),
            2,
            "these settings cannot work:\n  digits do not fit\n",
        ),
        (PeerLost("E2 closed the link in 2.relu"), 3, "pehealth: E2 closed the link in 2.relu\n"),
        (PartyFailed("E2", "was killed", exit_code=3), 3, "pehealth: E2: was killed\n"),
        (ExceptionGroup("", [PeerLost("E1"), PeerProtocolError("E2 sent 3 bytes")]), 4, "pehealth: E2 sent 3 bytes\n"),
        (ZeroDivisionError("oh"), 70, "a bug of ours: ZeroDivisionError: oh"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (BaseExceptionGroup("", [KeyboardInterrupt(), PeerLost("E1")]), 130, "stopped by Ctrl-C"),
    ],
)
def test_a_failure_is_one_sentence_and_a_code(
    fake: Fake, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    fake.error = error
    assert cli.main(["run"]) == code
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback_wherever_it_stands(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.error = PeerLost("E1")
    assert cli.main(["--debug", "run"]) == 3
    assert cli.main(["run", "--debug"]) == 3
    assert capsys.readouterr().err.count("Traceback") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--engine", "magic"], 'Choose from: "paper", "dealt", "rlwe", "ddh"'),
        (["run", "--digts", "2"], "Unknown option: --digts. Did you mean --digits?"),
        (["rum"], 'Unknown command "rum"'),
        (["run", "--digits", "99", "--ring", "2"], "--digits 99 is outside 0..12\n  --ring 2 is outside 8..64"),
    ],
)
def test_a_wrong_flag_is_a_setting(fake: Fake, capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert cli.main(words) == 2
    assert says in capsys.readouterr().err
    assert fake.asked == []


def test_every_command_is_there_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    for name in [*cli.COMMANDS, *cli.GROUPS]:
        assert name in overview
    for words in [[name] for name in cli.COMMANDS] + [[g, c] for g, (_, cs) in cli.GROUPS.items() for c in cs]:
        assert cli.main([*words, "--help"]) == 0
        assert "Usage: pehealth" in capsys.readouterr().out


def fresh(*words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run a fresh Python from the source tree."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "parties", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_version_names_what_a_bug_report_needs() -> None:
    shown = fresh("--version")
    assert shown.returncode == 0
    names = [line.split()[0] for line in shown.stdout.splitlines()]
    assert names == ["pehealth", "python", "numpy", "gmpy2", "trio", "cryptography", "msgpack", "platform"]


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = ("numpy", "trio", "rich", "jsonschema", "gmpy2", "cryptography", "sklearn")
    code = f"import sys; from parties import cli; cli.build(); print([m for m in {heavy} if m in sys.modules])"
    assert fresh(code=code).stdout.strip() == "[]"


def test_a_reader_that_leaves_early_hears_no_complaint() -> None:
    """`pehealth --help | head -1` ends quietly."""
    command = f"{sys.executable} -m parties --help | head -c 1 >/dev/null"
    piped = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (piped.returncode, piped.stderr) == (0, "")
