"""Fuzzing a target in chunks, each in a process of its own, so that it can be stopped and resumed at any time."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from fuzzing.guard import REFUSED
from fuzzing.scratch import VARIABLE, memory_folder
from fuzzing.target import Target

CHUNK_RUNS = 100_000
CHUNK_SECONDS = 120
_SCRIPTS = Path(__file__).parent.parent
_FIGURES = re.compile(r"#(\d+).*?cov: (\d+) ft: (\d+)")
_EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
_REFUSED = re.compile(re.escape(REFUSED) + r"(\d+)")
_KILLED = ("crash-", "timeout-", "oom-", "leak-")
"""How libFuzzer names an input that ended the process."""


@dataclass(frozen=True)
class Progress:
    """How far one target has come, over all calls since its cache folder was made.

    Attributes:
        executions: inputs that were run.
        refused: of them, at least so many were refused with a documented error (the last 1000 of a chunk do not count).
        coverage: branches that they reached (of the blind engine: different ends).
        seconds: of fuzzing.
        findings: of which inputs are kept.
    """

    executions: int = 0
    refused: int = 0
    coverage: int = 0
    seconds: float = 0.0
    findings: tuple[str, ...] = field(default=())

    @property
    def rate(self) -> float:
        """Executions a second."""
        return self.executions / self.seconds if self.seconds else 0.0


class Fuzzing:
    """One target with its cache folder: corpus, findings, progress.

    Args:
        target: what is fuzzed.
        cache: folder of all targets; one of the target's name is made in it.
        engine: "guided" or "blind".
    """

    def __init__(self, target: Target, cache: Path, engine: str) -> None:
        self.target, self.engine = target, engine
        self._folder = cache / target.name
        self.corpus, self.findings = self._folder / "corpus", self._folder / "findings"
        self._state = self._folder / "progress.json"
        self.corpus.mkdir(parents=True, exist_ok=True)
        self.findings.mkdir(exist_ok=True)
        for seed in target.seeds():
            (self.corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)  # noqa: S324 - a name, as libFuzzer's

    @property
    def progress(self) -> Progress:
        """What was reached so far."""
        try:
            kept = Progress(**json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError):
            kept = Progress()
        return replace(kept, findings=tuple(sorted(path.name for path in self.findings.glob("*.bin"))))

    def run(self, runs: int, seconds: float) -> Iterator[Progress]:
        """Fuzz for so many executions or seconds, whichever is over first; yield the progress after each chunk."""
        end = time.monotonic() + seconds
        done = 0
        while done < runs and time.monotonic() < end:
            left = max(1, int(end - time.monotonic()))
            before = self.progress
            executed = self._chunk(min(CHUNK_RUNS, runs - done), min(CHUNK_SECONDS, left), before)
            done += max(executed, 1)
            yield self.progress

    def recheck(self) -> None:
        """Run the corpus and the findings once more, measured exactly; findings become as short as they can be."""
        self._run("recheck", 0, 0, 0)
        self._take_killers()

    def _chunk(self, runs: int, seconds: int, before: Progress) -> int:
        began = time.monotonic()
        told = self._run(self.engine, runs, seconds, 1 + before.executions % (2**31 - 1))
        figures = _FIGURES.findall(told)
        executed = int(found[-1]) if (found := _EXECUTED.findall(told)) else int(figures[-1][0]) if figures else 0
        refused = int(([0, *_REFUSED.findall(told)])[-1])
        coverage = max((int(cov) for _, cov, _ in figures), default=0)
        self._take_killers()
        if not executed and not self.progress.findings:
            raise RuntimeError(f"the engine did not run:\n{told[-4000:]}")
        after = Progress(
            before.executions + executed, before.refused + refused, coverage, before.seconds + time.monotonic() - began
        )
        self._state.write_text(json.dumps({**asdict(after), "findings": []}))
        return executed

    def _run(self, module: str, runs: int, seconds: int, seed: int) -> str:
        """Run one of our modules in a process of its own; return what it wrote on standard error."""
        command = [
            sys.executable, "-m", f"fuzzing.{module}", self.target.name, "--runs", str(runs), "--seconds", str(seconds),
            "--corpus", str(self.corpus), "--findings", str(self.findings), "--seed", str(seed),
        ]  # fmt: skip
        path = os.pathsep.join((str(_SCRIPTS), str(_SCRIPTS.parent)))
        with tempfile.TemporaryDirectory(prefix="pehealth-fuzz-", dir=memory_folder()) as scratch:
            ours = {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", VARIABLE: scratch}
            done = subprocess.run(
                command, env={**os.environ, **ours}, capture_output=True, text=True, errors="replace", check=False
            )
        return done.stderr

    def _take_killers(self) -> None:
        """Make findings of inputs that ended the engine's process."""
        for path in list(self.findings.iterdir()):
            if path.name.startswith(_KILLED):
                kind = path.name.split("-")[0]
                named = self.findings / f"{kind}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}.bin"
                path.replace(named)
                named.with_suffix(".txt").write_text(f"{self.target.name}: {kind}: it hung, or ended the process\n")


def has_atheris() -> bool:
    """Say whether the guided engine is there."""
    return importlib.util.find_spec("atheris") is not None
