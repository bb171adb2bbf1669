"""Bytes of elements, shares, pairs and models: vectors, exact sizes, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from pehealth.codec.groups import (
    integer_bytes,
    pack_elements,
    pack_integers,
    unpack_elements,
    unpack_integers,
)
from pehealth.config import GroupName
from pehealth.crypto.elgamal import keygen
from pehealth.crypto.groups import group
from pehealth.crypto.linear import LinearMap
from pehealth.crypto.prg import Prg
from pehealth.engines import paper, paper_codec
from pehealth.engines.paper import PairShare
from pehealth.errors import PeerProtocolError, RangeError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "paper_codec.json").read_text())


def ints(values: list[str], width: int) -> np.ndarray:
    out = np.empty(len(values), np.int64 if width <= 8 else object)
    out[:] = [int(v) for v in values]
    return out


def read(vector: dict, count: int) -> np.ndarray | PairShare:
    data = bytes.fromhex(vector["hex"])
    if vector["kind"] == "integers":
        return unpack_integers(data, (count,), vector["width"])
    grp = group(GroupName(vector["group"]))
    if vector["kind"] == "elements":
        return unpack_elements(grp, data, (count,))
    return paper_codec.unpack_pair(grp, data, (1, count))


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda v: f"{v['kind']} {v.get('group', v.get('width'))}")
def test_good_vectors_are_read_and_written_alike(vector: dict) -> None:
    data = bytes.fromhex(vector["hex"])
    if vector["kind"] == "pair":
        grp = group(GroupName(vector["group"]))
        pair = read(vector, len(vector["x"]))
        assert isinstance(pair, PairShare)
        assert pair.x.tolist() == [[int(v) for v in vector["x"]]]
        assert pair.skx is not None
        assert pair.skx.tolist() == [[int(v) for v in vector["skx"]]]
        assert len(data) == paper_codec.upload_bytes(grp, len(vector["x"]))
        assert paper_codec.pack_pair(grp, pair) == data
        return
    got = read(vector, len(vector["values"]))
    assert isinstance(got, np.ndarray)
    assert got.tolist() == [int(v) for v in vector["values"]]
    if vector["kind"] == "elements":
        assert pack_elements(group(GroupName(vector["group"])), got) == data
    else:
        assert pack_integers(ints(vector["values"], vector["width"]), vector["width"]) == data


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda v: f"{v['kind']} {v['says']}")
def test_bad_vectors_are_refused_and_the_message_says_why(vector: dict) -> None:
    with pytest.raises(PeerProtocolError, match=vector["says"]):
        read(vector, vector["count"])


def test_shares_that_do_not_fit_are_not_cut() -> None:
    for width, value in ((4, 2**31), (4, -(2**31) - 1), (15, 2**119)):
        with pytest.raises(RangeError, match="does not fit"):
            pack_integers(ints([str(value)], width), width)


def test_sign_takes_its_bit() -> None:
    assert [integer_bytes(b) for b in (7, 8, 15, 113)] == [1, 2, 2, 15]


@pytest.mark.parametrize("name", [GroupName.TOY32, GroupName.MODP1536])
@pytest.mark.parametrize("keybits", [True, False])
def test_a_model_comes_back_from_exactly_the_bytes_that_were_foretold(name: GroupName, keybits: bool) -> None:
    rng, layer = Prg.insecure_seed(1), LinearMap((1, 1, 4), 2, (1, 2))
    key = keygen(name, rng)
    grp = key.group
    weights, bias = np.array([[1, -2], [3, 4]]), np.array([paper.max_value(grp), -paper.max_value(grp)])
    models = paper.encrypt(layer, weights, bias, key, rng, keybits=keybits)
    sealed = paper_codec.pack_ciphertexts(models[0])
    assert sealed == paper_codec.pack_ciphertexts(models[1])
    for model in models:
        shares = paper_codec.pack_bias(model)
        assert len(sealed) == paper_codec.ciphertext_bytes(layer, grp, keybits=keybits)
        assert len(shares) == paper_codec.bias_bytes(layer, grp, keybits=keybits)
        assert len(sealed) + len(shares) == paper_codec.model_bytes(layer, grp, keybits=keybits)
        back = paper_codec.unpack_model(layer, name, sealed, shares, keybits=keybits)
        assert (back.ciphertexts == model.ciphertexts).all()
        assert (back.bias == model.bias).all()
        assert back.keybits is keybits
        if model.sk_bias is not None:
            assert (back.sk_bias == model.sk_bias).all()
        with pytest.raises(PeerProtocolError, match="the bias of a layer takes"):
            paper_codec.unpack_model(layer, name, sealed, shares + b"\0", keybits=keybits)
        with pytest.raises(PeerProtocolError, match="elements of"):
            paper_codec.unpack_model(layer, name, sealed[:-1], shares, keybits=keybits)


def test_sizes_are_those_that_the_papers_tables_imply() -> None:
    """8 bytes a pixel up and 8 a ciphertext at 32 bits; 1 + l ciphertexts a weight (Protocol 1)."""
    grp, layer = group(GroupName.TOY32), LinearMap.dense(980, 100)
    assert paper_codec.upload_bytes(grp, 784) == 6272
    assert paper_codec.ciphertext_bytes(layer, grp, keybits=True) == 98_000 * 32 * 8
    assert paper_codec.ciphertext_bytes(layer, grp, keybits=False) == 98_000 * 8


@pytest.mark.parametrize("name", list(GroupName))
def test_every_input_share_fits_its_field(name: GroupName) -> None:
    rng = Prg.insecure_seed(2)
    key = keygen(name, rng)
    top = paper.max_value(key.group)
    for pair in paper.share_inputs(np.array([[top, -top] * 20]), key, rng):
        data = paper_codec.pack_pair(key.group, pair)
        back = paper_codec.unpack_pair(key.group, data, (1, 40))
        assert (back.x == pair.x).all()
        assert back.skx is not None
        assert (back.skx == pair.skx).all()
