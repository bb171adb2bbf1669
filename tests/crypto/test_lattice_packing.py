"""The packing, multiplied out in plain integer polynomials, is the linear layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pehealth.crypto.lattice.packing import Packing, pack_layer
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.errors import UnsupportedLayer

CONV = LinearMap((1, 28, 28), 5, (5, 5), (2, 2), (1, 1))


@st.composite
def layers(draw: st.DrawFn) -> LinearMap:
    if draw(st.booleans()):
        return LinearMap.dense(draw(st.integers(1, 70)), draw(st.integers(1, 9)))
    channels, h, w = draw(st.integers(1, 5)), draw(st.sampled_from([1, 2, 5, 8])), draw(st.integers(1, 12))
    padding = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    kernel = tuple(draw(st.integers(1, min(5, n + 2 * p))) for n, p in zip((h, w), padding, strict=True))
    return LinearMap(
        (channels, h, w), draw(st.integers(1, 7)), kernel, draw(st.tuples(*[st.integers(1, 4)] * 2)), padding
    )


def multiply_out(packing: Packing, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Place weights and inputs, multiply in Z[x]/(x^N + 1), read the outputs."""
    degree = packing.degree
    messages = np.zeros(packing.ciphertexts * packing.groups * degree, np.int64)
    messages[packing.weight_index] = weights
    messages = messages.reshape(packing.ciphertexts, packing.groups, degree)
    padded = np.append(x, 0)
    results = np.zeros((packing.tiles, packing.ciphertexts, degree), np.int64)
    for tile in range(packing.tiles):
        for ciphertext in range(packing.ciphertexts):
            for group in range(packing.groups):
                full = np.convolve(messages[ciphertext, group], padded[packing.input_index[tile, group]])
                full = np.append(full, np.zeros(2 * degree - len(full), np.int64))
                results[tile, ciphertext] += full[:degree] - full[degree:]
    wanted = results.reshape(packing.tiles, packing.ciphertexts, packing.size, packing.step)[..., -1]
    return wanted.reshape(-1)[packing.output_index]


def check(packing: Packing, seed: int) -> None:
    prg, layer = Prg.insecure_seed(seed), packing.layer
    weights = prg.ring(layer.weight_shape, 8).astype(np.int64) - 128
    x = prg.ring(layer.inputs, 8).astype(np.int64) - 128
    assert np.array_equal(multiply_out(packing, weights, x), layer.apply(weights, x[None])[0])


@settings(max_examples=150)
@given(layer=layers(), degree=st.sampled_from([32, 64, 256]), seed=st.integers(0, 99))
def test_chosen_packing_computes_the_layer(layer: LinearMap, degree: int, seed: int) -> None:
    check(pack_layer(layer, degree), seed)


@settings(max_examples=100)
@given(layer=layers(), data=st.data(), seed=st.integers(0, 99))
def test_every_packing_that_fits_computes_the_layer(layer: LinearMap, data: st.DataObject, seed: int) -> None:
    """Also those that the search would not choose: any g, any tile."""
    _, oh, ow = layer.out_shape
    tile = data.draw(st.integers(1, oh)), data.draw(st.integers(1, ow))
    packing = Packing(layer, 128, data.draw(st.sampled_from([1, 2, 4, 8, 32, 128])), tile)
    if packing.pixels <= packing.size:
        check(packing, seed)


@given(layer=layers(), degree=st.sampled_from([32, 64, 256]))
def test_pixels_and_coefficients_hold_the_same_inputs_and_each_weight_has_its_own_place(
    layer: LinearMap, degree: int
) -> None:
    packing = pack_layer(layer, degree)
    shape = packing.tiles, packing.groups, packing.pixels, packing.step
    by_coefficient = packing.input_index.reshape(shape)[..., : packing.used]
    assert np.array_equal(by_coefficient.swapaxes(2, 3), packing.pixel_index)
    assert np.unique(packing.weight_index).size == packing.weight_index.size
    assert np.unique(packing.output_index).size == packing.layer.outputs
    for tile in packing.pixel_index:
        seen = tile[tile < layer.inputs]
        assert np.unique(seen).size == seen.size
    assert 0 <= packing.terms <= layer.inputs


def test_cryptonets_takes_one_polynomial_a_layer_and_31_ciphertexts() -> None:
    packings = [pack_layer(x, 4096) for x in (CONV, LinearMap.dense(845, 100), LinearMap.dense(100, 10))]
    assert [p.polynomials for p in packings] == [1, 1, 1]
    assert [p.ciphertexts * p.groups for p in packings] == [5, 25, 1]
    assert [p.size for p in packings] == [256, 4, 16]
    assert [p.terms for p in packings] == [784, 845, 100]


def test_stride_two_wastes_less_than_a_quarter() -> None:
    """A phase image of 15 x 15 in 256 coefficients gives 169 outputs a ciphertext: 66 % of those computed."""
    packing = pack_layer(CONV, 4096)
    assert (packing.image, packing.components) == ((15, 15), 4)
    assert packing.layer.outputs / (packing.ciphertexts * packing.size) == pytest.approx(845 / 1280)


def test_a_layer_larger_than_a_polynomial_is_cut() -> None:
    wide = pack_layer(LinearMap.dense(5000, 10), 4096)
    assert (wide.groups, wide.used, wide.polynomials) == (2, 2500, 2)
    large = pack_layer(LinearMap((3, 224, 224), 16, (7, 7), (2, 2), (3, 3)), 4096)
    assert large.tiles > 1
    assert large.pixels <= large.size


def test_a_kernel_that_fits_no_polynomial_is_refused() -> None:
    with pytest.raises(UnsupportedLayer, match=r"\(9, 9\).*64 coefficients"):
        pack_layer(LinearMap((1, 12, 12), 1, (9, 9)), 64)
