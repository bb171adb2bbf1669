"""Queries from concurrent clients while the services are killed at random: every answer right, or a clear error.

    python scripts/soak.py                      2,000 queries, 8 clients, at least 30 kills; some minutes
    python scripts/soak.py --kills 0            no kills: is memory flat?

Starts E1, E2, DEALER and HC as processes with mutual TLS, deploys a model, and asks. Ends with 0 if every answer was
within the proven bound of the integer oracle, every failure was an error of ours within its deadline, no query was
answered twice, no index served twice (proven from both servers' stores), memory was flat and no process was left.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trio
from cluster.files import SERVICES, client_names, write_cluster
from cluster.processes import Cluster, open_cluster

from parties.failure import first_cause
from parties.service.cards import Answer
from parties.service.client import Client
from parties.settings import load_settings
from pehealth.config import Party
from pehealth.data.catalog import load as load_dataset
from pehealth.errors import PehealthError
from pehealth.nets.oracle import ideal
from pehealth.nets.scales import Arithmetic
from pehealth.nets.zoo import load_model
from pehealth.store.audit import problems, read_marks
from pehealth.store.shelf import Happened
from transport.errors import TransportError

QUERY_SECONDS = 10
RETRIES = 2
SLACK_SECONDS = 15.0
"""How much later than its deadline an error may reach the caller on a busy machine."""
FLAT = 0.10
"""How much more memory a service may hold at the end of a run than after its first quarter."""


@dataclass
class Findings:
    """What came of a soak."""

    answers: list[tuple[int, Answer]] = field(default_factory=list)
    errors: list[tuple[str, float, str]] = field(default_factory=list)
    kills: list[tuple[float, str]] = field(default_factory=list)
    memory: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0


@dataclass(frozen=True)
class Pool:
    """Samples to ask about, and their ideal logits."""

    features: np.ndarray
    ideal: np.ndarray
    bound: int


def pool_of(net: str, digits: int, samples: int) -> Pool:
    """Return test samples of a reference network with what the integer oracle makes of them."""
    model = load_model(net)
    data = load_dataset(model.dataset, None, training=False)
    quantised = model.quantise(digits, Arithmetic.MASKED)
    chosen = data.features[data.test[:samples]]
    return Pool(chosen, ideal(quantised, quantised.encode_input(chosen)).layers[-1], 0)


class Soak:
    """One soak: its clients, its killer, its watch on memory."""

    def __init__(self, cluster: Cluster, pool: Pool, args: argparse.Namespace, rng: random.Random) -> None:
        self.cluster, self.pool, self.args, self.rng = cluster, pool, args, rng
        self.found = Findings()
        self._began = trio.current_time()
        self._clients_left = args.clients

    async def run(self) -> Findings:
        """Ask all queries; kill until they are answered, and at least as often as told."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_memory)
            async with trio.open_nursery() as working:
                if self.args.kills:
                    working.start_soon(self._kill)
                for name in client_names(self.args.clients):
                    working.start_soon(self._ask, name)
            nursery.cancel_scope.cancel()
        return self.found

    async def _ask(self, name: str) -> None:
        """One client: queries one after the other, over links that are made again when they break."""
        settings = load_settings(self.cluster.settings[name])
        try:
            while self.found.asked < self.args.queries:
                try:
                    async with Client.connect(settings, retries=RETRIES) as client:
                        while self.found.asked < self.args.queries:
                            self.found.asked += 1
                            await self._one(client)
                            await trio.sleep(self.rng.uniform(0, 2 * self.args.pause))
                except* (PehealthError, TransportError) as errors:
                    self._note_error(first_cause(errors), 0.0, "connecting")
                    await trio.sleep(0.5)
        finally:
            self._clients_left -= 1

    async def _one(self, client: Client) -> None:
        at = self.rng.randrange(len(self.pool.features))
        began = trio.current_time()
        limit = QUERY_SECONDS * (RETRIES + 1) + SLACK_SECONDS
        with trio.move_on_after(limit) as scope:
            try:
                (answer,) = await client.infer(self.pool.features[at][None], normalised=True)
            except (PehealthError, TransportError, ExceptionGroup) as error:
                self._note_error(first_cause(error), trio.current_time() - began, "a query")
            else:
                self._hold(at, answer)
        if scope.cancelled_caught:
            self.found.wrong.append(f"a query had neither answer nor error after {limit:g} s")

    def _hold(self, at: int, answer: Answer) -> None:
        """Hold an answer against the oracle."""
        self.found.answers.append((at, answer))
        if answer.logits is None:
            self.found.wrong.append(f"query {answer.query}: a receipt and no logits")
            return
        off = int(np.abs(answer.logits[0] - self.pool.ideal[at]).max())
        if off > answer.error_bound:
            self.found.wrong.append(f"query {answer.query}: {off} units off, {answer.error_bound} may be")

    def _note_error(self, error: BaseException, seconds: float, doing: str) -> None:
        if not isinstance(error, PehealthError | TransportError):
            raise error
        self.found.errors.append((f"{doing}: {type(error).__name__}", seconds, str(error)))

    async def _kill(self) -> None:
        """Kill a service at random, start it again after a while, and so on."""
        while self._clients_left or len(self.found.kills) < self.args.kills:
            await trio.sleep(self.rng.expovariate(1 / self.args.between))
            name = self.rng.choice(SERVICES)
            await trio.to_thread.run_sync(self.cluster.kill, name)
            self.found.kills.append((trio.current_time() - self._began, name))
            await trio.sleep(self.rng.uniform(0, 1.5))
            self.cluster.start(name)
            self._tell()

    async def _watch_memory(self) -> None:
        while True:
            now = trio.current_time() - self._began
            self.found.memory.append((now, {name: self.cluster.resident(name) for name in SERVICES}))
            for name, code in self.cluster.died().items():
                if code != -9:
                    self.found.wrong.append(
                        f"{name} ended by itself with exit code {code}: see {self.cluster.log(name)}"
                    )
                    self.cluster.start(name)
            await trio.sleep(2.0)

    def _tell(self) -> None:
        f = self.found
        print(
            f"{trio.current_time() - self._began:6.0f} s: {f.asked} asked, {len(f.answers)} answered, "
            f"{len(f.errors)} errors, {len(f.kills)} kills",
            file=sys.stderr,
        )


