"""What a traced run takes under another network: a discrete-event simulation, deterministic, in milliseconds.

Each party runs its program again: it computes as long as it did (or faster, if told so), sends, and takes. A message
occupies its direction of its link for (payload + header) / bandwidth, one after the other, and arrives a latency later:
the arithmetic is that of `transport.network.Line`, which delays live runs. A sender is held until its line has taken
the message. Left out: what a real network adds (TCP's slow start unless the network has it, loss, headers of IP and
TLS), a link's keepalives, and that parties may share a processor.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low

from pehealth.experiments.steps import QueryTrace, RunTrace, Step
from pehealth.protocols.cost import HEADER_BYTES
from transport.network import Network, parse_network, seeded_jitter
from transport.slow_start import AnyLine, line_of

Key = tuple[int, str, int]
"""Query, party, place in its program."""

CENTRE = "HC"


@dataclass(frozen=True, slots=True)
class Done:
    """A step as the replay had it. Seconds since the query began.

    Attributes:
        step: of the program.
        began, ended: when.
        starts: of "send": when its line was free for it.
        leaves: of "send": when the line had taken it all; its sender may have gone on before.
        arrives: of "send": when it is at the other end; of "take": when it could be taken.
        cause: of "take": the message's sending; of "send": the sending that held the line before it, if one did.
    """

    step: Step
    began: float
    ended: float
    starts: float = 0.0
    leaves: float = 0.0
    arrives: float = 0.0
    cause: Key | None = None


@dataclass(frozen=True)
class Replayed:
    """One query as the replay had it: the steps of each party, and how long it took.

    `together` holds the queries that were under way with it, itself included.
    """

    trace: QueryTrace
    programs: Mapping[str, tuple[Done, ...]]
    together: dict[int, Replayed] = field(repr=False, compare=False)

    @property
    def seconds(self) -> float:
        """From the start to the centre's result; in other phases until everybody has done."""
        ends = {party: steps[-1].ended if steps else 0.0 for party, steps in self.programs.items()}
        return ends[CENTRE] if self.trace.phase == "online" and CENTRE in ends else max(ends.values(), default=0.0)

    def done(self, key: Key) -> Done:
        """Return a step of this query or one that was under way with it."""
        query, party, place = key
        return self.together[query].programs[party][place]


@dataclass(frozen=True)
class Settings:
    """Under what a trace is replayed.

    Attributes:
        network: of every link.
        links: party -> network of its own links where that is another; a link of two such parties has the greater
            latency and jitter and the smaller bandwidth.
        speed: party -> how many times as fast as in the trace it computes; 1 unless named.
        handling: seconds that a message costs beside the network: system calls, waking up, the event loop.
        seed: of the jitter.
    """

    network: Network
    links: Mapping[str, Network] = field(default_factory=dict)
    speed: Mapping[str, float] = field(default_factory=dict)
    handling: float = 0.0
    seed: bytes = b"replay"

    def between(self, sender: str, receiver: str) -> Network:
        """Return the network of one link."""
        own = [self.links[party] for party in (sender, receiver) if party in self.links]
        if not own:
            return self.network
        return Network(
            max(n.latency for n in own),
            min(n.bandwidth for n in own),
            max(n.jitter for n in own),
            slow_start=self.network.slow_start or any(n.slow_start for n in own),
        )


def replay(queries: Sequence[QueryTrace], settings: Settings, in_flight: int = 1) -> tuple[Replayed, ...]:
    """Return what each query takes; groups of `in_flight` begin at once and share the links, as in a run."""
    out: list[Replayed] = []
    for first in range(0, len(queries), in_flight):
        out += _Simulation(queries[first : first + in_flight], settings).run()
    return tuple(out)


def typical(replayed: Sequence[Replayed]) -> Replayed:
    """Return the query with the median time (the lower of two)."""
    middle = median_low(q.seconds for q in replayed)
    return next(q for q in replayed if q.seconds == middle)


