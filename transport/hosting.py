"""What all rooms of one host share: its options, its tasks, and what it says about callers it turned away."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from transport.carrier import Carrier
from transport.framing import CONTROL_LIMIT
from transport.limits import Limits
from transport.network import NETWORKS, Jitter, Network
from transport.shaped import ShapedStream
from transport.wire import Wire

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
_LINE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How one process keeps its links, in all its rooms.

    The callbacks must be quick and must not raise.

    Attributes:
        limits: of every channel, unless its room says otherwise.
        handshake_seconds: how long one caller may take to greet, and a party that we call to answer.
        guests: callers whose handshake is under way at one time; more wait in the system's queue.
        guests_each: the same of one remote address; more are turned away.
        rude_seconds: for so long after a failed handshake its place counts as taken for its address.
        links: links in all rooms together; more callers are turned away.
        links_each: rooms in which one party may have its link.
        network: latency and bandwidth that are put on every link, handshake included.
        jitter: where the jitter of `network` comes from.
        chance: the next number in [0, 1): by how much the pauses between calls differ, so that not everyone calls
            a party that is back at once.
        now: seconds since 1970, for the dates of certificates.
        report: is given a line of text for each event that an operator may want to read, at most one a second
            about callers that were turned away.
        refused: is given who was turned away (a name or an address) and why, each time.
        link_up: is given room and peer of a link that stands.
        link_down: is given room and peer of a link that has ended, and why.
        bound: is given the address we listen on, once the port is known.
    """

    limits: Limits = field(default_factory=Limits)
    handshake_seconds: float = 10.0
    guests: int = 64
    guests_each: int = 16
    rude_seconds: float = 1.0
    links: int = 512
    links_each: int = 64
    network: Network = NETWORKS["none"]
    jitter: Jitter | None = None
    chance: Callable[[], float] = lambda: 0.5
    now: Callable[[], float] = time.time
    report: Callable[[str], None] | None = None
    refused: Callable[[str, str], None] | None = None
    link_up: Callable[[str, str], None] | None = None
    link_down: Callable[[str, str, str], None] | None = None
    bound: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        if min(self.guests, self.guests_each, self.links, self.links_each) < 1 or self.handshake_seconds <= 0:
            raise ValueError("a host needs room for at least one guest and one link, and time for a handshake")


class House:
    """The common ground of a host's rooms.

    Args:
        local: our name.
        carrier: the network.
        options: the host's.
        nursery: runs everything; it outlives every link.

    Attributes:
        refused: callers turned away so far.
        last_refusal: why the last of them was.
        held: party -> links that it has in all rooms.
    """

    def __init__(self, local: str, carrier: Carrier, options: HostOptions, nursery: trio.Nursery) -> None:
        self.local, self.carrier, self.options, self.nursery = local, carrier, options, nursery
        self.refused = 0
        self.last_refusal = ""
        self.held: Counter[str] = Counter()
        self._told = -_LINE_SECONDS
        self._untold = 0

    def wire(self, stream: trio.abc.Stream, name: str) -> Wire:
        """Return frames over a stream, for a handshake with `name`."""
        network, jitter = self.options.network, self.options.jitter
        if network.shapes:
            stream = ShapedStream(stream, network, self.nursery, jitter)
        return Wire(stream, name, frame_bytes=CONTROL_LIMIT, stall_seconds=self.options.handshake_seconds)

    def mistake(self, fault: BaseException) -> None:
        """Report an exception that should not have come, by type and place alone: its text may hold anything."""
        frame = traceback.extract_tb(fault.__traceback__)[-1:]
        where = f" in {frame[0].name}, line {frame[0].lineno} of {frame[0].filename}" if frame else ""
        self.report(f"a mistake of ours, please report it: {type(fault).__name__}{where}")

    def pause(self, seconds: float) -> float:
        """Return between a half and one and a half of `seconds`, as chance has it."""
        return seconds * (0.5 + self.options.chance())

    def report(self, line: str) -> None:
        """Tell the operator something."""
        if self.options.report is not None:
            self.options.report(f"{self.local}: {line}")

    def refuse(self, who: str, why: str) -> None:
        """Count a caller that was turned away; whoever calls all the time fills no log."""
        self.refused += 1
        self.last_refusal = why
        if self.options.refused is not None:
            self.options.refused(who, why)
        if trio.current_time() < self._told + _LINE_SECONDS:
            self._untold += 1
            return
        more = f" (and {self._untold} more before)" if self._untold else ""
        self._told, self._untold = trio.current_time(), 0
        self.report(f"turned a caller away: {why}{more}")
