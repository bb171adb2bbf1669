"""Time share conversion and exponentiation in every group: `python scripts/bench_walk.py [--seconds S]`.

Prints nanoseconds a step of the walk, and for each group the time of one 25-term dot product (one kernel of 5 x 5 at
one place, all 1 + l ciphertexts) split into exponentiation and conversion. Processor time of one core; the figures of
docs/paper-engine.md come from here.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from pehealth.config import GroupName, Party
from pehealth.crypto.ddlog import Walk, blind, steps
from pehealth.crypto.elgamal import keygen
from pehealth.crypto.groups import group
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.multiexp import multi_power
from pehealth.crypto.prg import Prg
from pehealth.engines import paper

TERMS = 25
RUNS = (16, 20, 24)


def walk_speed(name: GroupName, run: int, seconds: float, rng: Prg) -> float:
    """Return the nanoseconds a step, over rounds of walks that take about `seconds` together."""
    grp, walk, spent, walked = group(name), Walk(run, 1 << (run + 6)), 0.0, 0
    count = max((1 << 26) >> run, 64) if name is GroupName.TOY32 else max((1 << 22) >> run, 2)
    while spent < seconds:
        starts = grp.random(rng, count)
        began = time.process_time()
        walked += int(steps(grp, starts, walk).sum())
        spent += time.process_time() - began
    return spent / walked * 1e9


def dot_product(name: GroupName, run: int, seconds: float, rng: Prg) -> tuple[float, float, int]:
    """Return (seconds of exponentiation, seconds of conversion, conversions) of one output with its key bits."""
    layer, key = LinearMap.dense(TERMS, 1), keygen(name, rng)
    weights = rng.below((1, TERMS), 19).astype(np.int64) - 9
    model = paper.encrypt(layer, weights, np.zeros(1, np.int64), key, rng, keybits=True)[0]
    pair = paper.share_inputs(rng.below((1, TERMS), 10).astype(np.int64), key, rng)[0]
    exponents = paper.exponents(key.group, layer, pair, Party.E1)
    raised = walked = 0.0
    rounds = 0
    while raised + walked < seconds:
        began = time.process_time()
        powers = multi_power(key.group, model.ciphertexts.reshape(-1, 2 * TERMS), exponents)
        middle = time.process_time()
        steps(key.group, blind(key.group, powers, rng), Walk(run, 1 << (run + 6)))
        raised, walked, rounds = raised + middle - began, walked + time.process_time() - middle, rounds + 1
    return raised / rounds, walked / rounds, powers.size


def main() -> None:
    """Print one line a group and run, then one a group for the dot product."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each figure")
    args = parser.parse_args()
    rng = Prg.system()
    for name in GroupName:
        for run in RUNS:
            print(f"{name:9} w = {run}: {walk_speed(name, run, args.seconds, rng):.3f} ns a step")
    for name in GroupName:
        powers, walks, count = dot_product(name, 16, args.seconds, rng)
        split = f"{powers:.4f} s exponentiation, {walks:.4f} s conversion"
        print(f"{name:9} {TERMS} terms, {count} conversions, w = 16: {split}")


if __name__ == "__main__":
    main()
