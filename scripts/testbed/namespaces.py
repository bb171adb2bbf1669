"""Network namespaces, one a party, and shaped links between every two of them; none outlives the block.

    with open_testbed(("E1", "E2", "HC", "HMS1"), Shape.parse("20ms,100mbit"), "relay", "cubic") as bed:
        subprocess.run([*bed.command("E1"), "ping", "-c", "1", bed.address("E2")])

Every ordered pair of parties is a link with its own latency and bandwidth, as in live shaping and in a replay. Three
ways to make them:

- `relay`: a TUN device a party; `testbed.relay`, a process, delays and paces the IP packets between them;
- `netem`: a veth pair a pair of parties, with the kernel's `tc netem` at both ends;
- `direct`: a bridge, not shaped.

Needs root, Linux, and `ip` (package iproute2).
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from testbed.shape import Shape

Way = Literal["relay", "netem", "direct"]

PREFIX = "pehealth-"
NETWORK = "198.18.0"
"""Addresses that are set aside for tests of network devices [RFC 2544]; they exist in the namespaces alone."""
DEVICE = "link0"
CONGESTION = ("cubic", "reno")
"""Linux's usual default, and the standard's own [RFC 5681], where namespaces may not use the former. Some others (bbr)
hold packets back to pace them, which a message of a few packets pays with milliseconds."""
QUEUE_PACKETS = 20_000
NAMES = Path("/run/netns")
HERE = Path(__file__).resolve().parent


class Unusable(Exception):
    """This machine cannot do it; the message says what is missing."""


@dataclass(frozen=True)
class Bed:
    """The namespaces of the parties, by name."""

    names: tuple[str, ...]
    prefix: str

    def namespace(self, name: str) -> str:
        """Return the namespace of a party."""
        return f"{self.prefix}{name}"

    def address(self, name: str) -> str:
        """Return the IPv4 address of a party."""
        return f"{NETWORK}.{self.names.index(name) + 1}"

    def command(self, name: str) -> list[str]:
        """Return what to put before a command for it to run in the namespace of a party."""
        return ["ip", "netns", "exec", self.namespace(name)]

    @property
    def links(self) -> dict[tuple[str, str], str]:
        """Return (address of the sender, address of the receiver) -> "E1->E2", of all ordered pairs."""
        return {(self.address(a), self.address(b)): f"{a}->{b}" for a, b in itertools.permutations(self.names, 2)}


def missing() -> str | None:
    """Return what this machine lacks for a testbed; None if nothing."""
    if sys.platform != "linux":
        return "network namespaces are Linux's own: run this on Linux"
    if os.geteuid() != 0:
        return "network namespaces and TUN devices need root: run this as root (sudo)"
    if shutil.which("ip") is None:
        return "`ip` is missing: install iproute2 (apt-get install iproute2)"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun is missing: modprobe tun, or give the container that device"
    return None


def has_netem() -> bool:
    """Return whether this kernel has `tc netem`, by trying it."""
    if missing() or shutil.which("tc") is None:
        return False
    with _namespace("netem") as enter:
        command = [*enter, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def open_testbed(names: Sequence[str], shape: Shape, way: Way, congestion: str) -> Iterator[Bed]:
    """Make a namespace a party and shaped links between all; take everything away at the end, whatever happens.

    Args:
        names: of the parties.
        shape: of every directed link.
        way: how links are made.
        congestion: TCP's congestion control, as `congestion_control` found it.

    Raises:
        Unusable: something is missing on this machine.
    """
    if lack := missing():
        raise Unusable(lack)
    remove_leftovers()
    bed = Bed(tuple(names), f"{PREFIX}{os.getpid()}-")
    with ExitStack() as stack:
        for name in bed.names:
            ip("netns", "add", bed.namespace(name))
            stack.callback(_remove, bed.namespace(name))
            ip("-n", bed.namespace(name), "link", "set", "lo", "up")
            if reason := _set_congestion(bed.command(name), congestion):
                raise Unusable(f"TCP congestion control {congestion}: {reason}")
        if way == "relay":
            stack.enter_context(_relayed(bed, shape))
        elif way == "netem":
            _pairs(bed, shape)
        else:
            hub = f"{bed.prefix}hub"
            ip("netns", "add", hub)
            stack.callback(_remove, hub)
            _bridged(bed, hub)
        yield bed


def congestion_control(wanted: str | None) -> str:
    """Return which congestion control namespaces can use: the wanted one, or the first of `CONGESTION`."""
    with _namespace("congestion") as enter:
        for name in (wanted,) if wanted else CONGESTION:
            if _set_congestion(enter, name) is None:
                return name
        reason = _set_congestion(enter, wanted or CONGESTION[-1])
    raise Unusable(f"TCP congestion control {wanted or CONGESTION[-1]} is not to be had here: {reason}")


def _set_congestion(enter: Sequence[str], name: str) -> str | None:
    """Set a namespace's TCP congestion control; return why it failed."""
    command = [*enter, "tee", "/proc/sys/net/ipv4/tcp_congestion_control"]
    done = subprocess.run(command, input=name, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else None


@contextmanager
def _namespace(purpose: str) -> Iterator[list[str]]:
    """Make a namespace for the block; it holds the words that enter it."""
    name = f"{PREFIX}{os.getpid()}-{purpose}"
    ip("netns", "add", name)
    try:
        yield ["ip", "netns", "exec", name]
    finally:
        _remove(name)


def remove_leftovers() -> None:
    """Remove the namespaces of earlier testbeds whose process was killed."""
    for file in NAMES.glob(f"{PREFIX}*") if NAMES.exists() else ():
        owner = file.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            _remove(file.name)


def ip(*words: str) -> None:
    """Run `ip`. Raises Unusable with its complaint."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unusable(f"`ip {' '.join(words)}` failed: {done.stderr.strip()}")


def _remove(namespace: str) -> None:
    with suppress(Unusable):
        ip("netns", "del", namespace)


@contextmanager
def _relayed(bed: Bed, shape: Shape) -> Iterator[None]:
    """Give each party a TUN device and have the relay join them. The devices go when the relay does."""
    command = [sys.executable, "-m", "testbed.relay", DEVICE, str(shape.latency), str(shape.bandwidth)]
    ends = [f"{bed.namespace(name)}={bed.address(name)}" for name in bed.names]
    relay = subprocess.Popen([*command, *ends], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE.parent)
    try:
        assert relay.stdout is not None  # noqa: S101 - opened with a pipe
        if relay.stdout.readline() != b"ready\n":
            raise Unusable("the relay did not start; what it said stands above")
        for name in bed.names:
            space = ("-n", bed.namespace(name))
            ip(*space, "address", "add", f"{bed.address(name)}/24", "dev", DEVICE)
            ip(*space, "link", "set", DEVICE, "up", "mtu", "1500", "txqueuelen", str(QUEUE_PACKETS))
        yield
        if relay.poll() is not None:
            raise Unusable("the relay has ended too early; what it said stands above")
    finally:
        relay.kill()
        relay.wait()


def _bridged(bed: Bed, hub: str) -> None:
    """Join the parties by a bridge in a namespace of its own."""
    ip("-n", hub, "link", "add", "bridge0", "type", "bridge")
    ip("-n", hub, "link", "set", "bridge0", "up")
    for name in bed.names:
        space = ("-n", bed.namespace(name))
        ip(*space, "link", "add", DEVICE, "type", "veth", "peer", "name", f"to{name}", "netns", hub)
        ip("-n", hub, "link", "set", f"to{name}", "master", "bridge0", "up")
        ip(*space, "address", "add", f"{bed.address(name)}/24", "dev", DEVICE)
        ip(*space, "link", "set", DEVICE, "up")


def _pairs(bed: Bed, shape: Shape) -> None:
    """Give every two parties a veth pair of their own with netem at both ends, and each party its one address."""
    for name in bed.names:
        ip("-n", bed.namespace(name), "address", "add", f"{bed.address(name)}/32", "dev", "lo")
    for a, b in itertools.combinations(bed.names, 2):
        one, other = bed.namespace(a), bed.namespace(b)
        ip("link", "add", f"to{b}", "netns", one, "type", "veth", "peer", "name", f"to{a}", "netns", other)
        for here, there in ((a, b), (b, a)):
            space = ("-n", bed.namespace(here))
            ip(*space, "link", "set", f"to{there}", "up")
            route = (f"{bed.address(there)}/32", "dev", f"to{there}", "src", bed.address(here))
            ip(*space, "route", "add", *route)
            netem = ["root", "netem", *shape.netem_words()]
            subprocess.run(["tc", *space, "qdisc", "add", "dev", f"to{there}", *netem], check=True)
