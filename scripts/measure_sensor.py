"""What the small sensor takes: time, bytes and memory, against services with mutual TLS on this machine.

    python scripts/measure_sensor.py [--net clinic] [--queries 200]

Four services run in this process; the sensor is a process of its own, which reports its own figures
(`python -m pehealth.sensor FILE --measure N`). A second run says what Python's objects take at once, and two more what
importing the small and the full client takes. Times on a busy machine are noise.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import Any

import trio

from parties.links import make_identities
from parties.request import RunRequest
from parties.service.party import open_party
from parties.settings import load_settings
from pehealth.config import Engine
from pehealth.nets.zoo import load_model

NAMES = ("E1", "E2", "HC", "DEALER")
SENSOR = "HMS1"
IMPORTED = (
    "import sys, time; began = time.perf_counter(); import {module}; took = time.perf_counter() - began\n"
    "peak = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    "print(f'{{took * 1000:.0f}} ms, {{peak / 1024:.1f}} MiB at most, {{len(sys.modules)}} modules')"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="clinic", help="a reference network")
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    for module in ("pehealth.sensor.client", "pehealth.api"):
        print(f"import {module}: {python('-c', IMPORTED.format(module=module)).strip()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_settings(folder)
        for figures in trio.run(measure, folder, options.net, options.queries):
            print(json.dumps(figures, indent=2))


def write_settings(folder: Path) -> None:
    """Write everybody's settings and certificates into a folder."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in NAMES]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = {n: f"127.0.0.1:{s.getsockname()[1]}" for n, s in zip(NAMES, sockets, strict=True)}
    for name, identity in make_identities((*NAMES, SENSOR)).items():
        (folder / f"{name}.pem").write_bytes(identity.certificate)
        key = os.open(folder / f"{name}.key", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(key, identity.key)
        os.close(key)
        (folder / "authority.pem").write_bytes(identity.authority)
        peers = {p: a for p, a in addresses.items() if p != name and (name, p) != (SENSOR, "DEALER")}
        lines = [f'party = "{name}"', 'deployment = "measured"']
        if name != SENSOR:
            lines += [f'listen = "{addresses[name]}"', f'store = "{name}"']
        lines += ["[peers]", *(f'{peer} = "{address}"' for peer, address in peers.items())]
        lines += ["[tls]", f'certificate = "{name}.pem"', f'key = "{name}.key"', 'authority = "authority.pem"']
        lines += ["[clients]", f'{SENSOR} = "result"'] * (name == "HC")
        (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")


async def measure(folder: Path, net: str, queries: int) -> list[dict[str, Any]]:
    """Return the figures of a plain run, and of one that traces memory."""
    model = load_model(net)
    sample = ",".join(
        map(str, model.ranges.low if len(model.ranges.low) > 1 else [model.ranges.low[0]] * model.network.inputs)
    )
    found = []
    async with AsyncExitStack() as stack:
        parties = {n: await stack.enter_async_context(open_party(load_settings(folder / f"{n}.toml"))) for n in NAMES}
        await parties["HC"].centre.deploy(model, RunRequest(net=net, engine=Engine.RLWE), lambda _line: None)
        for extra in ((), ("--tracemalloc",)):
            command = [
                sys.executable,
                "-m",
                "pehealth.sensor",
                str(folder / f"{SENSOR}.toml"),
                "--measure",
                str(queries),
            ]
            done = await trio.run_process([*command, *extra], stdin=sample.encode(), capture_stdout=True)
            found.append(json.loads(done.stdout))
    return found


def python(*arguments: str) -> str:
    """Return what Python prints."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
