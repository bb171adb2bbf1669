"""Throughput of the services at 1, 2, 4, 8 and 16 clients, with TLS and without, and where the processor time goes.

    python scripts/bench_service.py --seconds 10

E1, E2, HC and the dealer are processes; the clients are tasks of this one, each over links of its own, each with one
query under way at a time. What a measurement uses is dealt before its clock starts, and timed apart.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import trio
from cluster.files import SERVICES, client_names, write_cluster
from cluster.processes import Cluster, open_cluster

from parties.service.client import Client
from parties.settings import load_settings
from pehealth.data.catalog import load as load_dataset
from pehealth.nets.zoo import load_model

TICKS = os.sysconf("SC_CLK_TCK")
WARM = 5
"""Queries of each client before the clock starts."""


@dataclass(frozen=True)
class Row:
    """One measurement: queries a second, seconds a query, processor milliseconds a query of each process."""

    tls: bool
    clients: int
    queries: int
    rate: float
    median: float
    p99: float
    processor_ms: dict[str, float]


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def spent(cluster: Cluster) -> dict[str, float]:
    """Return the processor seconds of every service, and of this process as "clients"."""
    own = time.process_time()
    return {**{name: processor_seconds(cluster.pid(name)) for name in SERVICES}, "clients": own}


async def measure(cluster: Cluster, clients: int, samples: np.ndarray, seconds: float, tls: bool) -> Row:
    """Have `clients` clients ask one query after the other for some seconds."""
    taken: list[float] = []
    async with AsyncExitStack() as stack:
        linked = [
            await stack.enter_async_context(Client.connect(load_settings(cluster.settings[name])))
            for name in client_names(clients)
        ]
        for client in linked:
            for at in range(WARM):
                await client.infer(samples[at][None], normalised=True)

        async def ask(client: Client, until: float) -> None:
            at = 0
            while trio.current_time() < until:
                began = trio.current_time()
                await client.infer(samples[at % len(samples)][None], normalised=True)
                taken.append(trio.current_time() - began)
                at += 1

        before, began = spent(cluster), trio.current_time()
        async with trio.open_nursery() as nursery:
            for client in linked:
                nursery.start_soon(ask, client, began + seconds)
        elapsed, after = trio.current_time() - began, spent(cluster)
    taken.sort()
    each = {name: round(1e3 * (after[name] - before[name]) / len(taken), 2) for name in after}
    return Row(
        tls, clients, len(taken), len(taken) / elapsed, taken[len(taken) // 2], taken[len(taken) * 99 // 100], each
    )


async def series(cluster: Cluster, args: argparse.Namespace, tls: bool) -> list[Row]:
    """Start, deploy, and measure each number of clients."""
    for name in SERVICES:
        cluster.start(name)
    centre = str(cluster.settings["HC"])
    print(await trio.to_thread.run_sync(cluster.run, *_deploy(args, centre)), file=sys.stderr)
    model = load_model(args.net)
    data = load_dataset(model.dataset, None, training=False)
    samples = data.features[data.test[:64]]
    rows = []
    for clients in args.clients:
        began = trio.current_time()
        await trio.to_thread.run_sync(cluster.run, "deal", "--service", centre, "--count", str(args.stock))
        print(f"dealt {args.stock / (trio.current_time() - began):.0f} queries a second", file=sys.stderr)
        rows.append(await measure(cluster, clients, samples, args.seconds, tls))
        print(markdown(rows[-1]), file=sys.stderr)
    return rows


def _deploy(args: argparse.Namespace, centre: str) -> list[str]:
    return ["deploy", args.net, "--service", centre, "--engine", args.engine]


HEADER = (
    "| TLS | clients | queries/s | median, ms | 99 %, ms | E1, ms | E2 | HC | dealer | clients |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def markdown(row: Row) -> str:
    """Return a line of the table; the last five columns are processor milliseconds a query."""
    spent_ms = " | ".join(f"{row.processor_ms[name]:.1f}" for name in ("E1", "E2", "HC", "DEALER", "clients"))
    return (
        f"| {'on' if row.tls else 'off'} | {row.clients} | {row.rate:.0f} | {1e3 * row.median:.1f} | "
        f"{1e3 * row.p99:.1f} | {spent_ms} |"
    )


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="cryptonets")
    parser.add_argument("--engine", default="rlwe")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--stock", type=int, default=600, help="queries that material is dealt for, each time")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[Row] = []
    for tls in (True, False):
        names = client_names(max(args.clients))
        # Nothing is dealt by itself: what is dealt would take the processors that are measured.
        tables = {"clients": dict.fromkeys(names, '"result"'), "material": {"low": "1", "high": "2"}}
        with tempfile.TemporaryDirectory(prefix="pehealth-bench-") as temporary:
            settings = write_cluster(Path(temporary), len(names), tls=tls, tables=tables)
            with open_cluster(settings) as cluster:
                rows += trio.run(series, cluster, args, tls)
                for name in SERVICES:
                    cluster.terminate(name)
    print(HEADER)
    print("\n".join(map(markdown, rows)))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
