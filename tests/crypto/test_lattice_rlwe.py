"""Ciphertexts decrypt to message plus small error, and both servers' halves are uniform."""

from __future__ import annotations

import numpy as np
import pytest

from pehealth.crypto.lattice.ntt import transform
from pehealth.crypto.lattice.packing import pack_layer
from pehealth.crypto.lattice.parameters import N4096, N8192, LatticeParameters
from pehealth.crypto.lattice.residues import Words, compose, reduce, subtract
from pehealth.crypto.lattice.rlwe import (
    deal_share,
    encrypt,
    expand_share,
    key_values,
    keygen,
    published,
    server_order,
)
from pehealth.crypto.lattice.rounding import encode
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg

TOY = LatticeParameters("toy", 256, N4096.primes)


def uniform_mod_primes(res: Words, parameters: LatticeParameters) -> None:
    """Chi-square over 256 equal parts of [0, p), each prime: below mean plus six deviations."""
    for row, p in zip(res.reshape(len(res), -1), parameters.primes, strict=True):
        assert row.max() < p
        counts = np.bincount((row * np.uint64(256) // np.uint64(p)).astype(int), minlength=256)
        assert ((counts - row.size / 256) ** 2 / (row.size / 256)).sum() < 400


@pytest.mark.parametrize("layer", [LinearMap.dense(64, 12), LinearMap((4, 9, 9), 3, (3, 3))], ids=("dense", "conv"))
def test_decryption_leaves_message_plus_centred_binomial_error(layer: LinearMap) -> None:
    """All components of both layers are in use, so b is complete and b - a s can be formed."""
    rng, ring, packing = Prg.insecure_seed(3), 40, pack_layer(layer, TOY.degree)
    assert packing.used == packing.step
    key = keygen(TOY, rng)
    weights = rng.ring(layer.weight_shape, 15).astype(np.int64) - (1 << 14)
    seed, parts = encrypt(TOY, packing, weights, ring, key, rng)
    b = parts.swapaxes(-1, -2)[..., ::-1].reshape(*parts.shape[:3], TOY.degree)
    order = server_order(TOY, packing.size)
    inverse = np.array([[pow(int(d), -1, p) for d in row] for row, p in zip(order.scale, TOY.primes, strict=True)])
    alpha = published(TOY, packing, seed)
    minus_a = np.empty_like(alpha)
    minus_a[..., order.positions] = reduce(alpha * inverse.astype(np.uint64)[:, None, None], TOY.primes)
    full = transform(TOY, TOY.degree)
    plain = full.inverse(
        reduce(full.forward(b) + reduce(minus_a * key_values(TOY, key)[:, None, None], TOY.primes), TOY.primes)
    )
    message = np.zeros((len(plain), plain[0].size), np.uint64)
    message[:, packing.weight_index] = encode(weights, ring, TOY)
    error = compose(subtract(plain, message.reshape(plain.shape), TOY.primes), TOY.primes)
    error = np.where(error > TOY.modulus // 2, error - TOY.modulus, error).astype(np.int64)
    assert abs(error).max() <= TOY.eta
    # variance eta/2 = 10.5, its estimate's deviation about 10.5 sqrt(2/size)
    assert error.var() == pytest.approx(10.5, abs=6 * 10.5 * np.sqrt(2 / error.size))
    assert abs(error.mean()) < 6 * np.sqrt(10.5 / error.size)


def test_key_is_ternary_and_its_values_are_evaluations() -> None:
    key = keygen(N4096, Prg.insecure_seed(1))
    counts = [int((key == v).sum()) for v in (-1, 0, 1)]
    assert sum(counts) == 4096
    assert all(abs(c - 4096 / 3) < 6 * np.sqrt(4096 * 2 / 9) for c in counts)
    values, points = key_values(N4096, key), transform(N4096, 4096).points
    for j, p in enumerate(N4096.primes):
        point = pow(N4096.roots[j], 2 * int(points[77]) + 1, p)
        assert int(values[j, 77]) == sum(int(c) * pow(point, i, p) for i, c in enumerate(key)) % p


@pytest.mark.parametrize("parameters", [N4096, N8192], ids=lambda p: p.name)
def test_what_a_server_holds_is_uniform(parameters: LatticeParameters) -> None:
    """With weights and mask all zero: nothing but the randomness is left to see."""
    layer, rng, seed1 = LinearMap.dense(2000, 8), Prg.insecure_seed(5), Prg.insecure_seed(6)
    packing, key = pack_layer(layer, parameters.degree), keygen(parameters, rng)
    seed, b = encrypt(parameters, packing, np.zeros(layer.weight_shape, np.int64), 40, key, rng)
    uniform_mod_primes(b, parameters)
    uniform_mod_primes(published(parameters, packing, seed), parameters)
    values = key_values(parameters, key)[:, server_order(parameters, packing.size).positions]
    mask = np.zeros((16, layer.inputs), np.int64)
    for share in (expand_share(parameters, packing, 16, seed1), deal_share(parameters, packing, mask, values, seed1)):
        uniform_mod_primes(share.mask, parameters)
        uniform_mod_primes(share.product, parameters)


def test_two_encryptions_of_the_same_weights_have_nothing_in_common() -> None:
    layer, rng = LinearMap.dense(64, 12), Prg.insecure_seed(3)
    packing, key = pack_layer(layer, TOY.degree), keygen(TOY, rng)
    weights = np.ones(layer.weight_shape, np.int64)
    (seed1, b1), (seed2, b2) = (encrypt(TOY, packing, weights, 40, key, rng) for _ in range(2))
    assert seed1 != seed2
    assert (b1 == b2).mean() < 1e-3


def test_shares_add_up_to_mask_and_mask_times_key() -> None:
    layer, rng, seed1 = LinearMap((2, 6, 6), 3, (3, 3)), Prg.insecure_seed(3), Prg.insecure_seed(4)
    packing, key = pack_layer(layer, TOY.degree), keygen(TOY, rng)
    order = server_order(TOY, packing.size).positions
    mask = rng.words64((2, layer.inputs)).view(np.int64) >> np.int64(24)
    first = expand_share(TOY, packing, 2, seed1)
    second = deal_share(TOY, packing, mask, key_values(TOY, key)[:, order], seed1)
    total = reduce(first.mask + second.mask, TOY.primes)
    assert compose(total, TOY.primes).tolist() == [[int(v) % TOY.modulus for v in row] for row in mask]
    values = np.empty_like(first.product)
    values[..., order] = reduce(first.product + second.product, TOY.primes)
    product = compose(transform(TOY, TOY.degree).inverse(values), TOY.primes)
    padded = np.append(mask, np.zeros((2, 1), np.int64), axis=1)
    for sample in range(2):
        coefficients = padded[sample][packing.input_index[0, 0]].astype(object)
        full = np.append(np.convolve(coefficients, key.astype(object)), [0] * TOY.degree)
        want = (full[: TOY.degree] - full[TOY.degree : 2 * TOY.degree]) % TOY.modulus
        assert product[sample, 0].tolist() == want.tolist()
