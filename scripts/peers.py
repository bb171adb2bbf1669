"""Sets other systems beside ours: the same network, weights and images, on the same links, under the same meter.

Each peer runs in an environment of its own, made once under pehealth-peers in the user's cache; none is a dependency
of this project. Every party is a process in a network namespace; bytes are counted on the links. What was measured
is kept: a run that was stopped goes on where it was, and --again measures all anew. Exit code: 0 every row has
figures, 1 some did not run (their reasons are in the table), 2 it cannot run here.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from peer_table.environments import NoEnvironment, cache, environment
from peer_table.own_run import run_own
from peer_table.peer_run import DidNotRun, Place, run_peer
from peer_table.rows import Kept, Run
from peer_table.systems import PACKAGES, SYSTEMS, System
from peer_table.table import LATENCIES, table
from peer_table.workload import BATCHES, NAME, Workload
from testbed.namespaces import Unusable, congestion_control, missing

from parties.failure import first_cause, sentence
from pehealth.errors import PehealthError
from pehealth.nets.machine import Machine
from transport.errors import TransportError


def main() -> int:
    """Measure what is not there yet and print the table."""
    words = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is taken away
    if lack := missing():
        say(lack)
        return 2
    try:
        work, congestion = Workload.load(words.data_dir), congestion_control(None)
    except (Unusable, PehealthError) as error:
        say(str(error))
        return 2
    chosen = [s for s in SYSTEMS if words.only is None or s.key in words.only]
    kept = Kept(cache() / "runs.json")
    if words.again:
        kept.forget(s.key for s in chosen)
    try:
        measure(chosen, kept, work, congestion)
    except KeyboardInterrupt:
        say("stopped; the same command without --again goes on from here")
        return 130
    text = table(chosen, kept.runs)
    print(text)
    if words.markdown is not None:
        words.markdown.write_text(text + "\n")
    if words.json is not None:
        words.json.write_text(json.dumps(document(chosen, kept, congestion), indent=1))
    return int(any(kept.runs[key].failed for s in chosen for key in cases(s)))


def arguments() -> argparse.Namespace:
    """Return the command line, read."""
    parser = argparse.ArgumentParser(prog="scripts/peers", description=__doc__, allow_abbrev=False)
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    keys = [system.key for system in SYSTEMS]
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", choices=keys, help=f"of {', '.join(keys)}")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--data-dir", type=Path, help="where data sets lie (default: PEHEALTH_DATA)")
    return parser.parse_args()


def cases(system: System) -> Iterator[tuple[str, int, float]]:
    """Yield what is run of a system: its key, batch, latency."""
    counted = dict(system.counted)
    yield from ((system.key, batch, latency) for batch in BATCHES if batch in counted for latency in LATENCIES)


def measure(systems: list[System], kept: Kept, work: Workload, congestion: str) -> None:
    """Run every case that is not kept, one after the other, and keep it."""
    todo = [(s, key) for s in systems for key in cases(s) if kept.get(key) is None]
    total, began = sum(1 for s in systems for _ in cases(s)), time.monotonic()
    say(f"{total} runs, {total - len(todo)} of them kept from before; TCP congestion control {congestion}")
    for number, (system, (name, batch, latency)) in enumerate(todo, 1):
        spent = time.monotonic() - began
        say(f"[{number}/{len(todo)}, {spent:.0f} s] {name}, {batch} image(s) at {1e3 * latency:g} ms ...")
        run = run_one(system, work, batch, Place(latency, congestion))
        kept.put(run)
        say(f"    {run.failed or f'online {run.seconds:.4g} s, {run.total_bytes:,} B'}")


def run_one(system: System, work: Workload, batch: int, place: Place) -> Run:
    """Run one case; what goes wrong becomes a row that says so."""
    try:
        if system.ours:
            return run_own(system, work, batch, place)
        name = system.name.lower()
        return run_peer(system, environment(name, PACKAGES[name]), work, batch, place)
    except (DidNotRun, NoEnvironment, Unusable) as error:
        reason = str(error)
    except (PehealthError, TransportError, BaseExceptionGroup) as error:
        if isinstance(error, BaseExceptionGroup) and error.split(KeyboardInterrupt)[0] is not None:
            raise KeyboardInterrupt from error
        reason = sentence(first_cause(error))
    return Run(system.key, batch, place.latency, failed=reason)


def document(systems: list[System], kept: Kept, congestion: str) -> dict[str, object]:
    """Return what `--json` writes."""
    return {
        "schema": 1,
        "command": "peers",
        "net": NAME,
        "machine": asdict(Machine.here()),
        "kernel": platform.release(),
        "congestion_control": congestion,
        "systems": [
            {**asdict(system), "key": system.key, "runs": [asdict(kept.runs[key]) for key in cases(system)]}
            for system in systems
        ],
    }


def say(text: str) -> None:
    """Print to standard error."""
    print(f"peers: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
