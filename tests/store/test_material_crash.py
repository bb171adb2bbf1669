"""Killed at any step, a store never gives an index twice, and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "crash_program.py"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    shared = Path("/dev/shm")  # noqa: S108
    root = shared if shared.is_dir() else tmp_path_factory.mktemp("crash")
    command = [sys.executable, "-c", _RUN, str(PROGRAM), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


_RUN = """
import runpy, sys, tempfile
sys.path.insert(0, ".")
program = runpy.run_path(sys.argv[1])
from pathlib import Path
with tempfile.TemporaryDirectory(dir=sys.argv[2]) as root:
    program["main"](Path(root))
"""


@pytest.mark.slow
def test_every_step_was_a_place_to_die(trials: list[dict[str, Any]]) -> None:
    """All trials but the last were killed; what came after each ended well."""
    assert len(trials) > 60
    assert {t["first"] for t in trials[:-1]} == {-signal.SIGKILL}
    assert trials[-1]["first"] == 0
    assert {t["second"] for t in trials} == {0}


@pytest.mark.slow
def test_no_index_is_used_twice_wherever_the_process_dies(trials: list[dict[str, Any]]) -> None:
    for trial in trials:
        indices = [line.split()[0] for line in trial["journal"]]
        assert len(set(indices)) == len(indices), trial
        assert "0" not in indices, "the peer had spent it"


@pytest.mark.slow
def test_records_are_whole_and_the_store_goes_on_after_any_crash(trials: list[dict[str, Any]]) -> None:
    for trial in trials:
        assert all(line.endswith("True") for line in trial["journal"]), trial
        assert len(trial["journal"]) >= 5, trial
    assert len(trials[-1]["journal"]) == 10
