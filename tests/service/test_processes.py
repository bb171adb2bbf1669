"""Real processes from files of settings, over TCP with TLS: what docs/service.md says to type."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_clinic import free_ports, make_model, samples

from parties.keys import KeyFolder
from pehealth.nets.weights import save

pytestmark = pytest.mark.slow
NAMES = ("E1", "E2", "HC", "DEALER", "HMS1")
TEMPLATE = """
party = "{name}"
deployment = "test"
{listen}
store = "{store}"

[peers]
{peers}

[tls]
certificate = "{name}.pem"
key = "{name}.key"
authority = "authority.pem"
revoked = "revoked.pem"

[deadlines]
query = 20
drain = 10

[material]
low = 4
high = 16

{clients}
"""


class Town:
    """The parties of one deployment as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        KeyFolder.init(folder, 1000, dt.datetime.now(dt.UTC)).issue(NAMES, 100)
        servers = dict(zip(NAMES[:4], (f"127.0.0.1:{port}" for port in free_ports(4)), strict=True))
        for name in NAMES:
            peers = {peer: address for peer, address in servers.items() if peer != name}
            if name == "HMS1":
                del peers["DEALER"]
            text = TEMPLATE.format(
                name=name,
                listen=f'listen = "{servers[name]}"' if name in servers else "",
                store=f"store-{name}",
                peers="\n".join(f'{peer} = "{address}"' for peer, address in peers.items()),
                clients='[clients]\nHMS1 = "result"' if name == "HC" else "",
            )
            (folder / f"{name}.toml").write_text(text)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def serve(self, *names: str) -> None:
        for name in names:
            with (self.folder / f"{name}.log").open("w") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "parties", "serve", f"{name}.toml"],
                    cwd=self.folder, env=environment(), stderr=log,
                )  # fmt: skip
        for name in names:
            while f"{name} of test serves" not in (text := (self.folder / f"{name}.log").read_text()):
                assert self.processes[name].poll() is None, text
                time.sleep(0.02)

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "parties", *words],
            cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(timeout=30)
        return process.returncode


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent), "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture
def town(folder: Path) -> Iterator[Town]:
    made = Town(folder)
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()


def test_serve_deploy_infer_kill_and_stop(town: Town) -> None:
    save(make_model(), town.folder / "tiny.npz")
    rows = "\n".join(",".join(f"{value:.2f}" for value in row) for row in samples(3))
    (town.folder / "readings.csv").write_text(rows + "\n")

    assert "HC does not run here" in town.run("status", "--service", "HC.toml", code=2)
    town.serve("E1", "E2", "HC", "DEALER")
    assert "there is nothing" in town.run("infer", "readings.csv", "--service", "HMS1.toml", code=2)
    said = town.run("deploy", "tiny.npz", "--service", "HC.toml", "--engine", "dealt")
    assert "tiny@1 is deployed on engine dealt" in said
    assert "does not run as a service" in town.run(
        "deploy", "tiny.npz", "--service", "HC.toml", "--engine", "ddh", code=2
    )
    assert "the next version of tiny is 2, not 7" in town.run(
        "deploy", "tiny.npz", "--service", "HC.toml", "--version", "7", code=2
    )
    answers = town.run("infer", "readings.csv", "--service", "HMS1.toml", "--json", "lines")
    assert len(answers.splitlines()) == 3

    # A server that is killed and comes back goes on with what is in its store.
    assert town.end("E2", signal.SIGKILL) == -signal.SIGKILL
    town.serve("E2")
    again = town.run("infer", "readings.csv", "--service", "HMS1.toml", "--json", "lines")
    first, second = (
        sorted(map(json.loads, text.splitlines()), key=lambda each: each["sample"]) for text in (answers, again)
    )
    assert [each["sample"] for each in first] == [each["sample"] for each in second] == [0, 1, 2]
    for one, other in zip(first, second, strict=True):
        bound = one["error_bound"] + other["error_bound"]
        assert all(abs(a - b) <= bound for a, b in zip(one["logits"], other["logits"], strict=True))
    status = json.loads(town.run("status", "--service", "E1.toml", "--json"))
    assert status["links"] == ["DEALER", "E2", "HC"]
    assert [(d["model"], d["version"], d["committed"]) for d in status["deployments"]] == [("tiny", 1, True)]
    assert "material is dealt until 46 are" in town.run("deal", "--service", "HC.toml", "--keep", "30")
    assert "has material for" in town.run("deal", "--service", "HC.toml", "--count", "20")
    assert "tiny@1" in town.run("status", "--service", "HC.toml")
    said = town.run("retire", "tiny", "--service", "HC.toml")
    assert "E1 has deleted its part; it had answered" in said
    assert not list(town.folder.glob("store-*/*/material.db"))
    for name in ("DEALER", "E1", "E2", "HC"):
        assert town.end(name) == 0
    assert not (town.folder / "store-HC" / "control.sock").exists()
