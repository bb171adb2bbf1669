"""What engine `paper` computes on small layers, measured: walks, exponentiations, comparisons, triples.

Key-bit ciphertexts are measured in `toy32` alone: at real sizes a single weight has thousands of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import numpy as np

from pehealth.codec.packing import pack, unpack
from pehealth.config import Parameters, Party
from pehealth.crypto.ddlog import Walk
from pehealth.crypto.elgamal import KeyPair, keygen
from pehealth.crypto.groups import Group, ToyGroup
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.crypto.triples import Bytes, bit_triples_e2, deal_bit_triples
from pehealth.engines import paper, paper_codec
from pehealth.engines.paper import LayerModel, PairShare
from pehealth.experiments.compute_model import ComputeModel, Sample, fit
from pehealth.experiments.local import echo_context, finish
from pehealth.experiments.measure_masked import least
from pehealth.experiments.work import Work
from pehealth.nets.plan_literal import plan_group
from pehealth.nets.run_literal import literal_walk
from pehealth.protocols.literal import secrelu
from pehealth.protocols.tape import TripleTape

TOY_LAYERS = ((4, 2), (16, 4), (64, 8), (128, 16))
MODP_LAYERS = ((2, 1), (8, 2), (24, 4))
"""(inputs, outputs) of the dense layers that are measured."""
SHORT = Walk(3, 1000)
VALUES = (16, 256, 4096, 65536)
"""How many values are compared."""


def calibrate_literal(parameters: Parameters) -> ComputeModel:
    """Return the rates of this machine for engine `paper` with the group, walk and ring of `parameters`."""
    grp = plan_group(parameters)
    key = keygen(grp.name, Prg.insecure_seed(1))
    samples = [*_ends(grp, key, parameters.ring), *_comparisons(parameters), *_triples()]
    for inputs, outputs in TOY_LAYERS if isinstance(grp, ToyGroup) else MODP_LAYERS:
        layer = LinearMap.dense(inputs, outputs)
        samples += [_linear(grp, key, layer, walk) for walk in (SHORT, literal_walk(parameters))]
    return fit(samples)


def _linear(grp: Group, key: KeyPair, layer: LinearMap, walk: Walk) -> Sample:
    rng = Prg.insecure_seed(2)
    keybits = isinstance(grp, ToyGroup)
    rows = 1 + grp.key_bits if keybits else 1
    shape = (rows, *layer.weight_shape, 2)
    bias = grp.exponents(np.zeros(layer.out_channels, np.int64))
    model = LayerModel(grp.name, grp.random(rng, int(np.prod(shape))).reshape(shape), bias, bias if keybits else None)
    pair = _shared(key, layer.inputs)
    run = partial(paper.linear, layer, model, pair, walk, rng, ("measure",), Party.E2)
    seconds, (_, ops) = least(run)
    return Work("linear", {"once": 1, **dataclasses.asdict(ops)}), seconds


def _shared(key: KeyPair, count: int) -> PairShare:
    return paper.share_inputs(np.arange(count, dtype=np.int64).reshape(1, -1), key, Prg.insecure_seed(3))[1]


def _comparisons(parameters: Parameters) -> Iterator[Sample]:
    ring = parameters.ring
    for count in VALUES:
        seconds, _ = least(partial(_relu, parameters, count))
        yield Work("comparison", {"once": ring, "bits": count * ring}), seconds
    pooled = PairShare(np.zeros((1, 64 * 28 * 28), np.int64), None)
    seconds, _ = least(partial(paper.pool_sum, pooled, (64, 28, 28), (2, 2)))
    yield Work("meanpool", {"elements": 64 * 28 * 28}), seconds


def _relu(parameters: Parameters, count: int) -> PairShare:
    values = np.arange(count, dtype=np.int64).reshape(1, -1)
    bits = np.zeros((parameters.ring - 1) * count, np.uint8)
    return finish(secrelu(echo_context(parameters), PairShare(values, values), TripleTape(bits, bits, bits)))


def _triples() -> Iterator[Sample]:
    """The dealer makes shares of c; a server expands its own and unpacks them. One kind: the greater counts."""
    size = 2**17
    first, second = Prg.insecure_seed(4), Prg.insecure_seed(5)
    dealing, c2 = least(partial(deal_bit_triples, (size,), first, second))
    loading, _ = least(partial(_load_triples, second, c2))
    yield Work("triples", {"bits": 8 * size}), max(dealing, loading)


def _load_triples(seed: Prg, c2: Bytes) -> None:
    triples = bit_triples_e2(c2.shape, seed, c2)
    for part in (triples.a, triples.b, triples.c):
        np.unpackbits(part)


def _ends(grp: Group, key: KeyPair, ring: int) -> Iterator[Sample]:
    """What the sensors, the first layer, the output and the centre do."""
    count = 4096 if isinstance(grp, ToyGroup) else 256
    sharing, half = least(partial(_shared, key, count))
    packing, payload = least(partial(paper_codec.pack_pair, grp, half))
    unpacking, _ = least(partial(paper_codec.unpack_pair, grp, payload, half.shape))
    words = Prg.insecure_seed(6).ring(count, ring)
    sending, sent = least(partial(pack, words, ring))
    collecting, _ = least(partial(unpack, sent, words.shape, ring))
    amounts = {"words": float(count)}
    yield Work("upload", amounts), sharing + 2 * packing
    yield Work("input", amounts), unpacking
    yield Work("output", amounts), sending
    yield Work("collect", amounts), collecting
