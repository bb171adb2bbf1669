"""tests/vectors/lattice.json: numbers computed in Python integers, and bytes that fixed seeds give."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pehealth.config import Party
from pehealth.crypto.lattice.parameters import parameter_set
from pehealth.crypto.lattice.residues import from_words, to_words
from pehealth.crypto.lattice.rounding import round_to_ring
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import Record
from pehealth.engines.rlwe import rlwe_engine
from pehealth.errors import PeerProtocolError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "lattice.json").read_text())
LAYER = LinearMap((1, 6, 6), 2, (3, 3), (2, 2), (1, 1))


def test_elements_round_as_the_vectors_say() -> None:
    for v in VECTORS["rounding"]:
        parameters = parameter_set(v["lattice"])
        values = np.array([[int(v["element"]) % p] for p in parameters.primes], np.uint64)
        assert round_to_ring(values, v["ring"], parameters).tolist() == [int(v["rounded"])], v


def test_words_are_read_and_written_as_the_vectors_say() -> None:
    for v in VECTORS["words"]:
        words = [np.array([int(w)], np.uint64) for w in v["words"]]
        residues = from_words(words, parameter_set(v["lattice"]).primes)
        assert residues[:, 0].tolist() == v["residues"], v
        if v["case"] != "too large":
            assert [int(w[0]) for w in to_words(residues)] == [int(w) for w in v["words"]], v


@pytest.mark.parametrize(("lattice", "ring"), [("n4096-q104", 40), ("n8192-q156", 64)])
def test_fixed_seeds_give_the_same_bytes_in_every_release(lattice: str, ring: int) -> None:
    engine, rng, seed1 = rlwe_engine(ring, lattice), Prg.insecure_seed(1), Prg.insecure_seed(2)
    weights = np.arange(-9, 9, dtype=np.int64).reshape(LAYER.weight_shape)
    key = engine.keygen(rng)
    first, second = engine.encrypt(LAYER, weights, np.array([5, -5], np.int64), key, rng)
    mask = rng.ring((2, LAYER.inputs), ring)
    material = engine.deal(LAYER, mask, engine.load_secret(LAYER, key), seed1)
    layouts = {
        "key": (key, engine.key_layout()),
        "model of E1": (first, engine.model_layout(LAYER, Party.E1)),
        "model of E2": (second, engine.model_layout(LAYER, Party.E2)),
        "material of E2": (material, engine.material_layout(LAYER, 2)),
    }
    expected = [v for v in VECTORS["records"] if v["lattice"] == lattice]
    assert {v["record"] for v in expected} == set(layouts)
    for v in expected:
        record, layout = layouts[v["record"]]
        data = record.pack(layout)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (v["bytes"], v["sha256"]), v["record"]
        for bad in (data[:-1], data + b"\0", b""):
            with pytest.raises(PeerProtocolError, match=str(layout.size)):
                Record.unpack(layout, bad)
