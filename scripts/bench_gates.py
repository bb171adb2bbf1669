#!/usr/bin/env python
"""Time gates on one core: the minimum of several runs, milliseconds and microseconds a gate."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from pehealth.codec.material import load_gate, pack_gate
from pehealth.config import Party
from pehealth.crypto import gate_relu
from pehealth.crypto.gate_relu import ReluGate
from pehealth.crypto.prg import Prg


def best(work: Callable[[], object], runs: int) -> float:
    """Return the seconds of the fastest run."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Print a line a ring size and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ring", type=int, nargs="+", default=[32, 40, 48, 64])
    parser.add_argument("--count", type=int, nargs="+", default=[945, 60_000])
    parser.add_argument("--scale", type=int, default=10**4)
    options = parser.parse_args()
    rng = Prg.system()
    for count in options.count:
        runs = 40 if count < 10_000 else 5
        for ring in options.ring:
            gate = ReluGate(ring, options.scale)
            r, x_hat, seed1 = rng.ring(count, ring), rng.ring(count, ring), rng.child("E1")
            dealt = gate_relu.deal(r, gate, seed1, rng)
            material = dealt.material(Party.E2)
            common, own = pack_gate(dealt)
            figures = {
                "deal": best(lambda: gate_relu.deal(r, gate, seed1, rng), max(3, runs // 3)),  # noqa: B023
                "load": best(lambda: load_gate(gate, count, common, own), runs),  # noqa: B023
                "evaluate": best(lambda: gate_relu.evaluate(Party.E2, x_hat, material), runs),  # noqa: B023
            }
            parts = (f"{name} {t * 1e3:.2f} ms ({t / count * 1e6:.2f} us a gate)" for name, t in figures.items())
            sys.stdout.write(f"ring {ring}, {count} ReLU gates: {', '.join(parts)}\n")


if __name__ == "__main__":
    main()
