"""Ciphertexts decrypt to message plus small error, and both servers' halves are uniform."""

from __future__ import annotations

import numpy as np
import pytest

from pehealth.crypto.lattice.evaluate import load, multiply
from pehealth.crypto.lattice.ntt import transform
from pehealth.crypto.lattice.packing import Packing, pack_layer
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


def public_polynomial(packing: Packing, seed: bytes) -> Words:
    """Return the values of a in the order of the full transform, from alpha = -D a in the server's order."""
    order = server_order(TOY, packing.size)
    inverse = np.array([[pow(int(d), -1, p) for d in row] for row, p in zip(order.scale, TOY.primes, strict=True)])
    alpha = published(TOY, packing, seed)
    out = np.empty_like(alpha)
    out[..., order.positions] = reduce(alpha * inverse.astype(np.uint64)[:, None, None], TOY.primes)
    return subtract(np.zeros_like(out), out, TOY.primes)


def coefficients(values: Words) -> np.ndarray:
    """Return polynomials of R_q, given by their values, as Python integers."""
    return compose(transform(TOY, TOY.degree).inverse(values), TOY.primes)


def textbook(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a * b in Z[x]/(x^N + 1), by the definition."""
    full = np.append(np.convolve(a, b), [0])
    return full[: TOY.degree] - full[TOY.degree :]


FULL_LAYERS = pytest.mark.parametrize(
    "layer", [LinearMap.dense(64, 12), LinearMap((4, 9, 9), 3, (3, 3))], ids=("dense", "conv")
)
"""Layers that use all components of their polynomials, so that b is complete."""


@FULL_LAYERS
def test_a_servers_half_is_a_rounded_coefficient_of_b_mask_minus_a_product(layer: LinearMap) -> None:
    """The formula of [BKS19] by schoolbook products of Python integers; one group, one tile."""
    rng, seed1, ring, packing = Prg.insecure_seed(3), Prg.insecure_seed(4), 40, pack_layer(layer, TOY.degree)
    assert (packing.used, packing.groups) == (packing.step, 1)
    key = keygen(TOY, rng)
    weights = rng.ring(layer.weight_shape, 15).astype(np.int64) - (1 << 14)
    seed, parts = encrypt(TOY, packing, weights, ring, key, rng)
    a = coefficients(public_polynomial(packing, seed))[:, 0]
    b = compose(parts.swapaxes(-1, -2)[..., ::-1].reshape(len(TOY.primes), -1, TOY.degree), TOY.primes)
    ciphertexts, order = load(TOY, packing, seed, parts), server_order(TOY, packing.size).positions
    mask = rng.words64((1, layer.inputs)).view(np.int64) >> np.int64(24)
    first = expand_share(TOY, packing, 1, seed1)
    for share in (first, deal_share(TOY, packing, mask, key_values(TOY, key)[:, order], first)):
        values = np.empty_like(share.product)
        values[..., order] = share.product
        results = []
        for tile, product in enumerate(coefficients(values)[0]):
            half = np.append(compose(share.mask, TOY.primes)[0], 0)[packing.input_index[tile, 0]]
            half = np.append(half, [0] * (TOY.degree - len(half)))
            results += [textbook(y, half) - textbook(x, product) for x, y in zip(a, b, strict=True)]
        places = np.concatenate([r.reshape(packing.size, packing.step)[:, -1] for r in results])
        wanted = places[packing.output_index] % TOY.modulus
        rounded = ((wanted << (ring + 1)) + TOY.modulus) // (2 * TOY.modulus) % (1 << ring)
        assert multiply(ciphertexts, share, ring)[0].tolist() == rounded.tolist()


@FULL_LAYERS
def test_decryption_leaves_message_plus_centred_binomial_error(layer: LinearMap) -> None:
    """b - a s - m is small."""
    rng, ring, packing = Prg.insecure_seed(3), 40, pack_layer(layer, TOY.degree)
    assert packing.used == packing.step
    key = keygen(TOY, rng)
    weights = rng.ring(layer.weight_shape, 15).astype(np.int64) - (1 << 14)
    seed, parts = encrypt(TOY, packing, weights, ring, key, rng)
    b = parts.swapaxes(-1, -2)[..., ::-1].reshape(*parts.shape[:3], TOY.degree)
    masked = reduce(public_polynomial(packing, seed) * key_values(TOY, key)[:, None, None], TOY.primes)
    plain = subtract(b, transform(TOY, TOY.degree).inverse(masked), TOY.primes)
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
    first = expand_share(parameters, packing, 16, seed1)
    for share in (first, deal_share(parameters, packing, mask, values, first)):
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
    second = deal_share(TOY, packing, mask, key_values(TOY, key)[:, order], first)
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