def handling_of(trace: RunTrace) -> float:
    """Return the seconds that a message cost in the traced run beside its network: the lower quartile.

    Counted are messages of the online phase that were waited for. In virtual time it is 0. Where all parties share a
    process, most messages also wait for the event loop while others compute: hence not the mean.
    """
    if trace.clock != "real":
        return 0.0
    network = parse_network(trace.parameters.network or "none")
    extra = sorted(
        taken.ended - sent.began - network.seconds(sent.size + HEADER_BYTES)
        for query in trace.phase("online")
        for sent, taken in _pairs(query)
        if taken.began <= sent.began
    )
    return max(extra[len(extra) // 4], 0.0) if extra else 0.0


def _pairs(query: QueryTrace) -> Iterator[tuple[Step, Step]]:
    sent: dict[tuple[str, str], deque[Step]] = defaultdict(deque)
    for party, steps in query.programs.items():
        for step in steps:
            if step.kind == "send":
                sent[party, step.peer].append(step)
    for party, steps in query.programs.items():
        for step in steps:
            if step.kind == "take":
                yield sent[step.peer, party].popleft(), step


class _Program:
    """One party's program of one query while it runs."""

    def __init__(self, query: int, party: str, steps: Sequence[Step], speed: float) -> None:
        self.query, self.party, self.steps, self.speed = query, party, steps, speed
        self.done: list[Done] = []
        self.now = 0.0

    @property
    def key(self) -> Key:
        return self.query, self.party, len(self.done)

    def finish(
        self,
        ended: float,
        *,
        starts: float = 0.0,
        leaves: float = 0.0,
        arrives: float = 0.0,
        cause: Key | None = None,
    ) -> None:
        """Put the next step behind us."""
        self.done.append(Done(self.steps[len(self.done)], self.now, ended, starts, leaves, arrives, cause))
        self.now = ended


class _Simulation:
    """Several queries that begin at once. Programs advance in the order of their own times, so lines are fair."""

    def __init__(self, queries: Sequence[QueryTrace], settings: Settings) -> None:
        self._queries, self._settings = queries, settings
        self._lines: dict[tuple[str, str], AnyLine] = {}
        self._holders: dict[tuple[str, str], Key] = {}
        self._under_way: dict[tuple[int, str, str], deque[tuple[float, Key]]] = defaultdict(deque)
        self._waiting: dict[tuple[int, str, str], _Program] = {}
        self._programs = {
            (query.query, party): _Program(query.query, party, steps, settings.speed.get(party, 1.0))
            for query in queries
            for party, steps in query.programs.items()
        }
        self._ready = [(0.0, number, program) for number, program in enumerate(self._programs.values())]
        self._number = len(self._ready)

    def run(self) -> list[Replayed]:
        """Run every program to its end."""
        while self._ready:
            _, _, program = heapq.heappop(self._ready)
            if len(program.done) == len(program.steps):
                continue
            step = program.steps[len(program.done)]
            if step.kind == "compute":
                program.finish(program.now + step.seconds / program.speed)
            elif step.kind == "send":
                self._send(program, step)
            elif not self._take(program, step):
                continue
            self._go_on(program)
        together: dict[int, Replayed] = {}
        for query in self._queries:
            parts = {party: tuple(self._programs[query.query, party].done) for party in query.programs}
            together[query.query] = Replayed(query, parts, together)
        return list(together.values())

    def _go_on(self, program: _Program) -> None:
        self._number += 1
        heapq.heappush(self._ready, (program.now, self._number, program))

    def _send(self, program: _Program, step: Step) -> None:
        where, key = (program.party, step.peer), program.key
        passage = self._line(where).put(step.size + HEADER_BYTES, program.now)
        arrives = passage.arrives + self._settings.handling
        held = self._holders.get(where) if passage.starts > program.now else None
        self._holders[where] = key
        program.finish(passage.frees, starts=passage.starts, leaves=passage.leaves, arrives=arrives, cause=held)
        self._under_way[program.query, *where].append((arrives, key))
        waiting = self._waiting.pop((program.query, *where), None)
        if waiting is not None:
            self._take(waiting, waiting.steps[len(waiting.done)])
            self._go_on(waiting)

    def _take(self, program: _Program, step: Step) -> bool:
        """Take the next message; False if it has not been sent yet."""
        where = (program.query, step.peer, program.party)
        if not self._under_way[where]:
            self._waiting[where] = program
            return False
        arrives, cause = self._under_way[where].popleft()
        program.finish(max(program.now, arrives), arrives=arrives, cause=cause)
        return True

    def _line(self, where: tuple[str, str]) -> AnyLine:
        if where not in self._lines:
            seed = self._settings.seed + f" {where[0]}->{where[1]}".encode()
            self._lines[where] = line_of(self._settings.between(*where), seeded_jitter(seed))
        return self._lines[where]
