"""What every role is given to act with, and the loop that turns commands into work.

A role never sees who started it: commands and events go through a `Control`, messages through links.
"""

from __future__ import annotations

import math
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import trio

from parties.start import Start
from parties.steps import Whereabouts, step_names
from parties.virtual import Stopwatch
from pehealth.codec.packing import Words
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import Report, Worked
from pehealth.engines.workers import Workers
from pehealth.errors import MaterialError, PeerAborted
from pehealth.protocols.cost import Ops
from transport.channel import Channel
from transport.interfaces import Clock, Endpoint, Phase, Tag
from transport.meter import Meter
from transport.trace import Recorder

T = TypeVar("T")


class Control(Protocol):
    """How a party hears what to do and says what it has done; in one process or between processes."""

    async def send(self, event: Mapping[str, Any]) -> None:
        """Report an event to the conductor."""
        ...

    async def receive(self) -> Mapping[str, Any]:
        """Wait for the next command; {"op": "finish"} is the last."""
        ...

    def locate(self, where: Callable[[], str]) -> None:
        """Take what says where this party is at any time: who stops it may want to tell."""
        ...


async def threaded(function: Callable[..., T], *args: object) -> T:
    """Run a plain function in a worker thread, so that keepalives flow while it computes.

    A party that is stopped does not wait for it: the thread is left to end by itself.
    """
    return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=True)


OPERATIONS = {
    "open": Phase.SETUP,
    "setup": Phase.SETUP,
    "commit": Phase.SETUP,
    "resume": Phase.SETUP,
    "join": Phase.SETUP,
    "stock": Phase.SETUP,
    "lease": Phase.SETUP,
    "allot": Phase.OFFLINE,
    "store": Phase.OFFLINE,
    "deal": Phase.OFFLINE,
    "prepare": Phase.OFFLINE,
    "submit": Phase.ONLINE,
    "answer": Phase.ONLINE,
    "collect": Phase.ONLINE,
}
"""The phase of each operation that a party is told to do."""
COUNTED = ("allot", "lease")
"""Operations that are of no query: their number says how many."""