def store_problems(folder: Path) -> tuple[list[str], dict[str, int]]:
    """Return every sign in the servers' stores that an index was used twice, and how many indices were used by each."""
    found: list[str] = []
    used: Counter[str] = Counter()
    for first in sorted((folder / Party.E1).rglob("material.db")):
        second = folder / Party.E2 / first.relative_to(folder / Party.E1)
        one, two = read_marks(first), read_marks(second)
        found += problems(one, two)
        used[Party.E1] += len(one.of(Happened.USED))
        used[Party.E2] += len(two.of(Happened.USED))
    return found, dict(used)


def memory_problems(found: Findings) -> list[str]:
    """Return the services that held more memory at the end than after the first quarter; only without kills."""
    if found.kills or len(found.memory) < 8:
        return []
    quarter, last = found.memory[len(found.memory) // 4][1], found.memory[-1][1]
    return [
        f"{name}: {quarter[name] / 2**20:.1f} MiB after a quarter, {last[name] / 2**20:.1f} at the end"
        for name in SERVICES
        if last[name] > quarter[name] * (1 + FLAT)
    ]


def repeated(answers: Sequence[tuple[int, Answer]]) -> list[str]:
    """Return the queries that were answered more than once."""
    counts = Counter((answer.deployment, answer.query) for _, answer in answers)
    return [f"query {query} of {name[:8]} was answered {n} times" for (name, query), n in counts.items() if n > 1]


def summary(found: Findings, used: dict[str, int], seconds: float) -> dict[str, Any]:
    """Return what to print and write down."""
    taken = sorted(answer.seconds for _, answer in found.answers)
    peak = {n: max(at[n] for _, at in found.memory) / 2**20 for n in SERVICES}
    return {
        "asked": found.asked,
        "answered": len(found.answers),
        "retried": sum(answer.retries > 0 for _, answer in found.answers),
        "errors": dict(Counter(kind for kind, _, _ in found.errors)),
        "slowest_error_seconds": round(max((seconds for _, seconds, _ in found.errors), default=0.0), 2),
        "kills": dict(Counter(name for _, name in found.kills)),
        "median_seconds": taken[len(taken) // 2] if taken else None,
        "p99_seconds": taken[len(taken) * 99 // 100] if taken else None,
        "indices_used": used,
        "peak_mib": {name: round(size, 1) for name, size in peak.items()},
        "seconds": round(seconds, 1),
        "wrong": found.wrong,
    }


async def soak(cluster: Cluster, args: argparse.Namespace) -> Findings:
    """Start everything, deploy, and run."""
    for name in SERVICES:
        cluster.start(name)
    centre = str(cluster.settings[Party.HC])
    words = ["deploy", args.net, "--service", centre, "--engine", args.engine]
    print(await trio.to_thread.run_sync(lambda: cluster.run(*words)), file=sys.stderr)
    rng = random.Random(args.seed)  # noqa: S311 - who is killed and when is no secret
    return await Soak(cluster, pool_of(args.net, 4, 64), args, rng).run()


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kills", type=int, default=30, help="at least this many; 0: none at all")
    parser.add_argument("--between", type=float, default=4.0, help="mean seconds between kills")
    parser.add_argument("--pause", type=float, default=0.4, help="mean seconds that a client waits between queries")
    parser.add_argument("--net", default="clinic")
    parser.add_argument("--engine", default="rlwe")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of who is killed and when")
    parser.add_argument("--folder", type=Path, help="keep everything here (default: a temporary folder)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    tables = {
        "deadlines": {"query": str(QUERY_SECONDS), "drain": "10"},
        "clients": dict.fromkeys(client_names(args.clients), '"result"'),
    }
    print(f"seed {args.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="pehealth-soak-") as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with open_cluster(write_cluster(folder, args.clients, tables=tables)) as cluster:
            found = trio.run(soak, cluster, args)
            for name in SERVICES:
                cluster.wait_ready(name)
            codes = {name: cluster.terminate(name) for name in SERVICES}
            found.wrong += [
                f"{name} ended with exit code {code} when told to stop" for name, code in codes.items() if code
            ]
            found.wrong += [f"process {pid} was left over" for pid in cluster.left_over()]
        twice, used = store_problems(folder)
        found.wrong += [*twice, *memory_problems(found), *repeated(found.answers)]
        if len(found.kills) < args.kills:
            found.wrong.append(f"{len(found.kills)} kills, {args.kills} were asked for")
        told = summary(found, used, time.monotonic() - began)
    print(json.dumps(told, indent=2))
    for kind, text in {kind: text for kind, _, text in found.errors}.items():
        print(f"an example of {kind}: {text}")
    if args.json:
        args.json.write_text(json.dumps({**told, "memory": found.memory, "kills_at": found.kills}, indent=1))
    print("all is well" if not found.wrong else f"{len(found.wrong)} findings")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
