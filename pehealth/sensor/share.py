"""Readings to the two messages of a query: a seed for E1, words for E2. The same bytes as `parties.masked` sends.

E1's share is a stream of AES-256 in counter mode [FIPS197, SP800-38A] under a key derived from the seed; E2's is the
readings minus that stream, mod 2^k. Each alone is uniform, whatever was read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pehealth.crypto.domain import KEY_BYTES, child_key
from pehealth.errors import ConfigError, RangeError

MAX_DIGITS = 12
MAX_RING = 64
MAX_READINGS = 1 << 20


@dataclass(frozen=True, slots=True)
class Scaling:
    """The public ranges of a sample's readings, as `pehealth.data.ranges.Ranges`, and the digits kept.

    Attributes:
        names: of the readings; a single name stands for every reading.
        low, high: the range of each: low becomes 0, high becomes 10^digits.
        saturating: names whose readings above `high` count as `high`.
        inputs: readings in a sample.
        digits: decimal digits kept.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    saturating: frozenset[str]
    inputs: int
    digits: int

    @classmethod
    def of(cls, ranges: Mapping[str, Any], inputs: int, digits: int) -> Scaling:
        """Return what the centre's description of a model says.

        Raises:
            ConfigError: it cannot be used.
        """
        try:
            names = tuple(map(str, ranges["names"]))
            low, high = tuple(map(float, ranges["low"])), tuple(map(float, ranges["high"]))
            saturating = frozenset(map(str, ranges.get("saturating", ())))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the ranges of the readings cannot be read: {error!r}") from error
        if not 0 < inputs <= MAX_READINGS or not 0 <= digits <= MAX_DIGITS:
            raise ConfigError(f"a model of {inputs} readings a sample with {digits} digits: not for a sensor")
        if len(names) not in (1, inputs) or not len(names) == len(low) == len(high):
            raise ConfigError(f"{len(names)} names, {len(low)} and {len(high)} limits for {inputs} readings a sample")
        if not all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in zip(low, high, strict=True)):
            raise ConfigError("the ranges of the readings are not finite, or are empty")
        return cls(names, low, high, saturating, inputs, digits)

    def encode(self, readings: Sequence[float]) -> list[int]:
        """Return the integers of one sample: floor(10^digits * its place between low and high), never wrapped.

        Raises:
            ConfigError: the number of readings is another.
            RangeError: a reading is not finite or outside of its range; it names the reading, never the value.
        """
        if len(readings) != self.inputs:
            raise ConfigError(f"{len(readings)} readings, {self.inputs} expected")
        return [self._encode(place, float(reading)) for place, reading in enumerate(readings)]

    def _encode(self, place: int, reading: float) -> int:
        at = place if len(self.names) > 1 else 0
        name, low, high = self.names[at], self.low[at], self.high[at]
        if name in self.saturating:
            reading = min(reading, high)
        x = (reading - low) / (high - low)
        if not 0 <= x <= 1:
            name = name if len(self.names) > 1 else f"{name} {place}"
            what = "is outside of its range" if math.isfinite(reading) else "is not a finite number"
            raise RangeError(f"{name} {what} ({low:g} to {high:g}); check the sensor's unit")
        return floor_decimal(x, self.digits)


def floor_decimal(x: float, digits: int) -> int:
    """Return the greatest n whose decimal n / 10^digits reads, as a float, no greater than x.

    The same as `pehealth.crypto.fixed.encode`.
    """
    scale = float(10**digits)
    n = math.floor(x * scale)
    if n / scale > x:
        n -= 1
    if (n + 1) / scale <= x:
        n += 1
    return n


def second_share(values: Sequence[int], ring: int, key: bytes) -> bytes:
    """Return E2's message: `values` minus the stream of E1's `key`, mod 2^ring, packed without a wasted bit.

    Args:
        values: integers of a whole batch, sample after sample.
        ring: k, at most 64.
        key: the 32 bytes that E1 is sent. Fresh for every query, from the system's generator.
    """
    if not 1 <= ring <= MAX_RING or len(key) != KEY_BYTES:
        raise ValueError(f"a ring of {ring} bits and a key of {len(key)} bytes")
    stream, mask = _stream(child_key(key, "readings"), 8 * len(values)), (1 << ring) - 1
    words = (
        value - (int.from_bytes(stream[8 * at : 8 * at + 8], "little") >> (64 - ring)) & mask
        for at, value in enumerate(values)
    )
    if ring % 8 == 0:
        return b"".join(word.to_bytes(ring // 8, "little") for word in words)
    return _packed(words, ring)


def _packed(words: Iterable[int], ring: int) -> bytes:
    """Return words of `ring` bits, little endian, one after the other."""
    out, held, bits = bytearray(), 0, 0
    for word in words:
        held |= word << bits
        bits += ring
        whole = bits // 8
        out += (held & (1 << 8 * whole) - 1).to_bytes(whole, "little")
        held >>= 8 * whole
        bits -= 8 * whole
    if bits:
        out.append(held)
    return bytes(out)


def _stream(key: bytes, size: int) -> bytes:
    # The import is late: it is most of what a sensor imports, and settings are checked without it.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(size))
