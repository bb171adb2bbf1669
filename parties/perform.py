"""One party from its start to its report, over whatever carries its links."""

from __future__ import annotations

from collections.abc import Callable

import trio

from parties.actor import Actor, Control, Role, obey, threaded
from parties.kept import KeptCentre, KeptDealer, KeptSensor, KeptServer
from parties.literal import LiteralCentre, LiteralSensor, LiteralServer
from parties.masked import MaskedCentre, MaskedDealer, MaskedSensor, MaskedServer
from parties.private import unpack_model, unpack_readings
from parties.reporting import Reporter
from parties.start import Start, neighbours
from parties.steps import step_names
from parties.virtual import Stopwatch
from pehealth.config import Engine, Party
from pehealth.crypto.prg import Prg
from pehealth.engines.workers import Workers
from pehealth.errors import ConfigError
from transport.handshake import Hello
from transport.limits import Limits
from transport.mesh import Carrier, Listener, MeshOptions, open_mesh
from transport.meter import Meter
from transport.shaped import Network, ShapedStream, parse_network, seeded_jitter
from transport.trace import Recorder

ANY_PORT = "127.0.0.1:0"


class Switchboard:
    """A carrier whose addresses are the parties' names: real addresses are looked up once they are known.

    So every party may bind whatever port is free and still be found.
    """

    def __init__(self, carrier: Carrier, network: Network, nursery: trio.Nursery, owner: str = "") -> None:
        self._carrier, self._network, self._nursery, self._owner = carrier, network, nursery, owner
        self._streams = 0
        self._book: dict[str, str] = {}
        self._known = trio.Event()

    def publish(self, book: dict[str, str]) -> None:
        """Say where every party listens."""
        self._book = dict(book)
        self._known.set()

    async def listen(self, address: str) -> Listener:
        """Be reachable at a real address."""
        listener = await self._carrier.listen(address)
        return _ShapedListener(listener, self.shaped) if self._network.shapes else listener

    async def connect(self, address: str) -> trio.abc.Stream:
        """Call a party by name, as soon as its address is known."""
        await self._known.wait()
        return self.shaped(await self._carrier.connect(self._book[address]))

    def shaped(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Return the stream with the run's latency, bandwidth and jitter on what it sends."""
        if not self._network.shapes:
            return stream
        self._streams += 1
        jitter = seeded_jitter(f"{self._owner} {self._streams}".encode())
        return ShapedStream(stream, self._network, self._nursery, jitter)


class _ShapedListener:
    """A listener whose callers' streams are shaped at our end, too."""

    def __init__(self, listener: Listener, shaped: Callable[[trio.abc.Stream], trio.abc.Stream]) -> None:
        self._listener, self._shaped = listener, shaped

    @property
    def address(self) -> str:
        """The address that was bound."""
        return self._listener.address

    async def accept(self) -> trio.abc.Stream:
        """Return the next caller's stream."""
        return self._shaped(await self._listener.accept())

    async def aclose(self) -> None:
        """Take no more calls."""
        await self._listener.aclose()


async def introduce(control: Control, board: Switchboard, bound: trio.Event, address: list[str]) -> None:
    """Tell the launcher where we listen, and learn where everyone does."""
    await bound.wait()
    await control.send({"bound": address[0] if address else ""})
    command = await control.receive()
    board.publish(command["book"])


async def perform(
    start: Start,
    control: Control,
    carrier: Carrier,
    now: Callable[[], float],
    *,
    listen: str = ANY_PORT,
    limits: Limits | None = None,
    seed: Prg | None = None,
    meter: Meter | None = None,
) -> None:
    """Be one party of a run: join, obey the conductor, report, part.

    Args:
        start: who this party is, and what it is told.
        control: its line to the conductor.
        carrier: the kind of network.
        now: seconds on a clock that all parties of the run share.
        listen: the address to be called at, if anyone calls.
        limits: what a peer may cost us.
        seed: tests only: this party's randomness.
        meter: counts this party's links to the end, goodbyes included, which come after the report.

    Raises:
        PehealthError, TransportError: what this party failed of; its peers have been told.
    """
    control.locate(lambda: "joining the others")
    inbound, outbound = neighbours(start.name, start.everyone)
    bound, address = trio.Event(), list[str]()
    meter = meter or Meter(start.name)
    network = parse_network(start.shaping or "none")

    def listening(where: str) -> None:
        address.append(where)
        bound.set()

    stopwatch = Stopwatch() if start.virtual else None
    recorder = Recorder(now(), stopwatch.now if stopwatch is not None else None) if start.trace else None
    observer = recorder.observe if recorder is not None else None
    # The centre waits for what the servers wait for: they shall be the ones to say who keeps everybody waiting.
    patience = start.patience * (2 if start.role is Party.HC else 1)
    known = limits or Limits(deadline_seconds=patience)
    describe = step_names(start.network)
    options = MeshOptions(limits=known, meter=meter, observer=observer, bound=listening, describe=describe)
    hello = Hello(start.name, role=start.name, run=start.run_id, fields=start.agreed())
    async with trio.open_nursery() as nursery:
        board = Switchboard(carrier, network, nursery, start.name)
        nursery.start_soon(introduce, control, board, bound, address)
        if not inbound:
            bound.set()
        async with open_mesh(
            hello,
            board,
            listen=listen if inbound else "",
            inbound=inbound,
            outbound={name: name for name in outbound},
            options=options,
        ) as links:
            rng = seed if seed is not None else Prg.system()
            actor = Actor(start, links, meter, rng, now, threaded, stopwatch=stopwatch, recorder=recorder)
            if stopwatch is not None:
                actor.now, actor.compute = stopwatch.now, stopwatch.compute
            await work(actor, control)


async def work(actor: Actor, control: Control) -> None:
    """Obey the conductor, with helpers for what computes for long; they end with the work."""
    virtual = actor.start.virtual
    reporter = Reporter(control, threads=not virtual)
    with actor.closing, Workers(1 if virtual else actor.start.workers) as actor.workers:
        actor.progress = reporter
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reporter.forward)
            await obey(role_for(actor), actor, control)
            reporter.close()


def role_for(actor: Actor) -> Role:
    """Return what this party does under its engine.

    Raises:
        ConfigError: no role of this engine bears the party's name.
    """
    start = actor.start
    if start.parameters.engine is Engine.PAPER:
        if start.role is Party.HC:
            return LiteralCentre(actor, unpack_model(start.private, start.network))
        if start.role is Party.HMS:
            return LiteralSensor(actor, unpack_readings(start.private))
        if start.role in (Party.E1, Party.E2):
            return LiteralServer(actor)
    elif start.state:
        return kept_role(actor)
    else:
        if start.role is Party.HC:
            return MaskedCentre(actor, unpack_model(start.private, start.network))
        if start.role is Party.DEALER:
            return MaskedDealer(actor)
        if start.role is Party.HMS:
            return MaskedSensor(actor, unpack_readings(start.private))
        return MaskedServer(actor)
    raise ConfigError(f"{start.name} has no part in engine {start.parameters.engine}")


def kept_role(actor: Actor) -> Role:
    """Return what this party does under a masked engine when parties keep their state."""
    start = actor.start
    if start.role is Party.HMS:
        return KeptSensor(actor, unpack_readings(start.private))
    if start.role is Party.HC and start.private:
        return KeptCentre(actor, unpack_model(start.private, start.network))
    # A centre without its model deals, and does nothing else.
    return KeptDealer(actor) if start.role in (Party.HC, Party.DEALER) else KeptServer(actor)
