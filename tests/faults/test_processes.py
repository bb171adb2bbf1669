"""`pehealth run --transport processes` when a party dies or misbehaves, on Ctrl-C and when it is killed itself.

One sentence, the right exit code, and no process left.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLI = HERE / "cli_with_worker.py"
DOOMED = HERE.parent / "parties" / "doomed_worker.py"
MEDDLING = HERE / "meddling_worker.py"
DEALT = ("--engine", "dealt")
PAPER = ("--engine", "paper", "--group", "toy32", "--digits", "1", "--walk", "4")
SLOW = ("--samples", "9", "--network", "200ms")
KILLED = "the process was killed by SIGKILL, by somebody or by the system (out of memory?)"

pytestmark = pytest.mark.slow


def children(pid: int) -> dict[int, str]:
    """Return the processes whose parent is `pid`: id -> last argument, which for a worker is its party."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid:
                    found[int(path.name)] = (path / "cmdline").read_text().rstrip("\0").rpartition("\0")[2]
            except OSError:
                continue
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Launched:
    """A command line under way, with the processes of its parties."""

    process: subprocess.Popen[str]
    parties: dict[int, str]

    def end(self) -> tuple[int, str]:
        """Wait for its end; return exit code and standard error. No process may be left."""
        _, told = self.process.communicate(timeout=60)
        deadline = time.monotonic() + 10
        while left := [name for pid, name in self.parties.items() if alive(pid)]:
            assert time.monotonic() < deadline, f"{left} are still there"
            time.sleep(0.02)
        return self.process.returncode, told.strip()


@pytest.fixture
def launch() -> Iterator[object]:
    """Start the command line in a group of its own, as a terminal does; see that nothing of it survives the test."""
    started: list[Launched] = []

    def begin(*arguments: str, worker: Path | None = None, transport: str = "processes", **env: str) -> Launched:
        how = [str(CLI), str(worker)] if worker else ["-m", "parties"]
        process = subprocess.Popen(
            [sys.executable, *how, "run", "--net", "clinic", "--transport", transport, *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        )  # fmt: skip
        launched = Launched(process, {})
        started.append(launched)
        deadline = time.monotonic() + 60
        while transport == "processes" and len(launched.parties) < 4 and process.poll() is None:
            assert time.monotonic() < deadline
            launched.parties.update(children(process.pid))
            time.sleep(0.02)
        return launched

    yield begin
    for launched in started:
        launched.process.kill()
        launched.process.communicate()


def kill_when(launch, doom: str, *arguments: str) -> tuple[int, str]:
    """Run with a party that ends itself by SIGKILL at a moment; return exit code and sentence."""
    return launch(*arguments, worker=DOOMED, PEHEALTH_TEST_DOOM=doom).end()


@pytest.mark.parametrize(
    ("doom", "engine", "others"),
    [
        ("E1:taken setup 1:1", DEALT, r"E2.* (was|were) (at setup|waiting for an order)"),
        ("HC:sent setup 1:2", PAPER, r"E1 and E2 were at setup (1|3)\.dense|E1 was at setup (1|3)\.dense"),
        ("E2:taken offline 0:1", DEALT, r"were waiting for an order|was waiting for an order|at offline material"),
        ("HMS1:sent online 0:1", DEALT, r"E1 and E2 were at online 0\.input of query 1"),
        ("E1:sent online 2:5", PAPER, r"E2 was at online 2\.relu of query 1, HC was at online 4\.output of query 1"),
        ("HC:taken online 4:1", DEALT, r"waiting for an order|at online 4\.output of query 1"),
    ],
)
def test_a_party_that_is_killed_is_named_with_where_the_others_were(doom, engine, others, launch):
    code, told = kill_when(launch, doom, *engine)
    party = doom.split(":")[0]
    assert told.startswith(f"pehealth: {party}: {KILLED}; ")
    assert re.search(others, told), told
    assert "\n" not in told
    assert code == 3


def test_kill_from_outside_while_the_others_compute_or_wait(launch):
    launched = launch(*PAPER, *SLOW)
    time.sleep(1.5)
    (victim,) = [pid for pid, name in launched.parties.items() if name == "E2"]
    os.kill(victim, signal.SIGKILL)
    code, told = launched.end()
    assert told.startswith(f"pehealth: E2: {KILLED}")
    assert code == 3


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("short", 4, r"pehealth: E1: E2 sent \d+ bytes as online 2.relu of query 1, \d+ were expected: do both run"),
        ("cut", 3, "pehealth: E1: E2 was cut off in the middle of a message; we were .* online 2.relu of query 1"),
    ],
)
def test_a_party_that_misbehaves_ends_the_run(fault, code, words, launch):
    found, told = launch(*DEALT, "--no-tls", worker=MEDDLING, PEHEALTH_TEST_MEDDLE=f"E2:{fault}").end()
    assert re.match(words, told), told
    assert found == code


@pytest.mark.parametrize(("wait", "engine"), [(0.0, DEALT), (1.5, PAPER)])
def test_ctrl_c_ends_everything(wait, engine, launch):
    """The terminal sends SIGINT to the whole group; workers are in groups of their own."""
    launched = launch(*engine, *SLOW)
    time.sleep(wait)
    os.killpg(launched.process.pid, signal.SIGINT)
    assert launched.end() == (130, "pehealth: stopped by Ctrl-C")


@pytest.mark.parametrize("transport", ["memory", "tcp"])
def test_ctrl_c_does_not_wait_for_what_is_computed(transport, launch):
    """A walk of minutes is under way in a thread."""
    launched = launch(*PAPER[:-2], "--walk", "26", "--time-limit", "1e9", transport=transport)
    while processor_seconds(launched.process.pid) < 3:  # starting takes a second or so
        time.sleep(0.05)
    began = time.monotonic()
    os.killpg(launched.process.pid, signal.SIGINT)
    assert launched.end() == (130, "pehealth: stopped by Ctrl-C")
    assert time.monotonic() - began < 8


def test_nothing_is_left_when_the_launcher_is_killed(launch):
    launched = launch(*DEALT, *SLOW)
    time.sleep(1)
    launched.process.kill()
    assert launched.end()[0] == -signal.SIGKILL
