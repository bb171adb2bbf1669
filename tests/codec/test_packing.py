"""Packed arrays against Python integers: the bits of all elements, end to end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.codec.packing import Field, Layout, pack, packed_size, unpack
from pehealth.errors import PeerProtocolError


def packed_by_hand(values: list[int], bits: int) -> bytes:
    whole = sum(value << bits * i for i, value in enumerate(values))
    return whole.to_bytes(packed_size(len(values), bits), "little")


@given(st.integers(1, 64), st.data())
def test_packing_is_concatenation_of_bits_and_unpacking_undoes_it(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=12))
    packed = pack(np.array(values, np.uint64), bits)
    assert packed == packed_by_hand(values, bits)
    assert unpack(packed, (len(values),), bits).tolist() == values
    assert unpack(memoryview(b"x" + packed)[1:], (len(values), 1), bits)[:, 0].tolist() == values


@pytest.mark.parametrize("bits", [1, 3, 8, 40, 42, 64])
def test_wrong_lengths_and_set_padding_are_refused(bits: int) -> None:
    packed = pack(np.zeros(3, np.uint64), bits)
    for bad in (packed[:-1], packed + b"\0"):
        with pytest.raises(PeerProtocolError, match="3 elements"):
            unpack(bad, (3,), bits)
    if 3 * bits % 8:
        with pytest.raises(PeerProtocolError, match="padding"):
            unpack(packed[:-1] + bytes([packed[-1] | 0x80]), (3,), bits)


def test_what_is_unpacked_can_be_written_to_and_leaves_its_source_alone() -> None:
    for bits in (1, 40, 42, 64):
        packed = bytes(packed_size(5, bits))
        out = unpack(packed, (5,), bits)
        out += np.uint64(1)
        assert packed == bytes(len(packed))


def test_a_layout_refuses_other_shapes_and_lengths() -> None:
    layout = Layout((Field("a", (2,), 40), Field("b", (3, 1), 1)))
    arrays = {"a": np.array([1, 2], np.uint64), "b": np.array([[1], [0], [1]], np.uint64)}
    record = layout.pack(arrays)
    assert len(record) == layout.size == 11
    back = layout.unpack(record)
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)
    with pytest.raises(PeerProtocolError, match="11 bytes"):
        layout.unpack(record + b"\0")
    with pytest.raises(ValueError, match="b has shape"):
        layout.pack({**arrays, "b": arrays["b"][:, 0]})
