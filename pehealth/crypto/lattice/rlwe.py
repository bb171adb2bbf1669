"""HC's and the dealer's half of `rlwe`: encryption of a layer's weights, and shares of R and R s mod q.

Symmetric ring-LWE encryption [LPR10]: a ciphertext of m in R_q is (a, b = a s + e + m), a uniform, s ternary, e
centred binomial. Both servers get the same (a, b); from additive shares of R and R s each computes its share of
b R - a (R s) = (m + e) R alone, homomorphic secret sharing in the manner of [BKS19].

The coefficients x^(g-1) y^t of a product are, at the points of Z_q[y]/(y^n + 1), sums over the g points of x above
each: with P the values of the product at psi^(2i+1) and D_i = psi^(-(2i+1)(g-1)) / g, value i0 of them is the sum
of D_i P_i over i = i0 mod n. So a is published as alpha = -D a, in the order in which a server adds, straight
from a seed (D_i is a unit: alpha is uniform exactly if a is), and R s is dealt as values in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pehealth.crypto.lattice.ntt import DIRECT, transform
from pehealth.crypto.lattice.packing import Index, Packing
from pehealth.crypto.lattice.parameters import LatticeParameters
from pehealth.crypto.lattice.residues import Words, reduce, residues, subtract, uniform
from pehealth.crypto.lattice.rounding import encode
from pehealth.crypto.prg import Prg


def points_first(size: int) -> bool:
    """True if the order of values is [point of y, point of x]: sums run along memory when y has few points."""
    return size <= DIRECT


@dataclass(frozen=True, repr=False, eq=False)
class Order:
    """The server's order of the N values of a polynomial.

    Attributes:
        positions: (N,) where each is in the order of the full transform.
        scale: (primes, N) D_i, in the server's order.
    """

    positions: Index
    scale: Words


@lru_cache(maxsize=32)
def server_order(parameters: LatticeParameters, size: int) -> Order:
    """Return the order of values for components of `size` coefficients."""
    step = parameters.degree // size
    small, full = transform(parameters, size), transform(parameters, parameters.degree)
    where = np.empty(parameters.degree, np.intp)
    where[full.points] = np.arange(parameters.degree)
    index = small.points[:, None] + size * np.arange(step)[None, :]
    index = (index if points_first(size) else index.T).reshape(-1)
    exponents = -(2 * index + 1) * (step - 1) % (2 * parameters.degree)
    scale = []
    for p, root in zip(parameters.primes, parameters.roots, strict=True):
        powers = np.array([pow(root, e, p) for e in range(2 * parameters.degree)], np.uint64)
        scale.append(powers[exponents] * np.uint64(pow(step, -1, p)) % np.uint64(p))
    return Order(where[index], np.stack(scale))


def keygen(parameters: LatticeParameters, rng: Prg) -> NDArray[np.int64]:
    """HC: return the key s, N uniform values of {-1, 0, 1}."""
    return rng.ternary(parameters.degree)


def key_values(parameters: LatticeParameters, key: NDArray[np.int64]) -> Words:
    """Return the values (primes, N) of the key, in the order of the full transform."""
    return transform(parameters, parameters.degree).forward(residues(key, parameters.primes)[:, None])[:, 0]


def published(parameters: LatticeParameters, packing: Packing, seed: bytes) -> Words:
    """Return alpha (primes, ciphertexts, groups, N), the common half of all ciphertexts, from a public seed."""
    return uniform(Prg(seed), (packing.ciphertexts, packing.groups, packing.degree), parameters.primes)


def encrypt(
    parameters: LatticeParameters,
    packing: Packing,
    weights: NDArray[np.int64],
    ring: int,
    key: NDArray[np.int64],
    rng: Prg,
) -> tuple[bytes, Words]:
    """HC: encrypt a layer's weights; return the seed of alpha and the components of b that a server needs.

    Shapes:  weights (out_channels, fan_in) -> b (primes, ciphertexts, groups, used, n), coefficients; component c is
             that of x^(g-1-c), which meets component c of the mask
    """
    seed, primes = rng.key(), parameters.primes
    order = server_order(parameters, packing.size)
    alpha = published(parameters, packing, seed)
    unscale = np.stack([_inverses(row, p) for row, p in zip(order.scale, primes, strict=True)])
    a = np.empty_like(alpha)
    a[..., order.positions] = reduce(alpha * unscale[:, None, None], primes)
    a = subtract(np.zeros_like(a), a, primes)
    product = reduce(a * key_values(parameters, key)[:, None, None], primes)
    b = transform(parameters, parameters.degree).inverse(product)
    b += residues(rng.binomial(b.shape[1:], parameters.eta), primes)
    b += _messages(parameters, packing, weights, ring)
    components = reduce(b, primes).reshape(*b.shape[:-1], packing.size, packing.step)[..., ::-1]
    return seed, np.ascontiguousarray(components[..., : packing.used].swapaxes(-1, -2))


def _messages(parameters: LatticeParameters, packing: Packing, weights: NDArray[np.int64], ring: int) -> Words:
    """Return round(q w / 2^k) in place: (primes, ciphertexts, groups, N), zero elsewhere."""
    shape = packing.ciphertexts, packing.groups, packing.degree
    out = np.zeros((len(parameters.primes), int(np.prod(shape))), np.uint64)
    out[:, packing.weight_index] = encode(weights, ring, parameters)
    return out.reshape(-1, *shape)


def _inverses(values: Words, p: int) -> Words:
    """Return the inverses modulo p by Fermat: p - 2 squarings and products on the whole array."""
    out, power, exponent = np.ones_like(values), values.copy(), p - 2
    while exponent:
        if exponent & 1:
            out = out * power % np.uint64(p)
        power = power * power % np.uint64(p)
        exponent >>= 1
    return out


@dataclass(frozen=True, repr=False, eq=False)
class MaskShare:
    """One server's additive shares mod q: of R and of R s.

    Attributes:
        mask: (primes, batch, inputs) share of the centred R.
        product: (primes, batch, polynomials, N) share of the values of R s, in the server's order.
    """

    mask: Words
    product: Words

    def __repr__(self) -> str:
        return f"<MaskShare of {self.mask.shape[1]} samples>"

    def part(self, samples: slice) -> MaskShare:
        """Return some samples' share, not copied."""
        return MaskShare(self.mask[:, samples], self.product[:, samples])


