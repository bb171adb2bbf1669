"""Do docs/deployment.md literally: every command of it, on machines of their own, from nothing to a result.

    sudo scripts/walk                  each machine a network namespace, with host names as in the page
    scripts/walk --loopback            each machine a folder; host names become loopback addresses

The page is the script. In a block ```console a line `e1$ COMMAND` is run on machine e1, in its folder, with its own
environment active; what follows it up to the next prompt is what a reader will see, more or less, and is not compared.
A command that fails ends the walk. `# carry FILE: a -> b` copies a file between machines, as a person would;
`# stop: e1 hc` ends what runs there. `pehealth serve` is left running. A file is shown as "`NAME` on `e1`:" above a
```toml block. Only `pip install` is done with the network of this machine, from a wheel of this clone.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cluster.files import free_ports
from testbed.namespaces import Bed, congestion_control, missing, open_testbed
from testbed.shape import Shape

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "deployment.md"
NETWORKED = ("e1", "e2", "hc")
HOSTS = {"e1": "e1.example.org", "e2": "e2.example.org", "hc": "hc.example.org"}
COMMAND_SECONDS = 300.0
STOP_SECONDS = 60.0
START_SECONDS = 30.0

_BLOCK = re.compile(
    r"(?:^`(?P<file>[\w.]+)` on `(?P<on>\w+)`[^\n]*\n\n)?^```(?P<kind>console|toml)\n(?P<body>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_PROMPT = re.compile(r"^(\w+)\$ (.+)$")
_CARRY = re.compile(r"^# carry ([^:]+): (\w+) -> ([\w ]+)$")
_STOP = re.compile(r"^# stop: ([\w ]+)$")


@dataclass(frozen=True)
class Step:
    """One thing to do: a command on a machine, a file to write there or to carry, or machines to stop."""

    kind: Literal["run", "write", "carry", "stop"]
    where: str
    text: str
    to: tuple[str, ...] = ()


def steps_of(page: str) -> list[Step]:
    """Return what a page tells its reader to do, in order."""
    found: list[Step] = []
    for block in _BLOCK.finditer(page):
        if block["kind"] == "toml":
            if block["file"]:
                found.append(Step("write", block["on"], block["body"], (block["file"],)))
            continue
        for line in _joined(block["body"]):
            if prompt := _PROMPT.match(line):
                found.append(Step("run", prompt[1], prompt[2].split("   #")[0].rstrip()))
            elif carry := _CARRY.match(line):
                found.append(Step("carry", carry[2], carry[1], tuple(carry[3].split())))
            elif stop := _STOP.match(line):
                found.append(Step("stop", "", "", tuple(stop[1].split())))
    return found


def _joined(body: str) -> Iterator[str]:
    """Yield lines; a backslash at the end joins the next."""
    yield from body.replace("\\\n", " ").splitlines()


def machines_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the machines that a page speaks of."""
    names = [step.where for step in steps if step.where] + [
        name for step in steps for name in step.to if step.kind == "carry"
    ]
    return tuple(dict.fromkeys(names))


