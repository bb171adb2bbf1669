"""TCP segments in IPv4 packets: their headers, and which of their bytes are new."""

from __future__ import annotations

import struct
from typing import NamedTuple

_TCP = 6
_SYN = 0x02
_WRAP = 2**32


class Segment(NamedTuple):
    """The header of a TCP segment, the bytes of its payload, and those of the whole packet."""

    source: bytes
    target: bytes
    source_port: int
    target_port: int
    sequence: int
    size: int
    syn: bool
    whole: int = 0


def parse(packet: bytes | memoryview) -> Segment | None:
    """Return the segment in an IPv4 packet, of which only the headers need be there; None if it holds none."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    start = 4 * (packet[0] & 0x0F)
    if len(packet) < start + 20:
        return None
    (length,) = struct.unpack_from(">H", packet, 2)
    source_port, target_port, sequence = struct.unpack_from(">HHI", packet, start)
    header = start + 4 * (packet[start + 12] >> 4)
    syn = bool(packet[start + 13] & _SYN)
    ends = bytes(packet[12:16]), bytes(packet[16:20])
    return Segment(*ends, source_port, target_port, sequence, length - header, syn, length)


class Stream:
    """One direction of a connection: which of its bytes were seen.

    Args:
        first: its first segment; what came before it is not counted.
    """

    def __init__(self, first: Segment) -> None:
        self._base = (first.sequence + first.syn) % _WRAP
        self._seen: list[tuple[int, int]] = [(0, 0)]

    def same_start(self, segment: Segment) -> bool:
        """Return whether a SYN belongs to this connection, and is not that of a later one on the same ports."""
        return (segment.sequence + 1) % _WRAP == self._base

    @property
    def whole(self) -> bool:
        """True if no byte is missing before the last one seen."""
        return len(self._seen) == 1

    def add(self, segment: Segment) -> int:
        """Return how many bytes of the segment are new."""
        if not segment.size:
            return 0
        begin = self._place((segment.sequence + segment.syn) % _WRAP)
        end = begin + segment.size
        first, last = self._seen[-1]
        if begin == last:  # the usual case: the next bytes
            self._seen[-1] = (first, end)
            return segment.size
        before = sum(b - a for a, b in self._seen)
        self._seen = _merged([*self._seen, (begin, end)])
        return sum(b - a for a, b in self._seen) - before

    def _place(self, sequence: int) -> int:
        """Return where in the stream a sequence number lies: the place nearest to the last byte seen."""
        last = self._seen[-1][1]
        half = _WRAP // 2
        return last + (sequence - self._base - last + half) % _WRAP - half


def _merged(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the union of intervals as disjoint ones, in order."""
    out: list[tuple[int, int]] = []
    for begin, end in sorted(parts):
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((begin, end))
    return out