def expand_share(parameters: LatticeParameters, packing: Packing, batch: int, seed1: Prg) -> MaskShare:
    """E1, and the dealer: return E1's share, uniform."""
    return MaskShare(
        uniform(seed1.child("mask mod q"), (batch, packing.layer.inputs), parameters.primes),
        uniform(seed1.child("mask times key"), (batch, packing.polynomials, packing.degree), parameters.primes),
    )


def deal_share(
    parameters: LatticeParameters, packing: Packing, mask: NDArray[np.int64], key: Words, first: MaskShare
) -> MaskShare:
    """Dealer: return E2's share, given E1's.

    Shapes:  mask (batch, inputs) centred R; key (primes, N) values of s in the server's order
    """
    primes = parameters.primes
    exact = residues(mask, primes)
    padded = np.zeros((*exact.shape[:2], exact.shape[2] + 1), np.uint64)
    padded[..., :-1] = exact
    shape = len(primes), len(mask), packing.polynomials, -1
    polynomials = padded.take(packing.input_index, axis=2).reshape(shape)
    values = transform(parameters, packing.degree).forward(polynomials)
    values = values.take(server_order(parameters, packing.size).positions, axis=-1)
    values *= key[:, None, None]
    return MaskShare(subtract(exact, first.mask, primes), subtract(reduce(values, primes), first.product, primes))
