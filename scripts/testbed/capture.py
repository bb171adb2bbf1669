"""What TCP carried over the links of a testbed, from AF_PACKET sockets in the namespaces; retransmissions removed.

A process of its own, behind others: the kernel keeps what waits.

    with capturing(bed, shape) as capture:
        ...
    capture.sent[("E1->E2")].total

Counted are bytes of TCP payload that are new by their sequence numbers, on the sender's side of the link and on the
receiver's. The same stamps, the kernel's own, tell how exactly the testbed keeps to its latency and bandwidth.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.kernel import die_with_parent, inside
from testbed.namespaces import Bed, Unusable
from testbed.segments import Segment, Stream, parse
from testbed.shape import Lane, Shape

BIN_SECONDS = 0.001
QUIET_SECONDS = 0.3
"""A link on which nothing has come for so long, beyond its round trip, has been emptied."""
SNAP = 192
"""Bytes kept of a packet: its headers."""
_ETH_P_ALL = 3
_OUTGOING, _HOST = 4, 0
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 256 * 2**20


@dataclass
class Seen:
    """What was seen of one link at one of its ends.

    Attributes:
        total: bytes of payload, each counted once.
        again: bytes that were seen more than once.
        packets: of TCP, acknowledgements included.
        bins: millisecond on the monotonic clock -> new bytes.
    """

    total: int = 0
    again: int = 0
    packets: int = 0
    bins: dict[int, int] = field(default_factory=dict)

    def between(self, began: float, ended: float) -> int:
        """Return the bytes of an interval of the monotonic clock."""
        first, last = int(began / BIN_SECONDS), int(ended / BIN_SECONDS)
        return sum(size for at, size in self.bins.items() if first <= at <= last)


@dataclass
class Capture:
    """Links "E1->E2" as their senders put packets on them and as these arrived.

    Attributes:
        sent, arrived: by link.
        lost: packets that were not looked at.
        late: see `lateness`; empty where links do not keep packets apart and in order.
    """

    sent: dict[str, Seen] = field(default_factory=dict)
    arrived: dict[str, Seen] = field(default_factory=dict)
    lost: int = 0
    late: tuple[float, ...] = ()


@contextmanager
def capturing(bed: Bed, shape: Shape) -> Iterator[Capture]:
    """Capture during the block; the capture is filled in at its end, once the links have been quiet for a while."""
    told = json.dumps(
        {
            "quiet": QUIET_SECONDS + 3 * shape.latency,
            "latency": shape.latency,
            "bandwidth": shape.bandwidth,
            "links": [[*ends, link] for ends, link in bed.links.items()],
        }
    )
    spaces = [bed.namespace(name) for name in bed.names]
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed.capture", told, *spaces],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    capture = Capture()
    try:
        assert process.stdout is not None  # noqa: S101 - opened with a pipe
        if process.stdout.readline() != b"ready\n":
            raise Unusable("the capture did not start; what it said stands above")
        yield capture
        result = json.loads(process.communicate()[0])
        capture.sent, capture.arrived = (_seen(result[side]) for side in ("sent", "arrived"))
        capture.lost, capture.late = result["lost"], tuple(result["late"])
    finally:
        process.kill()
        process.wait()


def _seen(rows: Mapping[str, Any]) -> dict[str, Seen]:
    return {link: Seen(**{**row, "bins": {int(k): v for k, v in row["bins"].items()}}) for link, row in rows.items()}


Packet = tuple[float, int]
"""When a packet was seen, and its bytes with its headers."""


def lateness(sent: Sequence[Packet], arrived: Sequence[Packet], shape: Shape) -> list[float]:
    """Return by how many seconds each packet of a link was later than its shape says: the testbed's own error.

    Packets keep their order, so the first that arrives is the first that was sent. Nothing if some are missing.
    """
    if [size for _, size in sent] != [size for _, size in arrived]:
        return []
    lane = Lane(shape)
    return [there - lane.arrival(size, here) for (here, size), (there, _) in zip(sent, arrived, strict=True)]


class Sniffer:
    """Counts the segments that the sockets hand it."""

    def __init__(self, links: Mapping[tuple[bytes, bytes], str]) -> None:
        self._links = links
        self._streams: dict[tuple[bool, bytes, bytes, int, int], Stream] = {}
        self.sides: dict[bool, dict[str, Seen]] = {True: {}, False: {}}
        self.passages: dict[bool, dict[str, list[Packet]]] = {True: {}, False: {}}
        self._offset = time.monotonic() - time.time()

    def take(self, packet: memoryview, outgoing: bool, stamp: float) -> None:
        """Count one packet; `stamp` is the time of day."""
        segment = parse(packet)
        link = self._links.get((segment.source, segment.target)) if segment is not None else None
        if segment is None or link is None:
            return
        self.passages[outgoing].setdefault(link, []).append((stamp, segment.whole))
        seen = self.sides[outgoing].setdefault(link, Seen())
        seen.packets += 1
        new = self._stream(segment, outgoing).add(segment)
        seen.total += new
        seen.again += segment.size - new
        if new:
            at = int((stamp + self._offset) / BIN_SECONDS)
            seen.bins[at] = seen.bins.get(at, 0) + new

    def _stream(self, segment: Segment, outgoing: bool) -> Stream:
        key = (outgoing, segment.source, segment.target, segment.source_port, segment.target_port)
        if segment.syn or key not in self._streams:
            stream = self._streams.get(key)
            if stream is None or not stream.same_start(segment):
                self._streams[key] = Stream(segment)
        return self._streams[key]


def open_socket() -> socket.socket:
    """Return a socket that sees all packets of this namespace, without their link layer."""
    sniffing = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    sniffing.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    sniffing.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sniffing.setblocking(False)
    return sniffing


def sniff(sockets: list[socket.socket], sniffer: Sniffer, quiet: float) -> int:
    """Count until standard input has ended and the links are quiet; return how many packets were lost."""
    with selectors.DefaultSelector() as selector:
        for sniffing in sockets:
            selector.register(sniffing, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        buffer, going = bytearray(SNAP), True
        while True:
            ready = selector.select(None if going else quiet)
            if not ready and not going:
                break
            for key, _ in ready:
                if key.fileobj is sys.stdin:
                    selector.unregister(sys.stdin)
                    going = False
                elif isinstance(key.fileobj, socket.socket):
                    _drain(key.fileobj, buffer, sniffer)
    statistics = [s.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8) for s in sockets]
    return sum(struct.unpack("II", row)[1] for row in statistics)


def _drain(sniffing: socket.socket, buffer: bytearray, sniffer: Sniffer) -> None:
    for _ in range(256):
        try:
            size, ancillary, _, address = sniffing.recvmsg_into([buffer], 64)
        except BlockingIOError:
            return
        kind = address[2]
        if kind not in (_OUTGOING, _HOST) or not ancillary:
            continue
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        sniffer.take(memoryview(buffer)[:size], kind == _OUTGOING, seconds + nanoseconds * 1e-9)


def main() -> None:
    """Be the capturing process."""
    die_with_parent()
    told = json.loads(sys.argv[1])
    links = {(socket.inet_aton(a), socket.inet_aton(b)): link for a, b, link in told["links"]}
    sockets = []
    for namespace in sys.argv[2:]:
        with inside(namespace):
            sockets.append(open_socket())
    os.nice(10)  # the kernel keeps packets and stamps them; looking at them must not take time from the parties
    sniffer = Sniffer(links)
    print("ready", flush=True)
    lost = sniff(sockets, sniffer, told["quiet"])
    sides = {
        name: {k: vars(v) for k, v in sniffer.sides[out].items()} for name, out in (("sent", True), ("arrived", False))
    }
    shape = Shape(told["latency"], told["bandwidth"])
    sent, arrived = sniffer.passages[True], sniffer.passages[False]
    late = [x for link in sent for x in lateness(sent[link], arrived.get(link, []), shape)]
    print(json.dumps({**sides, "lost": lost, "late": [round(x, 7) for x in late]}))


if __name__ == "__main__":
    main()
