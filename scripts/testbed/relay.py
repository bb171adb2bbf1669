"""A process that carries IP packets between TUN devices, each pair of them with its own latency and bandwidth.

    python -m testbed.relay DEVICE LATENCY BANDWIDTH NAMESPACE=ADDRESS...

Seconds, bytes a second. Says "ready" once the devices exist, and ends with its standard input. What the endpoints
speak over it is the kernel's TCP. No packet is lost or put out of order: a line with a deep queue.
"""

from __future__ import annotations

import errno
import gc
import heapq
import itertools
import os
import select
import socket
import sys
import time

from testbed.kernel import be_prompt, die_with_parent, inside, open_tun
from testbed.shape import Lane, Shape

PACKET_BYTES = 65_536
AT_ONCE = 64
"""Packets taken from one device before the others have their turn."""
SPIN_SECONDS = 0.0003
"""Before a packet is due the relay looks at its devices without a pause: a process wakes up 0.1 ms late or more."""
_GONE = (errno.EIO, errno.ENOBUFS, errno.EAGAIN)


class Relay:
    """Packets under way between devices.

    Args:
        devices: IPv4 address -> its TUN device.
        shape: of every ordered pair.
    """

    def __init__(self, devices: dict[bytes, int], shape: Shape) -> None:
        self._devices = devices
        self._owners = {device: address for address, device in devices.items()}
        self._lanes = {pair: Lane(shape) for pair in itertools.permutations(devices, 2)}
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._number = itertools.count()

    def run(self, stop: int) -> None:
        """Carry packets until `stop` can be read."""
        waited = [stop, *self._owners]
        while True:
            readable, _, _ = select.select(waited, [], [], self.pause())
            self.deliver()
            if stop in readable:
                return
            for device in readable:
                self.take(device)

    def pause(self) -> float | None:
        """Return how long to wait for packets: not at all just before one is due, for a wait would end late."""
        if not self._under_way:
            return None
        return max(self._under_way[0][0] - time.monotonic() - SPIN_SECONDS, 0.0)

    def take(self, device: int) -> None:
        """Take what has come to a device, and deliver what is due meanwhile."""
        source = self._owners[device]
        for _ in range(AT_ONCE):
            try:
                packet = os.read(device, PACKET_BYTES)
            except BlockingIOError:
                return
            target = packet[16:20]
            lane = self._lanes.get((source, target))
            if packet[0] >> 4 != 4 or lane is None:
                continue  # IPv6 neighbours, broadcasts: nobody of ours
            arrival = lane.arrival(len(packet), time.monotonic())
            heapq.heappush(self._under_way, (arrival, next(self._number), self._devices[target], packet))
            self.deliver()

    def deliver(self) -> None:
        """Hand over the packets that are due."""
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(self._under_way)
            try:
                os.write(device, packet)
            except OSError as error:
                if error.errno not in _GONE:  # the device is down, or its queue is full: TCP sends again
                    raise


def main() -> None:
    """Be the relay."""
    die_with_parent()
    name, latency, bandwidth, *ends = sys.argv[1:]
    devices = {}
    for end in ends:
        namespace, _, address = end.partition("=")
        with inside(namespace):
            devices[socket.inet_aton(address)] = open_tun(name)
    be_prompt()
    gc.disable()  # there are no cycles, and a collection would hold packets up
    print("ready", flush=True)
    Relay(devices, Shape(float(latency), float(bandwidth))).run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
