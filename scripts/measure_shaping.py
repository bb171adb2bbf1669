"""What `--network` adds to a query between processes, beside depth x latency + transfer.

python scripts/measure_shaping.py [NETWORK] [--net NAME] [--samples N]

Prints a line an engine and exits with 1 if a median is further from the prediction than --within (default 5 %). Run it
on a machine that has nothing else to do: a process that is woken late adds to every message.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median

from parties.launch import run
from parties.request import RunRequest, Transport
from pehealth.config import Engine, GroupName
from pehealth.nets.plan import sensor_names
from pehealth.nets.record import RunResult
from transport.network import Network, parse_network


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress: what is printed is a table."""


def result_of(engine: Engine, net: str, samples: int, network: str | None) -> RunResult:
    """Run an engine's queries between processes; the paper's with a walk that adds little."""
    paper = engine is Engine.PAPER
    request = RunRequest(
        net=net, engine=engine, group=GroupName.TOY32 if paper else None, digits=1 if paper else None,
        walk=4 if paper else "right", samples=samples, transport=Transport.PROCESSES, network=network,
    )  # fmt: skip
    return run(request, quiet)


def predicted(result: RunResult, network: Network) -> float:
    """Depth times latency, and the transfers on the longest path: uploads, exchanges, a result."""
    online = result.planned.phases["online"]
    sizes = {link: count.payload + count.framing for link, count in online.links.items()}
    sensors = [name for name in sensor_names(1024) if f"{name}->E1" in sizes]
    uploads = max(sizes[f"{name}->E1"] + sizes[f"{name}->E2"] for name in sensors)
    transfer = uploads + sizes.get("E1->E2", 0) + sizes["E1->HC"]
    return online.depth * network.latency + transfer / network.bandwidth


def main() -> int:
    """Measure every engine that takes a second or so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="20ms,100mbit")
    parser.add_argument("--net", default="clinic")
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--within", type=float, default=0.05)
    options = parser.parse_args()
    network, far = parse_network(options.network), 0
    print(f"{options.net}, {options.network}, {options.samples} queries between processes; milliseconds")
    print("| engine | depth | predicted | added, median | added, least | median off by |")
    print("|---|---|---|---|---|---|")
    for engine in (Engine.PAPER, Engine.DEALT, Engine.RLWE):
        result = result_of(engine, options.net, options.samples, options.network)
        shaped = [sample.online_seconds for sample in result.samples]
        plain = [s.online_seconds for s in result_of(engine, options.net, options.samples, None).samples]
        wanted, added = predicted(result, network), median(shaped) - median(plain)
        off = added / wanted - 1
        far += abs(off) > options.within
        depth = result.planned.phases["online"].depth
        least = min(shaped) - min(plain)
        print(f"| {engine} | {depth} | {wanted * 1e3:.1f} | {added * 1e3:.1f} | {least * 1e3:.1f} | {off:+.1%} |")
    return 1 if far else 0


if __name__ == "__main__":
    sys.exit(main())
