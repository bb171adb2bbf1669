"""Pairs of shares and encrypted layers of the paper's engine as bytes; every size is known beforehand.

| | `toy32` | modp1536 | modp2048 | modp3072 |
|---|---|---|---|---|
| <x> of a reading, bytes | 4 | 15 | 15 | 15 |
| <sk*x> of a reading, bytes | 4 | 37 | 43 | 47 |
| a ciphertext, bytes | 8 | 384 | 512 | 768 |
"""

from __future__ import annotations

from pehealth.codec.groups import (
    Raw,
    elements_size,
    integer_bytes,
    pack_elements,
    pack_integers,
    unpack_elements,
    unpack_integers,
)
from pehealth.config import GroupName
from pehealth.crypto.groups import Group, ToyGroup, group
from pehealth.crypto.linear import Ints, LinearMap
from pehealth.engines.paper_model import MODP_VALUE_BITS, LayerModel, PairShare
from pehealth.errors import PeerProtocolError

_TOY_SHARE = 4
_TOY_BIAS = 8


def x_bytes(grp: Group) -> int:
    """Return the bytes of one reading's share <x>."""
    return _TOY_SHARE if isinstance(grp, ToyGroup) else integer_bytes(MODP_VALUE_BITS + grp.slack + 1)


def skx_bytes(grp: Group) -> int:
    """Return the bytes of one reading's share <sk*x>."""
    return _TOY_SHARE if isinstance(grp, ToyGroup) else integer_bytes(MODP_VALUE_BITS + grp.key_bits + grp.slack + 1)


def upload_bytes(grp: Group, readings: int) -> int:
    """Return the bytes that a sensor sends to one server."""
    return readings * (x_bytes(grp) + skx_bytes(grp))


def pack_pair(grp: Group, pair: PairShare) -> bytes:
    """Return an input's pair of shares: all of <x>, then all of <sk*x>."""
    if pair.skx is None:
        raise ValueError("an input carries <sk*x>")
    return pack_integers(pair.x, x_bytes(grp)) + pack_integers(pair.skx, skx_bytes(grp))


def unpack_pair(grp: Group, data: Raw, shape: tuple[int, ...]) -> PairShare:
    """Return the pair of shares of an input of `shape`, (batch, readings).

    Raises:
        PeerProtocolError: the length is not `upload_bytes`, or a share of `toy32` is not in [0, q).
    """
    count = 1
    for n in shape:
        count *= n
    if len(data) != upload_bytes(grp, count):
        raise PeerProtocolError(f"{count} readings take {upload_bytes(grp, count)} bytes; {len(data)} came")
    cut = count * x_bytes(grp)
    view = memoryview(data)
    x = unpack_integers(view[:cut], shape, x_bytes(grp))
    skx = unpack_integers(view[cut:], shape, skx_bytes(grp))
    if isinstance(grp, ToyGroup):
        _check_modulo(grp, x)
        _check_modulo(grp, skx)
    return PairShare(x, skx)


def _check_modulo(grp: Group, share: Ints) -> None:
    if share.size and not (int(share.min()) >= 0 and int(share.max()) < grp.q):
        raise PeerProtocolError("a share mod q must lie between 0 and q - 1; another number came")


def ciphertext_shape(layer: LinearMap, grp: Group, *, keybits: bool) -> tuple[int, int, int, int]:
    """Return (1 + l or 1, out_channels, fan_in, 2)."""
    return (1 + grp.key_bits if keybits else 1, *layer.weight_shape, 2)


def ciphertext_bytes(layer: LinearMap, grp: Group, *, keybits: bool) -> int:
    """Return the bytes of a layer's ciphertexts, the same for both servers."""
    return elements_size(grp, ciphertext_shape(layer, grp, keybits=keybits))


def bias_bytes(layer: LinearMap, grp: Group, *, keybits: bool) -> int:
    """Return the bytes of one server's shares of b and sk*b."""
    return layer.out_channels * (_bias_width(grp) + (skx_bytes(grp) if keybits else 0))


def model_bytes(layer: LinearMap, grp: Group, *, keybits: bool) -> int:
    """Return the bytes of a layer as HC sends it to one server."""
    return ciphertext_bytes(layer, grp, keybits=keybits) + bias_bytes(layer, grp, keybits=keybits)


def _bias_width(grp: Group) -> int:
    return _TOY_BIAS if isinstance(grp, ToyGroup) else x_bytes(grp)


def pack_ciphertexts(model: LayerModel) -> bytes:
    """Return a layer's ciphertexts: the part that is the same for both servers."""
    return pack_elements(group(model.group_name), model.ciphertexts)


def pack_bias(model: LayerModel) -> bytes:
    """Return one server's shares of b, then of sk*b."""
    grp = group(model.group_name)
    sk_bias = b"" if model.sk_bias is None else pack_integers(model.sk_bias, skx_bytes(grp))
    return pack_integers(model.bias, _bias_width(grp)) + sk_bias


def unpack_model(layer: LinearMap, name: GroupName, ciphertexts: Raw, bias: Raw, *, keybits: bool) -> LayerModel:
    """Return the layer that `pack_ciphertexts` and `pack_bias` were given.

    Raises:
        PeerProtocolError: a length is not exactly right, or a value is out of range.
    """
    grp = group(name)
    if len(bias) != bias_bytes(layer, grp, keybits=keybits):
        raise PeerProtocolError(
            f"the bias of a layer takes {bias_bytes(layer, grp, keybits=keybits)} bytes; {len(bias)} came"
        )
    cut, view, shape = layer.out_channels * _bias_width(grp), memoryview(bias), (layer.out_channels,)
    return LayerModel(
        name,
        unpack_elements(grp, ciphertexts, ciphertext_shape(layer, grp, keybits=keybits)),
        unpack_integers(view[:cut], shape, _bias_width(grp)),
        unpack_integers(view[cut:], shape, skx_bytes(grp)) if keybits else None,
    )
