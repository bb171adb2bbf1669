"""Processor time and sizes of engine `rlwe` on the layers of `cryptonets`, a sample and server, least of several runs.

python scripts/bench_lattice.py [RING] [BATCH ...]     (default: 40, batches of 1, 8 and 64; one BLAS thread is fair)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from pehealth.crypto.lattice.noise import error_probability
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import Record
from pehealth.engines.rlwe import RlweEngine, choose_lattice

LAYERS = {
    "conv 5x5 s2 p1, 5 maps": LinearMap((1, 28, 28), 5, (5, 5), (2, 2), (1, 1)),
    "dense 845-100": LinearMap.dense(845, 100),
    "dense 100-10": LinearMap.dense(100, 10),
}
STEPS = ("deal", "expand (E1)", "unpack (E2)", "prepare", "linear")


def least(function: Callable[[], object], seconds: float = 0.4) -> float:
    """Return the least processor time of one call, in milliseconds."""
    best, end = float("inf"), time.process_time() + seconds
    function()
    while time.process_time() < end:
        began = time.process_time()
        function()
        best = min(best, time.process_time() - began)
    return best * 1e3


def measure(engine: RlweEngine, layer: LinearMap, batch: int) -> list[float]:
    """Return milliseconds a sample of each step."""
    rng, seed1 = Prg.insecure_seed(1), Prg.insecure_seed(2)
    weights = rng.ring(layer.weight_shape, 15).astype(np.int64) - (1 << 14)
    key = engine.keygen(rng)
    models = engine.encrypt(layer, weights, np.zeros(layer.out_channels, np.int64), key, rng)
    model, secret = engine.load(layer, models[1]), engine.load_secret(layer, key)
    mask, y_masked = (rng.ring((batch, layer.inputs), engine.ring) for _ in range(2))
    layout = engine.material_layout(layer, batch)
    record = engine.deal(layer, mask, secret, seed1).pack(layout)
    material = Record.unpack(layout, record)
    ready = engine.prepare(layer, model, material, rng)
    steps: list[Callable[[], object]] = [
        lambda: engine.deal(layer, mask, secret, seed1),
        lambda: engine.expand(layer, batch, seed1),
        lambda: Record.unpack(layout, record),
        lambda: engine.prepare(layer, model, material, rng),
        lambda: engine.linear(layer, y_masked, ready),
    ]
    return [least(step) / batch for step in steps]


def main() -> None:
    """Print one table a batch size."""
    ring, *batches = [int(a) for a in sys.argv[1:]] or [40]
    engine = RlweEngine(ring, choose_lattice(LAYERS.values(), ring))
    for name, layer in LAYERS.items():
        packing, cost = engine.packing(layer), engine.cost(layer)
        rate = error_probability(engine.parameters, ring, packing.terms)
        print(
            f"{name}: {packing.ciphertexts * packing.groups} ciphertexts, n = {packing.size}; "
            f"model {cost.model[0]:,} / {cost.model[1]:,} B, E2's material {cost.material:,} B, mask {cost.mask:,} B; "
            f"off by one with 2^{np.log2(rate):.1f}"
        )
    print(f"\n{engine.parameters.name}, k = {ring}; milliseconds a sample")
    for batch in batches or [1, 8, 64]:
        rows = [measure(engine, layer, batch) for layer in LAYERS.values()]
        print(f"{f'batch {batch}':24}" + "".join(f"{s:>13}" for s in STEPS))
        for name, row in zip([*LAYERS, "together"], [*rows, np.sum(rows, axis=0)], strict=True):
            print(f"{name:24}" + "".join(f"{v:13.4f}" for v in row))


if __name__ == "__main__":
    main()
