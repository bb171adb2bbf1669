"""Hold replays against reality on this machine.

    python scripts/compare_replay.py --net cryptonets --samples 20       # processes: live shaping against replay
    python scripts/compare_replay.py --chain 64 32                       # a model's prediction against a run

The first traces one run between processes without shaping, replays it under other networks, and runs live under
each of them. The second predicts a chain of ResNet-18's layers with random weights from small layers, and runs it in
virtual time. Times need a quiet machine: everybody's processes share its cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from parties.launch import perform_job, run
from parties.request import RunRequest, Transport
from parties.resolve import Job
from parties.tracing import read_trace, trace_of
from pehealth.config import Engine, GroupName, Parameters
from pehealth.crypto.prg import Prg
from pehealth.data.ranges import Ranges
from pehealth.experiments.critical import critical_path, totals
from pehealth.experiments.measure import calibrate
from pehealth.experiments.replay import Settings, handling_of, replay, typical
from pehealth.experiments.scale import plan_for, predicted_trace
from pehealth.experiments.scale_networks import resnet_chain
from pehealth.experiments.steps import Phase, RunTrace
from pehealth.nets.scales import Arithmetic
from pehealth.nets.weights import QuantizedModel
from transport.network import parse_network

PHASES: tuple[Phase, ...] = ("online", "offline")


def quiet(_what: str, _at: int, _of: int) -> None:
    """Show no progress."""


def request(args: argparse.Namespace, engine: Engine) -> RunRequest:
    """Return the request of a run between processes."""
    paper = engine is Engine.PAPER
    return RunRequest(
        net=args.net,
        engine=engine,
        group=GroupName.TOY32 if paper else None,
        samples=args.samples,
        transport=Transport.PROCESSES,
        data_dir=args.data_dir,
    )


def compare_live(args: argparse.Namespace) -> None:
    """Print live and replayed medians for every engine and network."""
    print("| engine | network | live ms (least to most) | replay ms | replay / live |\n|---|---|---|---|---|")
    for engine in args.engines:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            run(dataclasses.replace(request(args, engine), trace=path), quiet)
            trace = read_trace(path)
        for network in args.networks:
            result = run(dataclasses.replace(request(args, engine), network=network), quiet)
            live = sorted(1e3 * s.online_seconds for s in result.samples)
            settings = Settings(parse_network(network), handling=handling_of(trace))
            replayed = 1e3 * typical(replay(trace.phase("online"), settings)).seconds
            middle = median(live)
            spread = f"{middle:.2f} ({live[0]:.2f} to {live[-1]:.2f})"
            print(f"| {engine} | {network} | {spread} | {replayed:.2f} | {replayed / middle:.3f} |", flush=True)


def compare_chain(args: argparse.Namespace) -> None:
    """Print what a model predicts of a chain, and what a run of it in virtual time takes."""
    size, width = args.chain
    print("| engine | phase | network | run ms | of it computing | predicted ms | of it computing |")
    print(6 * "|---" + "|---|")
    for engine in args.engines:
        base = Parameters(engine, 4, 40)
        predicted = predicted_trace(plan_for(resnet_chain(size, width, 10), base), calibrate(base))
        for network in args.networks:
            traced = run_chain(base, size, width, network)
            for phase in PHASES:
                found = [figures(trace, phase, network) for trace in (traced, predicted)]
                print(f"| {engine} | {phase} | {network} | {' | '.join(found)} |", flush=True)


def figures(trace: RunTrace, phase: Phase, network: str) -> str:
    """Return the time of a phase, and what of it is computing."""
    done = typical(replay(trace.phase(phase), Settings(parse_network(network))))
    return f"{1e3 * done.seconds:.1f} | {1e3 * totals(critical_path(done))['compute']:.1f}"


def run_chain(base: Parameters, size: int, width: int, network: str) -> RunTrace:
    """Run a chain with random weights, whose values may wrap: times do not depend on them."""
    net = resnet_chain(size, width, 10)
    rng = Prg.insecure_seed(1)
    weights = tuple(
        rng.child(p.index).ring(p.linear.weight_shape, 10).astype(np.int64) - 512 for p in net.linear_layers
    )
    biases = tuple(np.zeros(p.linear.out_channels, np.int64) for p in net.linear_layers)
    ranges = Ranges(("pixel",), (0.0,), (1.0,))
    model = QuantizedModel(net, base.digits, Arithmetic.MASKED, weights, biases, ranges)
    inputs = rng.child("inputs").ring((2, net.inputs), 13).astype(np.int64)
    job = Job(
        RunRequest(net=net.name, engine=base.engine, samples=2, network=network, trace=Path("unused")),
        cast("Any", SimpleNamespace(network=net)),
        model,
        plan_for(net, base),
        np.zeros((2, net.inputs)),
        inputs,
        np.zeros(2, np.int64),
        np.arange(2),
        0.0,
    )
    return trace_of(job, perform_job(job, quiet), "run", virtual=True)


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", default="cryptonets")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--engines", nargs="+", type=Engine, default=[Engine.DEALT, Engine.RLWE])
    parser.add_argument("--networks", nargs="+", default=["lan", "20ms,100mbit", "50ms,10mbit"])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--chain", nargs=2, type=int, metavar=("SIZE", "WIDTH"))
    args = parser.parse_args()
    (compare_chain if args.chain else compare_live)(args)


if __name__ == "__main__":
    main()