@dataclass
class Walk:
    """The machines, and what runs on them.

    Attributes:
        folder: has a folder for each machine.
        bed: their network namespaces; None: the loopback.
        wheels: folder of the wheel.
        ports: host:port of the page -> address on the loopback; for `bed` None.
    """

    folder: Path
    bed: Bed | None
    wheels: Path
    ports: dict[str, str] = field(default_factory=dict)
    _running: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        """Do one step."""
        if step.kind == "write":
            text = step.text
            for known, real in self.ports.items():
                text = text.replace(known, real)
            (self.folder / step.where / step.to[0]).write_text(text, encoding="utf-8")
        elif step.kind == "carry":
            self._carry(step)
        elif step.kind == "stop":
            for name in step.to:
                self.stop(name)
        else:
            self._run(step.where, step.text)

    def _carry(self, step: Step) -> None:
        for pattern in step.text.split():
            for file in sorted((self.folder / step.where).glob(pattern)):
                for name in step.to:
                    (self.folder / name / file.name).write_bytes(file.read_bytes())

    def _words(self, machine: str, command: str) -> list[str]:
        active = f". venv/bin/activate 2>/dev/null; {command}"
        own_network = self.bed is not None and machine in NETWORKED and "pip install" not in command
        enter = self.bed.command(machine) if own_network and self.bed is not None else []
        return [*enter, "bash", "-c", active]

    def _environment(self) -> dict[str, str]:
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "XDG_CACHE_HOME", "PIP_INDEX_URL") if name in os.environ
        }
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def _run(self, machine: str, command: str) -> None:
        home = self.folder / machine
        words = self._words(machine, command)
        if command.startswith("pehealth serve"):
            with (home / "serve.log").open("ab") as log:
                # A session of its own, so that all of it is found when it is to be stopped.
                process = subprocess.Popen(
                    [*words[:-1], words[-1].replace("pehealth serve", "exec pehealth serve")],
                    cwd=home, env=self._environment(), stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            self._running.setdefault(machine, []).append(process)
            self._wait_for_socket(home, process)
            return
        done = subprocess.run(
            words,
            cwd=home,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        print(done.stdout + done.stderr, end="")
        if done.returncode:
            raise SystemExit(f"exit code {done.returncode}: the page's command does not work")

    def _wait_for_socket(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        """Wait as a reader would, who sees what the service prints: until it takes its operator's commands."""
        until = time.monotonic() + START_SECONDS
        while not (home / "store" / "control.sock").exists():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the service in {home.name} did not start:\n{(home / 'serve.log').read_text()}")
            time.sleep(0.05)

    def stop(self, machine: str) -> None:
        """End what runs on a machine as systemd would, and see that it ends well."""
        for process in self._running.pop(machine, []):
            process.send_signal(signal.SIGTERM)
            if code := process.wait(STOP_SECONDS):
                raise SystemExit(
                    f"{machine}: exit code {code} after SIGTERM:\n{(self.folder / machine / 'serve.log').read_text()}"
                )

    def abandon(self) -> None:
        """Kill whatever runs."""
        for processes in self._running.values():
            for process in processes:
                process.kill()
                process.wait()


@contextmanager
def named_hosts(bed: Bed) -> Iterator[None]:
    """Let the page's host names be known in every namespace: `ip netns exec` shows /etc/netns/NAME as /etc."""
    lines = "".join(f"{bed.address(name)} {host}\n" for name, host in HOSTS.items())
    made = []
    try:
        for name in NETWORKED:
            folder = Path("/etc/netns") / bed.namespace(name)
            folder.mkdir(parents=True)
            made.append(folder)
            (folder / "hosts").write_text(f"127.0.0.1 localhost\n{lines}")
        yield
    finally:
        for folder in made:
            (folder / "hosts").unlink(missing_ok=True)
            folder.rmdir()


def build_wheel(folder: Path) -> None:
    """Make a wheel of this clone."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True
    )


def loopback_addresses(page: str) -> dict[str, str]:
    """Return host:port of the page, and what is listened at -> an address of the loopback."""
    ports = sorted(set(re.findall(r"example\.org:(\d+)", page)))
    real = dict(zip(ports, free_ports(len(ports)), strict=True))
    known = {f"{host}:{port}": f"127.0.0.1:{real[port]}" for host in HOSTS.values() for port in ports}
    return {**known, **{f"0.0.0.0:{port}": f"127.0.0.1:{real[port]}" for port in ports}}


def walk(page: str, folder: Path, bed: Bed | None) -> int:
    """Do every step of a page; return how many there were."""
    steps = steps_of(page)
    wheels = folder / "wheels"
    for name in (*machines_of(steps), "home", "wheels"):
        (folder / name).mkdir()
    build_wheel(wheels)
    going = Walk(folder, bed, wheels, {} if bed is not None else loopback_addresses(page))
    try:
        for step in steps:
            shown = (
                f"{step.where}$ {step.text}"
                if step.kind == "run"
                else f"# {step.kind} {step.where} {' '.join(step.to)}"
            )
            print(f"\n\x1b[1m{shown}\x1b[0m" if sys.stdout.isatty() else f"\n{shown}", flush=True)
            going.take(step)
    finally:
        going.abandon()
    return len(steps)


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loopback", action="store_true", help="folders and loopback addresses in place of namespaces")
    parser.add_argument("--keep", type=Path, help="do it in this new folder, and leave it")
    args = parser.parse_args()
    if not args.loopback and (lack := missing()):
        parser.error(f"{lack}; or take --loopback")
    began = time.monotonic()
    with ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pehealth-walk-")))
        folder.mkdir(parents=True, exist_ok=True)
        bed = None
        if not args.loopback:
            bed = stack.enter_context(open_testbed(NETWORKED, Shape(), "direct", congestion_control(None)))
            stack.enter_context(named_hosts(bed))
        count = walk(PAGE.read_text(encoding="utf-8"), folder, bed)
    where = "on the loopback" if args.loopback else "in three network namespaces"
    print(f"\n{count} steps of docs/deployment.md done literally {where} in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
