"""Does a store cost online time? Sessions with and without one in turn: `python scripts/bench_store.py [NET] [ENGINE]`.

Parties are processes on loopback. Prints the least and the quartiles over all queries but each session's first three.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import quantiles

from parties.ahead import deal, deploy
from parties.launch import run
from parties.progress import silent
from parties.request import RunRequest, Transport
from pehealth.config import Engine

ROUNDS, QUERIES = 3, 60
WARM = 3


def main(net: str, engine: Engine) -> None:
    """Measure and print."""
    seconds: dict[str, list[float]] = {"in memory": [], "in a store": []}
    prepared: dict[str, list[float]] = {name: [] for name in seconds}
    with tempfile.TemporaryDirectory() as place:
        state = Path(place)
        plain = {"net": net, "engine": engine, "transport": Transport.PROCESSES, "samples": QUERIES}
        kept = {**plain, "state": state}
        deploy(RunRequest(**kept), silent)
        deal(RunRequest(**kept), ROUNDS * QUERIES, silent)
        for _ in range(ROUNDS):
            for name, settings in (("in memory", plain), ("in a store", kept)):
                result = run(RunRequest(**settings), silent)
                seconds[name] += [s.online_seconds for s in result.samples[WARM:]]
                prepared[name].append(result.phases["offline"].seconds)
    for name, times in seconds.items():
        low, middle, high = quantiles(times, n=4)
        print(
            f"material {name}: online least {1e3 * min(times):.2f} ms, quartiles {1e3 * low:.2f} {1e3 * middle:.2f} "
            f"{1e3 * high:.2f} ms over {len(times)} queries; offline {1e3 * min(prepared[name]):.1f} ms a query"
        )


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *("cryptonets", "rlwe")[len(sys.argv) - 1 :]]
    main(arguments[0], Engine(arguments[1]))
