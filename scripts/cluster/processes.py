"""The services of a cluster as processes: started, killed, started again; none outlives the block.

Every process carries a mark in its environment, by which what is left over is found, children included.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MARK = "PEHEALTH_CLUSTER"
ROOT = Path(__file__).resolve().parent.parent.parent
STOP_SECONDS = 45.0


class Cluster:
    """Processes of the services of a cluster. Make one with `open_cluster`."""

    def __init__(self, settings: Mapping[str, Path]) -> None:
        self.settings = dict(settings)
        self.mark = secrets.token_hex(8)
        self.starts = dict.fromkeys(settings, 0)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, *words: str) -> list[str]:
        """Return the command line of `pehealth WORDS`."""
        return [sys.executable, "-m", "parties", *words]

    @property
    def environment(self) -> dict[str, str]:
        """What processes of this cluster are started with."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        return {**os.environ, MARK: self.mark, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}

    def log(self, name: str) -> Path:
        """Return where a party writes what it says."""
        return self.settings[name].parent / "log.txt"

    def start(self, name: str) -> None:
        """Start a party that does not run."""
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self.command("serve", str(self.settings[name])), env=self.environment, stdout=log, stderr=log
            )
        self.starts[name] += 1

    def kill(self, name: str) -> None:
        """End a party as a power cut would."""
        self._processes[name].kill()
        self._processes[name].wait()

    def terminate(self, name: str) -> int:
        """Ask a party to finish; return its exit code. It is killed if it does not."""
        process = self._processes[name]
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def died(self) -> dict[str, int]:
        """Return the parties that ended by themselves, with their exit codes."""
        return {name: code for name, p in self._processes.items() if (code := p.poll()) is not None}

    def pid(self, name: str) -> int:
        """Return the process of a party."""
        return self._processes[name].pid

    def resident(self, name: str) -> int:
        """Return the bytes of memory that a party's process holds now; 0 if it does not run."""
        return resident_bytes(self._processes[name].pid)

    def run(self, *words: str, seconds: float = 300.0) -> str:
        """Run a command of the program to its end and return what it printed.

        Raises:
            RuntimeError: it failed; with all that it said.
        """
        done = subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode:
            raise RuntimeError(f"pehealth {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def wait_ready(self, name: str, seconds: float = 60.0) -> None:
        """Wait until a party takes its operator's commands.

        Raises:
            RuntimeError: it does not; with what it said last.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                self.run("status", "--service", str(self.settings[name]))
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                return

    def left_over(self) -> list[int]:
        """Return the processes of this cluster that are alive, whoever started them."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


def resident_bytes(pid: int) -> int:
    """Return the resident set of a process; 0 if there is none."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")), 0)


@contextmanager
def open_cluster(settings: Mapping[str, Path]) -> Iterator[Cluster]:
    """Give a cluster of which nothing runs yet; whatever runs at the end of the block is killed."""
    cluster = Cluster(settings)
    try:
        yield cluster
    finally:
        for pid in cluster.left_over():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
