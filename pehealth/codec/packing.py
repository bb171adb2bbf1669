"""Ring elements and bits packed without a wasted bit, and fixed layouts of several arrays.

Packed order is little endian, element after element; the last byte is padded with zero bits, and a reader
refuses anything else. Widths that are whole bytes take a fast path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pehealth.errors import PeerProtocolError

Words = NDArray[np.uint64]


def packed_size(count: int, bits: int) -> int:
    """Return the bytes that `count` elements of `bits` bits take."""
    return (count * bits + 7) // 8


def pack(words: NDArray[np.unsignedinteger], bits: int) -> bytes:
    """Return the elements of `words` (any shape, each below 2^bits, bits <= 64) packed."""
    flat = np.ascontiguousarray(words, dtype="<u8").reshape(-1)
    raw = flat.view(np.uint8).reshape(-1, 8)
    if bits % 8 == 0:
        return raw[:, : bits // 8].tobytes()
    if bits == 1:
        return np.packbits(flat.astype(np.uint8), bitorder="little").tobytes()
    planes = np.unpackbits(raw, axis=1, count=bits, bitorder="little")
    return np.packbits(planes, bitorder="little").tobytes()


def unpack(data: bytes | memoryview, shape: tuple[int, ...], bits: int) -> Words:
    """Return the array of `shape` packed in `data`.

    Raises:
        PeerProtocolError: the length is not exactly right, or a padding bit is set.
    """
    count = math.prod(shape)
    if len(data) != packed_size(count, bits):
        raise PeerProtocolError(
            f"{count} elements of {bits} bits take {packed_size(count, bits)} bytes; {len(data)} came"
        )
    raw = np.frombuffer(data, np.uint8)
    if bits % 8 == 0:
        return _unpack_bytes(raw, count, bits // 8).reshape(shape)
    stream = np.unpackbits(raw, bitorder="little")
    if stream[count * bits :].any():
        raise PeerProtocolError("padding bits after the last element are set")
    if bits == 1:
        return stream[:count].astype(np.uint64).reshape(shape)
    planes = stream[: count * bits].reshape(count, bits)
    return _unpack_bytes(np.packbits(planes, axis=1, bitorder="little"), count, (bits + 7) // 8).reshape(shape)


def _unpack_bytes(raw: NDArray[np.uint8], count: int, width: int) -> Words:
    """Return `count` little-endian integers of `width` bytes: overlapping eight-byte reads, then a mask."""
    padded = np.zeros(count * width + 8, np.uint8)
    padded[: count * width] = raw.reshape(-1)
    words: Words = np.ndarray((count,), "<u8", padded, strides=(width,)) & np.uint64(2 ** (8 * width) - 1)
    return words


@dataclass(frozen=True)
class Field:
    """One array of a layout: its name, shape and bits an element."""

    name: str
    shape: tuple[int, ...]
    bits: int

    @property
    def size(self) -> int:
        """Packed bytes."""
        return packed_size(math.prod(self.shape), self.bits)


@dataclass(frozen=True)
class Layout:
    """Several packed arrays in a fixed order: a record whose size is known beforehand."""

    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        """Bytes of the record."""
        return sum(f.size for f in self.fields)

    def pack(self, arrays: Mapping[str, Words]) -> bytes:
        """Return the record; the arrays must have the layout's names and shapes."""
        for f in self.fields:
            if arrays[f.name].shape != f.shape:
                raise ValueError(f"{f.name} has shape {arrays[f.name].shape}, the layout {f.shape}")
        return b"".join(pack(arrays[f.name], f.bits) for f in self.fields)

    def unpack(self, record: bytes | memoryview) -> dict[str, Words]:
        """Return the arrays of a record.

        Raises:
            PeerProtocolError: the record's length is not `size`, or padding is set.
        """
        if len(record) != self.size:
            raise PeerProtocolError(f"a record of {self.size} bytes was expected, {len(record)} came")
        view, at, out = memoryview(record), 0, {}
        for f in self.fields:
            out[f.name] = unpack(view[at : at + f.size], f.shape, f.bits)
            at += f.size
        return out
