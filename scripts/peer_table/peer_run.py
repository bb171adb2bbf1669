"""Runs a peer's program on the testbed, a process a party in a namespace of its own, and says what it took."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from testbed.capture import Capture, capturing
from testbed.kernel import die_with_parent
from testbed.namespaces import DEVICE, open_testbed
from testbed.shape import Shape

from peer_table.rows import Moved, Run
from peer_table.systems import System
from peer_table.workload import BATCHES, Workload

PROGRAMS = Path(__file__).resolve().parent.parent / "peer_programs"
PORT = 21_000
MODEL_OWNER, IMAGE_OWNER = 0, 1
SECONDS = 240.0
"""How long a program may take before it counts as hanging."""
_THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class DidNotRun(Exception):
    """There are no figures; the message says why, in one line."""


@dataclass(frozen=True)
class Place:
    """Where a run takes place: the latency in seconds, and TCP's congestion control."""

    latency: float
    congestion: str

    @property
    def shape(self) -> Shape:
        """Return what links do."""
        return Shape(self.latency)


def run_peer(system: System, python: Path, work: Workload, batch: int, place: Place) -> Run:
    """Run a peer's program once.

    Raises:
        DidNotRun: a process ended with an error, or the time was up.
    """
    names = tuple(f"P{rank}" for rank in range(system.ranks))
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        open_testbed(names, place.shape, "relay" if place.latency else "direct", place.congestion) as bed,
    ):
        files = work.save(Path(folder))
        # What replaces its activations looks at more images than one.
        images = files[f"images{max(BATCHES) if system.network else batch}"]
        warm = dict(system.warm).get(batch, 1)
        job = {
            "folder": folder,
            "hosts": [bed.address(name) for name in names],
            "port": PORT,
            "device": DEVICE,
            "weights": files["weights"],
            "images": images,
            "variant": system.variant,
            "queries": warm + dict(system.counted)[batch],
        }
        Path(folder, "job.json").write_text(json.dumps(job))
        program = PROGRAMS / f"peer_{system.name.lower()}.py"
        with capturing(bed, place.shape) as capture:
            _execute([[*bed.command(n), str(python), str(program), f"{folder}/job.json"] for n in names], Path(folder))
        left = {rank: _left(Path(folder), rank) for rank in range(system.ranks)}
    return _run(system, {r: x for r, x in left.items() if x}, capture, work, batch, warm, place, load)


def _execute(commands: Sequence[Sequence[str]], folder: Path) -> None:
    """Start one process a rank and wait until both owners are done; end the others then."""
    processes, logs = [], [folder / f"log{rank}.txt" for rank in range(len(commands))]
    try:
        for rank, command in enumerate(commands):
            with logs[rank].open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [*command, str(rank)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                        env={**os.environ, **_THREADS}, cwd=folder, preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads here
                    )
                )  # fmt: skip
        deadline = time.monotonic() + SECONDS
        while any(processes[rank].poll() is None for rank in (MODEL_OWNER, IMAGE_OWNER)):
            for rank, process in enumerate(processes):
                if process.poll():
                    raise DidNotRun(f"rank {rank} ended with {process.returncode}: {_last_line(logs[rank])}")
            if time.monotonic() > deadline:
                raise DidNotRun(f"not done after {SECONDS:g} s")
            time.sleep(0.02)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def _left(folder: Path, rank: int) -> dict[str, Any] | None:
    file = folder / f"rank{rank}.json"
    return json.loads(file.read_text()) if file.exists() else None


def _run(
    system: System,
    left: Mapping[int, Mapping[str, Any]],
    capture: Capture,
    work: Workload,
    batch: int,
    warm: int,
    place: Place,
    load: float,
) -> Run:
    """Put together what the ranks left and what was seen on the links."""
    asker = left[IMAGE_OWNER]
    count = len(asker["queries"])
    ended = [max(x["queries"][i]["ended"] for x in left.values() if len(x["queries"]) > i) for i in range(count)]
    spans = [(query["began"], end) for query, end in zip(asker["queries"], ended, strict=True)]
    offline = [max(x["queries"][i]["offline"] for x in left.values() if len(x["queries"]) > i) for i in range(count)]
    online = [end - began for began, end in spans]
    moved = Moved.of(capture, spans, warm)
    logits = np.array(asker["logits"], float)
    error, same = work.compare(logits)
    return Run(
        system.key,
        batch,
        place.latency,
        tuple(online[warm:]),
        tuple(offline[warm:]),
        max(x["setup"] for x in left.values()) + offline[0] + online[0],
        moved.links,
        moved.before,
        moved.between,
        next((x["rounds"] for x in left.values() if x["rounds"] is not None), None),
        error,
        work.own_error(logits) if system.network else None,
        same,
        asker["versions"],
        load,
    )
