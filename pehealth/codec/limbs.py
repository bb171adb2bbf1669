"""Group elements and long signed integers as arrays of words, to go into a record beside short ones.

An element of an RFC 3526 group is a whole number of 64-bit words; a signed integer is a fixed number of octets in
two's complement, a word each in memory and 8 bits each in a record.
"""

from __future__ import annotations

import numpy as np

from pehealth.codec.groups import integer_bytes, pack_elements, pack_integers, unpack_elements, unpack_integers
from pehealth.codec.packing import Field, Words
from pehealth.crypto.groups import Elements, ModpGroup
from pehealth.crypto.linear import Ints

_WORD_BYTES = 8


def element_field(name: str, group: ModpGroup, shape: tuple[int, ...]) -> Field:
    """Return the field of elements of this shape."""
    return Field(name, (*shape, group.element_bytes // _WORD_BYTES), 8 * _WORD_BYTES)


def integer_field(name: str, shape: tuple[int, ...], bits: int) -> Field:
    """Return the field of signed integers below 2^bits in size."""
    return Field(name, (*shape, integer_bytes(bits)), 8)


def pack_limbs(group: ModpGroup, elements: Elements) -> Words:
    """Return elements (any shape) as words (..., words an element)."""
    words = np.frombuffer(pack_elements(group, elements), "<u8").astype(np.uint64)
    return words.reshape(*elements.shape, group.element_bytes // _WORD_BYTES)


def unpack_limbs(group: ModpGroup, words: Words) -> Elements:
    """Return the elements behind words (..., words an element).

    Raises:
        PeerProtocolError: a value is not in [1, p).
    """
    return unpack_elements(group, np.ascontiguousarray(words, "<u8").tobytes(), words.shape[:-1])


def pack_octets(values: Ints, bits: int) -> Words:
    """Return signed integers below 2^bits in size (any shape) as octets (..., octets an integer).

    Raises:
        RangeError: a value does not fit.
    """
    width = integer_bytes(bits)
    octets = np.frombuffer(pack_integers(values, width), np.uint8).astype(np.uint64)
    return octets.reshape(*values.shape, width)


def unpack_octets(words: Words) -> Ints:
    """Return the signed integers behind octets (..., octets an integer), as an object array."""
    width = words.shape[-1]
    return unpack_integers(words.astype(np.uint8).tobytes(), words.shape[:-1], width).astype(object)
