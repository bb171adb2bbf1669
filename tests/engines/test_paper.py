"""The paper's linear layers give the integer oracle's values, in both halves of a pair."""

import numpy as np
import pytest

from pehealth.config import GroupName, Party
from pehealth.crypto.ddlog import Walk
from pehealth.crypto.elgamal import keygen
from pehealth.crypto.groups import group
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines import paper

LAYERS = {
    "dense": LinearMap.dense(12, 3),
    "conv1d": LinearMap((2, 1, 9), 3, (1, 3), (1, 2), (0, 1)),
    "conv2d": LinearMap((2, 6, 5), 2, (3, 2), (2, 1), (1, 1)),
}


def signed(rng: Prg, shape: tuple[int, ...], bound: int) -> np.ndarray:
    return rng.below(shape, 2 * bound + 1).astype(np.int64) - bound


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_of_toy32_equals_the_oracle_when_walks_are_long(name: str) -> None:
    layer, rng, walk = LAYERS[name], Prg.insecure_seed(7), Walk(16, 1 << 21)
    key = keygen(GroupName.TOY32, rng)
    weights, bias = signed(rng, layer.weight_shape, 2), signed(rng, (layer.out_channels,), 50)
    x = signed(rng, (2, layer.inputs), 2)
    models = paper.encrypt(layer, weights, bias, key, rng, keybits=True)
    pairs = paper.share_inputs(x, key, rng)
    common = rng.key()
    halves = [
        paper.linear(layer, model, pair, walk, Prg(common), ("test", 1), party)
        for party, model, pair in zip((Party.E1, Party.E2), models, pairs, strict=True)
    ]
    (first, ops1), (second, ops2) = halves
    want = layer.add_bias(layer.apply(weights, x), bias)
    assert (first.x + second.x == want).all()
    assert first.skx is not None
    assert second.skx is not None
    assert ((first.skx + second.skx - want * key.secret) % group(GroupName.TOY32).q == 0).all()
    planned = paper.linear_ops(layer, key.group, walk, 2, keybits=True)
    assert (ops1.exponentiations, ops1.conversions) == (planned.exponentiations, planned.conversions)
    assert (ops2.exponentiations, ops2.conversions) == (planned.exponentiations, planned.conversions)
