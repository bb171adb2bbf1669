"""What a fuzz target is: a function of bytes that may raise its documented errors, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Target:
    """One reader of bytes that somebody else has made.

    Attributes:
        name: as `--target` takes it.
        run: reads the bytes, and checks what comes of them; AssertionError if that is wrong.
        documented: the errors that it may raise.
        seeds: makes valid inputs, from which the fuzzer begins.
        most_bytes: longest input.
        memory: bytes that one input may take at most while it is read.
    """

    name: str
    run: Callable[[bytes], None]
    documented: tuple[type[Exception], ...]
    seeds: Callable[[], Sequence[bytes]]
    most_bytes: int = 4096
    memory: int = 64 * MIB


class Source:
    """Small choices taken from the front of an input, so that every input is a valid list of choices.

    What is asked for beyond the end is zero.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def octet(self) -> int:
        """Return the next byte as a number."""
        return self.take(1)[0]

    def below(self, bound: int) -> int:
        """Return a number below `bound`, at most 256."""
        return self.octet() % bound

    def number(self, width: int) -> int:
        """Return an unsigned number of `width` bytes, little endian."""
        return int.from_bytes(self.take(width), "little")

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken.ljust(count, b"\0")

    def rest(self) -> bytes:
        """Return all that is left."""
        left = self._data[self._at :]
        self._at = len(self._data)
        return left


def demand(holds: object, what: str) -> None:
    """Raise AssertionError unless what was read is as it must be."""
    if not holds:
        raise AssertionError(what)


@contextmanager
def without_warnings(kind: type[Warning]) -> Iterator[None]:
    """Let a library warn of old formats: a warning is a finding otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kind)
        yield


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut data into pieces of the given sizes, again and again; no sizes: one piece."""
    if not sizes:
        return [data]
    pieces, at = [], 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    return pieces
