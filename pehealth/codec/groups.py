"""Group elements and integer shares as bytes: fixed widths, little endian, every value checked on the way in."""

from __future__ import annotations

import math

import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from pehealth.crypto.groups import Elements, Group, ToyGroup
from pehealth.crypto.linear import Ints
from pehealth.errors import PeerProtocolError, RangeError

Raw = bytes | memoryview


def _expect(data: Raw, size: int, what: str) -> None:
    if len(data) != size:
        raise PeerProtocolError(f"{what} take {size} bytes; {len(data)} came")


def elements_size(group: Group, shape: tuple[int, ...]) -> int:
    """Return the bytes that elements of this shape take."""
    return math.prod(shape) * group.element_bytes


def pack_elements(group: Group, elements: Elements) -> bytes:
    """Return elements (any shape) one after another, `element_bytes` each."""
    if isinstance(group, ToyGroup):
        return np.ascontiguousarray(elements).astype("<u4").tobytes()
    return b"".join(int(e).to_bytes(group.element_bytes, "little") for e in elements.reshape(-1))


def unpack_elements(group: Group, data: Raw, shape: tuple[int, ...]) -> Elements:
    """Return the elements of `shape`. That they lie in [1, p) is checked, that they are squares is not.

    Raises:
        PeerProtocolError: the length is not exactly right, or a value is not in [1, p).
    """
    _expect(data, elements_size(group, shape), f"{math.prod(shape)} elements of {group.name}")
    if isinstance(group, ToyGroup):
        out: Elements = np.frombuffer(data, "<u4").astype(np.uint64)
    else:
        out = _big(data, group.element_bytes, signed=False)
    if out.size and not (out.min() > 0 and out.max() < group.p):
        raise PeerProtocolError(f"an element of {group.name} must lie between 1 and p - 1; another number came")
    return out.reshape(shape)


def _big(data: Raw, width: int, *, signed: bool) -> Elements:
    raw = bytes(data)
    out = np.empty(len(raw) // width, object)
    out[:] = [mpz(int.from_bytes(raw[i : i + width], "little", signed=signed)) for i in range(0, len(raw), width)]
    return out


def integer_bytes(bits: int) -> int:
    """Return the bytes of a signed integer of size below 2^bits."""
    return (bits + 1 + 7) // 8


def pack_integers(values: Ints, width: int) -> bytes:
    """Return signed integers (int64 or object, any shape) in two's complement, `width` bytes each.

    Raises:
        RangeError: a value does not fit.
    """
    if values.dtype != object and width <= 8:
        flat = np.ascontiguousarray(values, "<i8").reshape(-1)
        bound = 1 << (8 * width - 1)
        if flat.size and not (-bound <= int(flat.min()) and int(flat.max()) < bound):
            raise RangeError(f"an integer share does not fit {width} bytes")
        return flat.view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    try:
        return b"".join(int(v).to_bytes(width, "little", signed=True) for v in values.reshape(-1))
    except OverflowError as error:
        raise RangeError(f"an integer share does not fit {width} bytes") from error


def unpack_integers(data: Raw, shape: tuple[int, ...], width: int) -> Ints:
    """Return signed integers: int64 for width <= 8, else an object array of gmpy2 integers.

    Raises:
        PeerProtocolError: the length is not exactly right.
    """
    _expect(data, math.prod(shape) * width, f"{math.prod(shape)} integers of {width} bytes")
    if width > 8:
        return _big(data, width, signed=True).reshape(shape)
    raw = np.frombuffer(data, np.uint8).reshape(-1, width)
    out = np.zeros((len(raw), 8), np.uint8)
    out[:, 8 - width :] = raw
    words: NDArray[np.int64] = out.view("<i8").reshape(-1) >> np.int64(8 * (8 - width))
    return words.reshape(shape)