@dataclass
class Actor:
    """A party at work.

    Attributes:
        start: its role and settings.
        links: a channel to each peer.
        meter: counts every byte of this party.
        rng: this party's own randomness.
        now: seconds on a clock that all parties of the run share.
        compute: runs a plain function off the event loop.
        ops: operations of this party by phase and layer.
        seconds: time spent in each layer online, one entry a query.
        phase_seconds: time that this party computed in a phase, one entry a query.
        kinds: heavy computing by kind of work, all layers and queries: seconds, and seconds of processor time.
        workers: where heavy tasks are computed.
        progress: takes reports of heavy computing, from the thread that does it.
        opened: with `check` alone: this server's share of each layer's output, one entry a query.
        stopwatch: under a virtual clock alone: charges what is computed.
        recorder: notes what is done when, if the run is traced.
        closing: what to close when the work is done, or has failed.
    """

    start: Start
    links: Mapping[str, Channel]
    meter: Meter
    rng: Prg
    now: Callable[[], float]
    compute: Callable[..., Awaitable[Any]]
    ops: dict[tuple[Phase, int], Ops] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    phase_seconds: dict[Phase, list[float]] = field(default_factory=dict)
    kinds: dict[str, list[float]] = field(default_factory=dict)
    workers: Workers = field(default_factory=Workers)
    progress: Report | None = None
    opened: dict[int, list[bytes]] = field(default_factory=dict, repr=False)
    stopwatch: Stopwatch | None = None
    recorder: Recorder | None = None
    closing: ExitStack = field(default_factory=ExitStack, repr=False)
    _clocks: dict[tuple[Phase, int], Clock] = field(default_factory=dict, repr=False)
    _answered: set[int] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self.places = Whereabouts(step_names(self.start.network))

    @property
    def party(self) -> Party:
        """Which role this is."""
        return self.start.role

    def endpoint(self, peer: str, phase: Phase, query: int) -> Endpoint:
        """Return this query's view of the link to `peer`; all links of a query and phase share one clock."""
        clock = self._clocks.setdefault((phase, query), Clock())
        link = self.links[peer].endpoint(query, clock)
        return self.stopwatch.watch(link) if self.stopwatch is not None else link

    async def on_disk(self, function: Callable[..., T], *args: object) -> T:
        """Run a plain function that waits for the disk. It is waited for even by who is stopped: it may hold a file."""
        if self.stopwatch is not None:
            return await self.stopwatch.compute(function, *args)
        return await trio.to_thread.run_sync(function, *args)

    def count(self, phase: Phase, layer: int, ops: Mapping[str, int]) -> None:
        """Add to the counters of a layer."""
        self.ops.setdefault((phase, layer), Counter()).update(ops)

    def watch(self, query: int, layer: int, seconds: float) -> None:
        """Record how long this party was in a layer of a query; it enters the next one now."""
        self.seconds.setdefault(layer, []).append(seconds)
        self.places.enter(Phase.ONLINE, query, layer + 1)
        if self.recorder is not None:
            self.recorder.note(self.start.name, query, "layer", seconds, Tag(Phase.ONLINE, layer).pack())

    @contextmanager
    def at_work(self, op: str, query: int) -> Iterator[None]:
        """Note an operation from its start to its end, and in its errors where this party was."""
        phase = OPERATIONS[op]
        self.places.enter(phase, query, len(self.start.network.placed) + 1 if op == "collect" else 0)
        if self.stopwatch is not None:
            self.stopwatch.resume()
        recording = self.recorder.compute(self.start.name, query, op, Tag(phase, 0).pack()) if self.recorder else None
        try:
            with recording or nullcontext():
                yield
        except Exception as error:
            if not (str(error).startswith(f"{self.start.name}: ") or isinstance(error, PeerAborted)):
                error.add_note(f"{self.start.name} was {self.places}")
            raise
        self.places.leave(phase, query)

    def accept(self, query: int) -> None:
        """Take up a query, once and for all: its masks, and the pads derived from its number, serve one query.

        Raises:
            MaterialError: it was taken up before.
        """
        if query in self._answered:
            raise MaterialError(f"{self.start.name}: query {query} was taken up before: give each query a fresh number")
        self._answered.add(query)

    def show(self, layer: int, share: Words) -> None:
        """Keep the share of a layer's output for the launcher, if the run is to be checked. LEAKS everything."""
        if self.start.check:
            self.opened.setdefault(layer, []).append(share.astype("<u8").tobytes())

    def spent(self, phase: Phase, seconds: float) -> None:
        """Record how long this party was in a phase of one query."""
        self.phase_seconds.setdefault(phase, []).append(seconds)

    def worked(self, worked: Worked) -> None:
        """Record what a heavy layer took, by kind of work: seconds, and of processor time where that is known."""
        for kind, seconds in worked.seconds.items():
            total = self.kinds.setdefault(kind, [0.0, 0.0])
            total[0] += seconds
            total[1] += worked.processor.get(kind, math.nan)

    def report(self) -> dict[str, Any]:
        """Return counts and times, for the launcher; no value that a party must not know is in it."""
        return {
            "meter": self.meter.report().to_wire(),
            "ops": [[int(phase), layer, dict(ops)] for (phase, layer), ops in self.ops.items()],
            "seconds": [[layer, list(spent)] for layer, spent in self.seconds.items()],
            "phase_seconds": [[int(phase), list(spent)] for phase, spent in self.phase_seconds.items()],
            "kinds": {kind: list(spent) for kind, spent in self.kinds.items()},
            "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "trace": self.recorder.trace().to_wire() if self.recorder is not None else None,
            "opened": [[layer, list(outputs)] for layer, outputs in self.opened.items()],
        }


class Role(Protocol):
    """What a party does: one coroutine an operation; each returns what the conductor is told."""

    async def handle(self, op: str, query: int) -> Mapping[str, Any]:
        """Do `op` for `query`: "setup", "deal", "prepare", "submit", "answer" or "collect".

        Parties that keep their state do more: see `OPERATIONS`. For those in `COUNTED`, `query` is how many.
        """
        ...


async def obey(role: Role, actor: Actor, control: Control) -> None:
    """Turn commands into work until "finish"; several queries may be under way at once."""

    async def work(op: str, query: int) -> None:
        with actor.at_work(op, 0 if op in COUNTED else query):
            event = await role.handle(op, query)
        await control.send({"done": op, "query": query, **event})

    control.locate(lambda: str(actor.places))
    async with trio.open_nursery() as nursery:
        while (command := await control.receive())["op"] != "finish":
            nursery.start_soon(work, command["op"], command.get("query", 0))
    await control.send({"done": "finish", "query": 0, "report": actor.report()})
