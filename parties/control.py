"""Control messages between the launcher and its worker processes, as bytes; nothing here reads or writes.

A message is four bytes of length (big-endian) and a msgpack array [kind, body]. These bytes never cross a machine
and are no part of a protocol: they are not metered.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from pehealth.errors import PehealthError

MOST_BYTES = 256 * 2**20
"""A message may not be longer: a plan, a model, a trace fit many times over."""

_PREFIX = 4


class ControlError(PehealthError):
    """Bytes on a control pipe that are no control message: a fault of ours, or something printed there."""


class Kind(enum.IntEnum):
    """What a control message is."""

    MESSAGE = 0
    """Between the code of the two ends; the body is theirs."""
    ABORT = 1
    """To a worker: another party failed. Body {"origin", "reason"}."""
    FAILED = 2
    """From a worker, its last: what it failed of. Body {"error", "message", "exit_code", "distance", "at"}."""


@dataclass(frozen=True, slots=True)
class Message:
    """One control message: a map with string keys, of what msgpack knows (bool, int, float, str, bytes, list, map)."""

    kind: Kind
    body: Mapping[str, Any] = field(repr=False)


def encode(message: Message, most: int = MOST_BYTES) -> bytes:
    """Return the message with its length before it.

    Raises:
        ControlError: it is longer than `most` bytes, or its body holds what msgpack does not know.
    """
    try:
        packed: bytes = msgpack.packb([int(message.kind), dict(message.body)])
    except (TypeError, ValueError, OverflowError) as error:
        raise ControlError(f"a control message cannot be packed: {error}") from error
    if len(packed) > most:
        raise ControlError(f"a control message of {len(packed)} bytes; at most {most} are allowed")
    return len(packed).to_bytes(_PREFIX, "big") + packed


class Decoder:
    """Bytes in, messages out, whatever way the bytes were cut."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> Iterator[Message]:
        """Yield each message that `data` completes.

        Raises:
            ControlError: the bytes are no control message; the decoder is of no more use.
        """
        self._buffer += data
        while len(self._buffer) >= _PREFIX:
            length = int.from_bytes(self._buffer[:_PREFIX], "big")
            if length > self._most:
                start = bytes(self._buffer[:40])
                raise ControlError(f"no control message starts with {start!r}: was something printed to stdout?")
            if len(self._buffer) < _PREFIX + length:
                return
            packed = bytes(self._buffer[_PREFIX : _PREFIX + length])
            del self._buffer[: _PREFIX + length]
            yield _decode(packed)

    def end(self) -> None:
        """Say that no more bytes will come.

        Raises:
            ControlError: a message was cut.
        """
        if self._buffer:
            raise ControlError(f"a control message was cut after {len(self._buffer)} bytes")


def _decode(packed: bytes) -> Message:
    try:
        kind, body = msgpack.unpackb(packed, strict_map_key=False)
        return Message(Kind(kind), {**body})
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ControlError(f"a control message cannot be unpacked: {error}") from error
