"""Measure one exchange on loopback between two processes: both send, then both receive.

python scripts/bench_link.py [--bytes 4096] [--exchanges 5000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import trio

from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.mesh import MeshOptions, open_mesh
from transport.meter import Meter
from transport.tcp import Tcp

TAG = Tag(Phase.ONLINE, 1, 1)


async def exchange(
    own: str, peer: str, size: int, count: int, address: str, bound: Callable[[str], None]
) -> list[float]:
    """Exchange `count` messages of `size` bytes; return the seconds that each exchange took."""
    calls, listens = ({}, address) if own == "E1" else ({peer: address}, "")
    inbound = [peer] if own == "E1" else []
    options = MeshOptions(meter=Meter(own), bound=bound)
    payload = bytes(size)
    took = []
    async with open_mesh(Hello(own), Tcp(), listen=listens, inbound=inbound, outbound=calls, options=options) as links:
        for query in range(count):
            end = links[peer].endpoint(query // 10, Clock())
            began = time.perf_counter()
            await end.send(TAG, payload)
            await end.receive(TAG, most=size)
            took.append(time.perf_counter() - began)
    return took


def second(size: int, count: int, address: str) -> None:
    """Run E2."""
    trio.run(exchange, "E2", "E1", size, count, address, lambda _: None)


def main() -> None:
    """Run E1 here and E2 in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--exchanges", type=int, default=5000)
    args = parser.parse_args()
    processes = []

    def start_second(address: str) -> None:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=second, args=(args.bytes, args.exchanges, address))
        process.start()
        processes.append(process)

    took = trio.run(exchange, "E1", "E2", args.bytes, args.exchanges, "127.0.0.1:0", start_second)
    for process in processes:
        process.join()
    took = sorted(took[len(took) // 10 :])
    print(
        f"{args.exchanges} exchanges of {args.bytes} bytes each way: median {statistics.median(took) * 1e6:.0f} us, "
        f"least {took[0] * 1e6:.0f} us, 90 % below {took[len(took) * 9 // 10] * 1e6:.0f} us"
    )


if __name__ == "__main__":
    main()
