"""Does what we say about time and bytes hold on a network that is not ours? Real TCP beside replay and live shaping.

For each engine and network the same query runs three times over: real processes in network namespaces of their own,
whose packets a relay (or `tc netem`) delays and paces; the same processes on loopback with `--network`; and a trace of
an unshaped run, replayed. Meanwhile the links are captured, and the bytes compared with the meter's. docs/netcheck.md
says more. Exit code: 0 all within bounds, 1 something is not, 2 it cannot run here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from testbed.agreement import INITIAL_WINDOW, Case, LinkBytes, Times, table
from testbed.capture import Capture, capturing
from testbed.namespaces import Unusable, Way, congestion_control, has_netem, missing, open_testbed
from testbed.runs import Ran, parties_of, run_here, run_on
from testbed.shape import Shape

from parties.failure import first_cause, sentence
from parties.replaying import read_settings, replay_and_draw
from parties.request import RunRequest
from parties.tracing import trace_of
from pehealth.config import Engine, GroupName
from pehealth.errors import PehealthError
from pehealth.experiments.steps import RunTrace
from pehealth.nets.machine import Machine
from transport.errors import TransportError
from transport.framing import HEADER_BYTES
from transport.network import SLOW_START

NETWORKS = ("20ms,100mbit", "50ms,10mbit")
ENGINES = (Engine.PAPER, Engine.DEALT, Engine.RLWE)
WARM_UP = 2
"""Queries at the start of each run that are not counted."""


def main() -> int:
    """Run the cases and return the exit code."""
    words = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is taken away
    if lack := missing():
        say(lack)
        return 2
    done = Results(words.json, words.resume)
    try:
        run_cases(words, done)
    except Unusable as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("stopped; namespaces and devices are gone" + ("; --resume goes on from here" if words.json else ""))
        return 130
    middle = min if words.least else median
    print(table(done.cases, middle))
    problems = [*(problem for case in done.cases for problem in case.problems(middle)), *done.failed]
    print("\n".join(["", *problems]) if problems else "\nall times within bounds, all bytes equal")
    return 1 if problems else 0


class Results:
    """Cases that are done, in a file that is written after each of them.

    Args:
        file: the document of `--json`; None keeps nothing.
        resume: begin with what is in the file.
    """

    def __init__(self, file: Path | None, resume: bool) -> None:
        self._file = file
        self.failed: list[str] = []
        self.cases: list[Case] = []
        if resume and file is not None and file.exists():
            self.cases = [Case.from_json(row) for row in json.loads(file.read_text())["cases"]]

    def has(self, request: RunRequest, network: str, way: Way) -> bool:
        """Return whether such a case is there."""
        wanted = (str(request.engine), request.net, request.batch, network, way)
        return any((c.engine, c.net, c.batch, c.network, c.way) == wanted for c in self.cases)

    def add(self, case: Case) -> None:
        """Keep a case."""
        self.cases.append(case)
        if self._file is not None:
            self._file.write_text(json.dumps(document(self.cases), indent=1))


def arguments() -> argparse.Namespace:
    """Return the command line, read."""
    parser = argparse.ArgumentParser(prog="scripts/netcheck", description=__doc__, allow_abbrev=False)
    parser.add_argument("--engines", nargs="+", type=Engine, default=ENGINES, choices=list(Engine))
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="LATENCY,BANDWIDTH such as 20ms,100mbit")
    parser.add_argument("--net", default="cryptonets", help="network that the masked engines run")
    parser.add_argument("--paper-net", default="wearable-d", help="network that engine paper runs")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--queries", type=int, default=7, help="queries counted in each run")
    parser.add_argument("--turns", type=int, default=1, help="runs of each kind, in turn")
    parser.add_argument("--congestion", help="TCP congestion control (default: cubic, or reno where that is refused)")
    parser.add_argument("--least", action="store_true", help="judge the least times: for a machine that others use")
    parser.add_argument("--json", type=Path, help="write the document to this file, after each case")
    parser.add_argument("--resume", action="store_true", help="keep the cases that are in --json's file")
    return parser.parse_args()


def run_cases(words: argparse.Namespace, done: Results) -> None:
    """Run every engine under every network, over every kind of link that this machine has."""
    netem = has_netem()
    if not netem:
        say("this kernel has no `tc netem`; the relay alone makes the links")
    ways: tuple[Way, ...] = ("relay", "netem") if netem else ("relay",)
    congestion = congestion_control(words.congestion)
    say(f"TCP congestion control {congestion}")
    every = list(itertools.product((request_for(e, words) for e in words.engines), words.networks, ways))
    began = time.monotonic()
    for number, (request, network, way) in enumerate(every, 1):
        name = f"{request.engine} ({request.net}) at {network} by {way}"
        if done.has(request, network, way):
            say(f"[{number}/{len(every)}] {name}: kept")
            continue
        say(f"[{number}/{len(every)}, {time.monotonic() - began:.0f} s] {name}")
        try:
            done.add(run_case(request, network, way, congestion, words.turns))
        except (PehealthError, TransportError, BaseExceptionGroup) as error:
            if isinstance(error, BaseExceptionGroup) and error.split(KeyboardInterrupt)[0] is not None:
                raise KeyboardInterrupt from error
            done.failed.append(f"{name} failed: {sentence(first_cause(error))}")
            say(done.failed[-1])


def request_for(engine: Engine, words: argparse.Namespace) -> RunRequest:
    """Return the run of an engine; the paper's is at the size of the paper's tables, which is INSECURE."""
    paper = engine is Engine.PAPER
    return RunRequest(
        net=words.paper_net if paper else words.net,
        engine=engine,
        group=GroupName.TOY32 if paper else None,
        digits=1 if paper else None,
        walk="fast" if paper else "right",
        batch=words.batch,
        samples=words.batch,
        repeat=words.queries + WARM_UP,
    )


def run_case(request: RunRequest, network: str, way: Way, congestion: str, turns: int) -> Case:
    """Run one engine under one network, the three ways in turn."""
    shape, names = Shape.parse(network), parties_of(request)
    real: list[float] = []
    replayed: list[float] = []
    live: list[float] = []
    load = os.getloadavg()[0]
    for turn in range(turns):
        say(f"    turn {turn + 1} of {turns}: trace, live, {way}")
        trace = traced(request)
        shaped = network + SLOW_START if largest_message(trace) > INITIAL_WINDOW else network
        replayed += [
            q.seconds for q in replay_and_draw(trace, read_settings(trace, shaped, (), "1", "traced", 1)).queries
        ][WARM_UP:]
        live += run_here(replace(request, network=shaped)).online[WARM_UP:]
        with (
            open_testbed(names, shape, way, congestion) as bed,
            capturing(bed, shape) as capture,
        ):
            ran = run_on(bed, request)
        real += ran.online[WARM_UP:]
    return Case(
        str(request.engine),
        request.net,
        request.batch,
        network,
        way,
        congestion,
        ran.job.plan.parameters.insecure,
        largest_message(trace),
        Times(real, replayed, live),
        compared(ran, capture),
        sum(seen.again for seen in capture.sent.values()),
        capture.lost,
        quantiles(capture.late),
        load,
    )


def quantiles(late: Sequence[float]) -> list[float]:
    """Return median, 99 in 100 and the most of how late packets were, in milliseconds; nothing if that is unknown."""
    ordered = sorted(late)
    return [1e3 * ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.99, 1.0)] if ordered else []


def traced(request: RunRequest) -> RunTrace:
    """Return the trace of an unshaped run."""
    with tempfile.TemporaryDirectory() as folder:
        ran = run_here(replace(request, trace=Path(folder, "trace.json")))
    return trace_of(ran.job, ran.outcome, "run", virtual=False)


def largest_message(trace: RunTrace) -> int:
    """Return the bytes of the largest message of the online phase, with its header."""
    sends = (s for q in trace.phase("online") for steps in q.programs.values() for s in steps if s.kind == "send")
    return max(s.size for s in sends) + HEADER_BYTES


def compared(ran: Ran, capture: Capture) -> dict[str, LinkBytes]:
    """Return the bytes of every link that anybody saw."""
    links = sorted({*ran.metered, *capture.sent, *capture.arrived})
    seen = [[side[link].total if link in side else 0 for link in links] for side in (capture.sent, capture.arrived)]
    return {
        link: LinkBytes(ran.metered.get(link, 0), sent, arrived)
        for link, sent, arrived in zip(links, *seen, strict=True)
    }


def document(cases: list[Case]) -> dict[str, object]:
    """Return what `--json` writes."""
    return {
        "schema": 1,
        "command": "netcheck",
        "machine": asdict(Machine.here()),
        "kernel": platform.release(),
        "load": os.getloadavg(),
        "cases": [case.to_json() for case in cases],
    }


def say(text: str) -> None:
    """Print to standard error."""
    print(f"netcheck: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
