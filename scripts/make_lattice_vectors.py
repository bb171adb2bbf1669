"""Write tests/vectors/lattice.json: rounding, packed elements of R_q, and digests of whole records, good and bad.

`python scripts/make_lattice_vectors.py [--check]` from the repository's root. Numbers are computed here in Python
integers. The digests pin what fixed seeds give, byte by byte, so that a release cannot change a format unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np

from pehealth.config import Party
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.rlwe import RlweEngine, parameter_set

OUT = Path("tests/vectors/lattice.json")
PRIMES = {
    "n4096-q104": [67084289, 67043329, 66994177, 66969601],
    "n8192-q156": [67043329, 66994177, 66961409, 66813953, 66551809, 66420737],
}
WIDTHS = {"n4096-q104": [64, 40], "n8192-q156": [64, 64, 32]}


def rounding() -> list[dict[str, object]]:
    """Return c in Z_q and floor(2^k c / q + 1/2) mod 2^k; decimal strings, since JSON numbers are floats."""
    out: list[dict[str, object]] = []
    for name, primes in PRIMES.items():
        q = math.prod(primes)
        for ring in (32, 40, 48, 64):
            tie = (2 * 1234567 + 1) * q >> (ring + 1)
            for c in (0, 1, q - 1, q // 2, q // 3, tie, tie + 1):
                rounded = ((c << (ring + 1)) + q) // (2 * q) % (1 << ring)
                out.append({"lattice": name, "ring": ring, "element": str(c), "rounded": str(rounded)})
    return out


def words() -> list[dict[str, object]]:
    """Return residues end to end, 26 bits each, cut into words; a residue that is not below its prime is reduced."""
    out: list[dict[str, object]] = []
    for name, primes in PRIMES.items():
        cases = {"zero": [0] * len(primes), "top": [p - 1 for p in primes], "counting": list(range(1, len(primes) + 1))}
        for case, residues in {**cases, "too large": [(1 << 26) - 1] * len(primes)}.items():
            whole = sum(r << (26 * j) for j, r in enumerate(residues))
            cut = [str(whole >> sum(WIDTHS[name][:i]) & ((1 << w) - 1)) for i, w in enumerate(WIDTHS[name])]
            reduced = [r % p for r, p in zip(residues, primes, strict=True)]
            out.append({"lattice": name, "case": case, "words": cut, "residues": reduced})
    return out


def records() -> list[dict[str, object]]:
    """Return sizes and SHA-256 of the records of one small layer from fixed seeds."""
    layer, out = LinearMap((1, 6, 6), 2, (3, 3), (2, 2), (1, 1)), []
    for name, ring in (("n4096-q104", 40), ("n8192-q156", 64)):
        engine, rng, seed1 = RlweEngine(ring, parameter_set(name)), Prg.insecure_seed(1), Prg.insecure_seed(2)
        weights = np.arange(-9, 9, dtype=np.int64).reshape(layer.weight_shape)
        key = engine.keygen(rng)
        first, second = engine.encrypt(layer, weights, np.array([5, -5], np.int64), key, rng)
        mask = rng.ring((2, layer.inputs), ring)
        material = engine.deal(layer, mask, engine.load_secret(layer, key), seed1)
        packed = {
            "key": key.pack(engine.key_layout()),
            "model of E1": first.pack(engine.model_layout(layer, Party.E1)),
            "model of E2": second.pack(engine.model_layout(layer, Party.E2)),
            "material of E2": material.pack(engine.material_layout(layer, 2)),
        }
        for record, data in packed.items():
            digest = hashlib.sha256(data).hexdigest()
            out.append({"lattice": name, "ring": ring, "record": record, "bytes": len(data), "sha256": digest})
    return out


def main() -> int:
    """Write the vectors, or with --check compare them with what is there."""
    text = json.dumps({"rounding": rounding(), "words": words(), "records": records()}, indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        return int(text != OUT.read_text())
    OUT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
