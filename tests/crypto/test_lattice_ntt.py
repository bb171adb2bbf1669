"""The transform is evaluation at odd powers of psi, so products of values are negacyclic products."""

from __future__ import annotations

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.crypto.lattice.ntt import transform
from pehealth.crypto.lattice.parameters import N4096, N8192, PARAMETER_SETS, LatticeParameters, parameter_set
from pehealth.crypto.lattice.residues import Words, reduce, uniform
from pehealth.crypto.prg import Prg
from pehealth.errors import ConfigError

SETS = (N4096, N8192)


def negacyclic(a: Words, b: Words, p: int) -> list[int]:
    """a * b mod (y^n + 1, p), by the definition."""
    n = len(a)
    out = [0] * n
    for i, x in enumerate(a.tolist()):
        for j, y in enumerate(b.tolist()):
            out[(i + j) % n] += x * y if i + j < n else -x * y
    return [v % p for v in out]


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_product_of_values_is_the_negacyclic_product(parameters: LatticeParameters, size: int) -> None:
    ring, prg = transform(parameters, size), Prg.insecure_seed(size)
    a, b = (uniform(prg, (size,), parameters.primes) for _ in range(2))
    values = reduce(ring.forward(a[:, None]) * ring.forward(b[:, None]), parameters.primes)
    got = ring.inverse(values)[:, 0]
    for j in (0, len(parameters.primes) - 1):
        assert got[j].tolist() == negacyclic(a[j], b[j], parameters.primes[j])


@pytest.mark.parametrize("size", [4, 128, 4096])
def test_position_holds_the_value_at_the_point_it_names(size: int) -> None:
    ring = transform(N4096, size)
    a = uniform(Prg.insecure_seed(1), (1, size), N4096.primes)
    values = ring.forward(a)
    assert sorted(ring.points.tolist()) == list(range(size))
    for j, p in enumerate(N4096.primes):
        psi = pow(N4096.roots[j], 4096 // size, p)
        for position in {0, 1, size // 2, size - 1}:
            point, value = pow(psi, 2 * int(ring.points[position]) + 1, p), 0
            for c in a[j, 0, ::-1].tolist():
                value = (value * point + c) % p
            assert int(values[j, 0, position]) == value


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("size", [64, 128, 2048, 4096, 8192])
def test_full_size_goes_both_ways_at_the_edges_of_exactness(parameters: LatticeParameters, size: int) -> None:
    """All p - 1 makes every sum as large as it can be."""
    if size > parameters.degree:
        return
    ring, prg = transform(parameters, size), Prg.insecure_seed(size)
    top = np.array(parameters.primes, np.uint64)[:, None, None] - np.uint64(1)
    a = np.concatenate([np.broadcast_to(top, (*top.shape[:2], size)), uniform(prg, (3, size), parameters.primes)], 1)
    values = ring.forward(a)
    assert (values < top + np.uint64(1)).all()
    assert np.array_equal(ring.inverse(values), a)
    # all p - 1 is -sum y^i = -(y^n - 1)/(y - 1) = 2 / (y - 1), as y^n = -1
    for j, p in enumerate(parameters.primes):
        psi = pow(parameters.roots[j], parameters.degree // size, p)
        k = int(ring.points[size // 3])
        assert int(values[j, 0, size // 3]) == 2 * pow(pow(psi, 2 * k + 1, p) - 1, -1, p) % p


@settings(max_examples=30)
@given(size=st.sampled_from([1, 8, 64, 128, 512]), data=st.data())
def test_short_polynomials_and_batches_are_only_padding_and_looping(size: int, data: st.DataObject) -> None:
    given_length = data.draw(st.integers(1, size))
    batch = data.draw(st.sampled_from([(), (1,), (3,), (2, 3), (40,)]))
    ring = transform(N4096, size)
    short = uniform(Prg.insecure_seed(data.draw(st.integers(0, 99))), (*batch, given_length), N4096.primes)
    padded = np.zeros((*short.shape[:-1], size), np.uint64)
    padded[..., :given_length] = short
    kept = short.copy()
    got = ring.forward(short)
    assert got.shape == padded.shape
    assert np.array_equal(short, kept)
    assert np.array_equal(got, ring.forward(padded))
    one = ring.forward(padded.reshape(len(padded), -1, size)[:, :1])
    assert np.array_equal(got.reshape(len(padded), -1, size)[:, :1], one)
    assert np.array_equal(ring.inverse(got), padded)


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_a_parameter_set_is_what_it_says(parameters: LatticeParameters) -> None:
    limit = {4096: 106, 8192: 214}[parameters.degree]
    assert parameters.modulus.bit_length() <= parameters.bits <= limit
    assert len(set(parameters.primes)) == len(parameters.primes)
    for p, root in zip(parameters.primes, parameters.roots, strict=True):
        assert gmpy2.is_prime(p)
        assert p < 1 << 26
        assert pow(root, parameters.degree, p) == p - 1
    assert parameter_set(parameters.name) is parameters


def test_bad_parameters_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"odd.*power of two"):
        LatticeParameters("odd", 100, N4096.primes)
    with pytest.raises(ConfigError, match=r"wide.*has 26 bits"):
        LatticeParameters("wide", 4096, (134176769,))
    with pytest.raises(ConfigError, match=r"shift.*1 mod 16384"):
        LatticeParameters("shift", 8192, (67084289,))
    with pytest.raises(ConfigError, match=r"'n2048'.*" + ", ".join(PARAMETER_SETS)):
        parameter_set("n2048")


def test_a_transform_shows_no_tables() -> None:
    assert repr(transform(N4096, 4096)) == "<Transform 64x64, 4 primes>"
