"""One run of a masked engine from the key to the shares of z, every record through its layout on the way."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st

from pehealth.codec.packing import Layout, Words
from pehealth.config import Party
from pehealth.crypto.linear import Ints, LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import MaskedEngine, Record, deal_mask, expand_mask, mask_layout, ring_mask, to_ring


@dataclass(frozen=True)
class Run:
    """What the parties held: R, Y^, both U_b, both z_b, and the records of E1 and E2."""

    mask: Words
    y_masked: Words
    products: tuple[Words, Words]
    z: tuple[Words, Words]
    models: tuple[Record, Record]
    materials: tuple[Record, Record]


def through(layout: Layout, record: Record) -> Record:
    data = record.pack(layout)
    assert len(data) == layout.size
    back = Record.unpack(layout, data)
    assert back.pack(layout) == data
    return back


def play(engine: MaskedEngine, layer: LinearMap, weights: Ints, bias: Ints, y: Ints, seed: int = 0) -> Run:
    rng, seed1 = Prg.insecure_seed(seed), Prg.insecure_seed(seed + 1).child("query")
    batch, mod = len(y), ring_mask(engine.ring)
    key = through(engine.key_layout(), engine.keygen(rng))
    models = engine.encrypt(layer, weights, bias, key, rng)
    models = tuple(through(engine.model_layout(layer, p), m) for p, m in zip((Party.E1, Party.E2), models, strict=True))
    loaded = [engine.load(layer, m) for m in models]
    secret = through(engine.secret_layout(layer), engine.secret(layer, weights, key))
    mask, mask2 = deal_mask(layer, batch, engine.ring, seed1, rng)
    mask2 = through(mask_layout(layer, batch, engine.ring), mask2)
    assert np.array_equal((mask2["mask"] + expand_mask(layer, batch, engine.ring, seed1)["mask"]) & mod, mask)
    second = engine.deal(layer, mask, engine.load_secret(layer, secret), seed1)
    materials = engine.expand(layer, batch, seed1), through(engine.material_layout(layer, batch), second)
    y_masked = (to_ring(y, engine.ring) + mask) & mod
    before = y_masked.copy()
    ready = [engine.prepare(layer, m, t, Prg.insecure_seed(99)) for m, t in zip(loaded, materials, strict=True)]
    products = tuple(engine.products(layer, m, t) for m, t in zip(loaded, materials, strict=True))
    z = tuple(engine.linear(layer, y_masked, r) for r in ready)
    assert np.array_equal(before, y_masked), "linear changed its caller's array"
    return Run(mask, y_masked, products, z, models, materials)


def random_layer_case(engine_ring: int, layer: LinearMap, batch: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Weights, bias, y: weights of 15 bits, the rest anything that the ring holds."""
    prg = Prg.insecure_seed(seed)
    weights = prg.ring(layer.weight_shape, 15).astype(np.int64) - (1 << 14)
    bias = prg.ring(layer.out_channels, engine_ring - 2).astype(np.int64) - (1 << (engine_ring - 3))
    y = prg.ring((batch, layer.inputs), engine_ring - 2).astype(np.int64) - (1 << (engine_ring - 3))
    return weights, bias, y


def exact(layer: LinearMap, weights: Ints, x: Ints, ring: int) -> Words:
    """W * x mod 2^k in Python integers."""
    out = layer.apply(weights.astype(object), x.astype(object)) % (1 << ring)
    return out.astype(np.uint64)


@st.composite
def layers(draw: st.DrawFn, most: int = 9) -> LinearMap:
    """Any dense, 1-D or 2-D layer whose sizes are at most `most`."""
    if draw(st.booleans()):
        return LinearMap.dense(draw(st.integers(1, 40)), draw(st.integers(1, 12)))
    channels, h, w = draw(st.integers(1, 4)), draw(st.integers(1, most)), draw(st.integers(1, most))
    padding = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    kernel = draw(st.integers(1, h + 2 * padding[0])), draw(st.integers(1, w + 2 * padding[1]))
    stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return LinearMap((channels, h, w), draw(st.integers(1, 6)), kernel, stride, padding)


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The helpers above, for tests of any engine."""
    return SimpleNamespace(play=play, case=random_layer_case, exact=exact, layers=layers)
