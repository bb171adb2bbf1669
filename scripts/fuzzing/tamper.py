"""Every way in which a file can be damaged, a few of each: for tests of what its reader then says."""

from __future__ import annotations

from collections.abc import Iterator

PAGE = 4096
"""Bytes of a page of SQLite, and of most disks."""


def flips(data: bytes, stride: int, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield the data with one bit changed, at every `stride`-th byte; all eight bits have their turn."""
    for number, at in enumerate(range(start, len(data), stride)):
        changed = bytearray(data)
        changed[at] ^= 1 << number % 8
        yield f"bit {number % 8} of byte {at}", bytes(changed)


def cuts(data: bytes, count: int = 8) -> Iterator[tuple[str, bytes]]:
    """Yield the data cut at some places, at its last byte among them, and with something behind its end."""
    places = {len(data) * part // count for part in range(count)} | {len(data) - 1}
    for at in sorted(places):
        yield f"cut at {at}", data[:at]
    yield "a byte more", data + b"\0"
    yield "a page more", data + bytes(PAGE)


def pages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the data with a page zeroed, with a page of noise, and with two pages in each other's place."""
    count = len(data) // PAGE
    for number in range(count):
        first, last = data[: number * PAGE], data[(number + 1) * PAGE :]
        yield f"page {number} zeroed", first + bytes(PAGE) + last
        yield f"page {number} of ones", first + b"\xff" * PAGE + last
        if number + 1 < count:
            mine, next_one = data[number * PAGE :][:PAGE], last[:PAGE]
            yield f"pages {number} and {number + 1} in each other's place", first + next_one + mine + last[PAGE:]
