"""Measure one exchange on loopback between two processes, both send, then both receive: plain TCP against TLS, in turn.

python scripts/bench_link.py [--bytes 4096] [--exchanges 5000] [--turns 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import trio

from parties.links import make_identities
from transport.carrier import Carrier
from transport.credentials import HeldCredentials, Identity
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.mesh import MeshOptions, open_mesh
from transport.meter import Meter
from transport.tcp import Tcp
from transport.tls import Tls

TAG = Tag(Phase.ONLINE, 1, 1)


async def exchange(
    own: str, peer: str, size: int, count: int, address: str, identity: Identity | None, bound: Callable[[str], None]
) -> list[float]:
    """Exchange `count` messages of `size` bytes; return the seconds that each exchange took."""
    carrier: Carrier = Tcp() if identity is None else Tls(HeldCredentials(identity))
    calls, listens = ({}, address) if own == "E1" else ({peer: address}, "")
    inbound = [peer] if own == "E1" else []
    options = MeshOptions(meter=Meter(own), bound=bound)
    payload = bytes(size)
    took = []
    async with open_mesh(
        Hello(own), carrier, listen=listens, inbound=inbound, outbound=calls, options=options
    ) as links:
        for query in range(count):
            end = links[peer].endpoint(query // 10, Clock())
            began = time.perf_counter()
            await end.send(TAG, payload)
            await end.receive(TAG, most=size)
            took.append(time.perf_counter() - began)
    return took


def second(size: int, count: int, address: str, identity: Identity | None) -> None:
    """Run E2."""
    trio.run(exchange, "E2", "E1", size, count, address, identity, lambda _: None)


def turn(size: int, count: int, *, tls: bool) -> list[float]:
    """Run E1 here and E2 in a process of its own; return the seconds of each exchange, after a warm-up, sorted."""
    identities = make_identities(("E1", "E2")) if tls else {}
    processes = []

    def start_second(address: str) -> None:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=second, args=(size, count, address, identities.get("E2")))
        process.start()
        processes.append(process)

    took = trio.run(exchange, "E1", "E2", size, count, "127.0.0.1:0", identities.get("E1"), start_second)
    for process in processes:
        process.join()
    return sorted(took[len(took) // 10 :])


def main() -> None:
    """Take turns, and compare the best turn of each kind: the machine may be busy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--exchanges", type=int, default=5000)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    best: dict[bool, tuple[float, float]] = {}
    for _ in range(args.turns):
        for tls in (False, True):
            began = time.process_time()
            took = turn(args.bytes, args.exchanges, tls=tls)
            used = (time.process_time() - began) / args.exchanges
            median = statistics.median(took)
            best[tls] = min((median, used), best.get(tls, (median, used)))
            name = "TLS" if tls else "TCP"
            print(
                f"{name}: median {median * 1e6:.0f} us, 90 % below {took[len(took) * 9 // 10] * 1e6:.0f} us", end=", "
            )
            print(f"processor of one end {used * 1e6:.0f} us")
    (plain, plain_used), (secured, secured_used) = best[False], best[True]
    print(f"{args.bytes} bytes each way, best turns: TCP {plain * 1e6:.0f} us, TLS {secured * 1e6:.0f} us", end=": ")
    print(f"{secured / plain:.2f} times; of processor {secured_used / plain_used:.2f} times")


if __name__ == "__main__":
    main()
