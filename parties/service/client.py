"""A client of the services: a sensor, or a program in a hospital. It sends shares of readings and receives answers.

    async with Client.connect(settings, model="clinic") as client:
        answers = await client.infer(readings)

One program at a time may use a party's name: a second one takes its links over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import trio
from numpy.typing import NDArray

from parties.failure import distance, first_cause
from parties.masked import SERVERS, first_share
from parties.service.cards import Answer, ModelCard, answer_of
from parties.service.fields import Fields
from parties.service.requests import Line
from pehealth.codec.packing import pack
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import from_signed
from pehealth.engines.interface import ring_mask
from pehealth.errors import Busy, ConfigError, Draining, MaterialError, PeerProtocolError, PehealthError
from transport.errors import HandshakeMismatch, PeerTimeout, TlsFailed, TransportError
from transport.handshake import Hello
from transport.interfaces import Clock, Phase, Tag
from transport.standing import Host, HostOptions, Room, RoomSpec, open_host

if TYPE_CHECKING:
    from parties.settings import Settings
    from transport.carrier import Carrier
    from transport.channel import Channel

UPLOAD = Tag(Phase.ONLINE, 0)
MOST_LEASED = 64
SETTLE_SECONDS = 0.5
"""How long to wait, after the first error of a query, for one that is nearer to its cause."""
_LOOK_SECONDS = 1.0
"""Between two looks whether a party that is not linked can still be expected."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
_FOR_GOOD = (ConfigError, PeerProtocolError, HandshakeMismatch, TlsFailed)
"""Errors that a fresh index does not mend."""
Report = Callable[[str], None]


class _Lines:
    """Our lines in one room."""

    def __init__(
        self, host: Host, hello: Hello, outbound: Mapping[str, str], lost: Callable[[str], None], report: Report
    ) -> None:
        self._lines: dict[str, Line] = {}
        self._changed = trio.Event()
        self._lost, self._report = lost, report
        self.room: Room = host.open_room(RoomSpec(hello, outbound=outbound), self._serve)

    async def get(self, peer: str, within: float) -> Line:
        """Return the line to a peer, once it stands. Raises PeerTimeout."""
        with trio.move_on_after(within):
            while peer not in self._lines:
                await self._changed.wait()
        if peer not in self._lines:
            raise PeerTimeout(f"{self.room.missing(peer)}; waited {within:g} s")
        return self._lines[peer]

    def now(self, peer: str) -> Line | None:
        """Return the line to a peer, if it stands."""
        return self._lines.get(peer)

    async def _serve(self, channel: Channel) -> None:
        line = self._lines[channel.peer] = Line(channel, {}, report=self._report)
        self._changed.set()
        self._changed = trio.Event()
        try:
            await line.run()
        finally:
            del self._lines[channel.peer]
            self._lost(channel.peer)


class _Centre:
    """The room in which the centre says what is deployed, linked for the length of a question.

    A party has one link in a room, and a program may well use several models.
    """

    def __init__(self, host: Host, hello: Hello, address: str, report: Report) -> None:
        self._host, self._hello, self._address, self._report = host, hello, address, report
        self._asking = trio.Lock()

    async def models(self, within: float) -> list[ModelCard]:
        """Return what the centre offers."""
        async with self._asking:
            lines = _Lines(self._host, self._hello, {str(Party.HC): self._address}, lambda _peer: None, self._report)
            try:
                line = await lines.get(Party.HC, within)
                reply = await line.ask("models", within=within)
            finally:
                with trio.CancelScope(shield=True):
                    await lines.room.close()
        cards = reply.get("models")
        if not isinstance(cards, list):
            raise PeerProtocolError("HC sent a list of models that is none")
        return [ModelCard.from_wire(card) for card in cards]


class Client:
    """A client of one deployed model. Make one with `connect`.

    Attributes:
        card: what is known of the model.
    """

    def __init__(self, card: ModelCard, centre: _Centre, lines: _Lines, rng: Prg, seconds: float, retries: int) -> None:
        self.card = card
        self._centre, self._lines, self._rng = centre, lines, rng
        self._seconds, self._retries = seconds, retries
        self._indices: deque[int] = deque()
        self._leasing = trio.Lock()
        self._places = trio.Semaphore(card.in_flight)
        self._wanting = self._leased = 0
        self._session, self._requests = rng.child("session").key().hex()[:16], 0

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        settings: Settings,
        *,
        model: str = "",
        version: int | None = None,
        retries: int = 2,
        carrier: Carrier | None = None,
        rng: Prg | None = None,
        report: Report | None = None,
    ) -> AsyncIterator[Client]:
        """Link to the centre and the servers; the links live as long as the block, and are made again if they break.

        Args:
            settings: ours: an HMS with E1, E2 and HC among its peers.
            model: which model; may be left out where there is one alone.
            version: which version; the newest unless said.
            retries: how often a query is asked again under a fresh index.
            carrier: what carries the links; by default what the settings say.
            rng: randomness; by default the system's.
            report: is told, a line of text each, what does not work for the time being.

        Raises:
            ConfigError: no such model, or settings that name no centre.
            TransportError: nobody is there; names who, and the last error.
        """
        name, peers = settings.party, (Party.HC, *SERVERS)
        if missing := [p for p in peers if not settings.peers.get(p)]:
            raise ConfigError(f"{settings.source}: [peers] {', '.join(missing)}: a client needs their addresses")
        addresses = {str(p): settings.peers[p] for p in peers}
        say, rng = report or (lambda _line: None), rng or Prg.system()
        chance = rng.child("chance")
        options = HostOptions(
            limits=settings.limits, handshake_seconds=settings.greet_seconds, report=say,
            chance=lambda: int.from_bytes(chance.bytes(6), "big") / 2**48,
        )  # fmt: skip
        clients: list[Client] = []

        def lost(peer: str) -> None:
            if peer == Party.HC:  # it will tell us again what we have not used
                for client in clients:
                    client.drop_leases()

        async with open_host(name, carrier or settings.carrier(), options=options) as host:
            centre = _Centre(host, Hello(name, role=Party.HMS, run=settings.deployment), addresses[Party.HC], say)
            card = choose(await centre.models(settings.join_seconds), model, version)
            hello = Hello(name, role=Party.HMS, run=card.deployment, fields=card.hello_fields())
            lines = _Lines(host, hello, addresses, lost, say)
            for peer in addresses:
                await lines.get(peer, settings.join_seconds)
            client = cls(card, centre, lines, rng, settings.service.query_seconds, retries)
            clients.append(client)
            yield client

    async def models(self) -> list[ModelCard]:
        """Return every deployed version of every model, as HC says now."""
        return await self._centre.models(self._seconds)

    def drop_leases(self) -> None:
        """Forget indices that were not used."""
        self._indices.clear()

    async def infer(self, readings: NDArray[np.float64], *, normalised: bool = False) -> list[Answer]:
        """Return the answers to samples, in their order: one a query of `card.batch` samples.

        Args:
            readings: (n, *input_shape) or (n, inputs), in their own units.
            normalised: readings are in [0, 1] already.

        Raises:
            RangeError, ConfigError: a sample cannot be sent; nothing was.
            PehealthError, TransportError: the first cause, after the last retry; other queries were answered or not.
        """
        values = np.asarray(readings, np.float64)
        encoded = self.card.encode(values if normalised else self.card.normalise(values))
        batch = self.card.batch
        parts = [encoded[at : at + batch] for at in range(0, len(encoded), batch)]
        answers: list[Answer | None] = [None] * len(parts)

        async def one(place: int) -> None:
            answers[place] = await self.query(parts[place])

        self._wanting += len(parts)
        try:
            async with trio.open_nursery() as nursery:
                for place in range(len(parts)):
                    nursery.start_soon(one, place)
        except ExceptionGroup as group:
            raise first_cause(group) from None
        finally:
            self._wanting -= len(parts)
        return [answer for answer in answers if answer is not None]

    async def query(self, samples: NDArray[np.int64]) -> Answer:
        """Return the answer to one query of at most `card.batch` encoded samples, (n, inputs) int64.

        Raises:
            PehealthError, TransportError: the first cause, after the last retry.
        """
        card = self.card
        padded = np.zeros((card.batch, card.inputs), np.int64)
        padded[: len(samples)] = samples
        self._requests += 1
        request = f"{self._session}-{self._requests}"
        async with self._places:
            began, pause = trio.current_time(), FIRST_PAUSE
            until = began + self._seconds
            for retries in range(self._retries + 1):
                try:
                    index, result = await self._try(padded, request, until)
                except (PehealthError, TransportError) as error:
                    late = trio.current_time() + pause >= until
                    if late or retries == self._retries or isinstance(error, _FOR_GOOD):
                        raise
                    if isinstance(error, Draining):
                        pause = LONGEST_PAUSE
                    if isinstance(error, MaterialError):  # what burnt this index has burnt its neighbours, too
                        self.drop_leases()
                    await trio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                else:
                    return answer_of(card, index, len(samples), result, trio.current_time() - began, retries)
        raise AssertionError("the last try returns or raises")

    async def _try(self, samples: NDArray[np.int64], request: str, until: float) -> tuple[int, Mapping[str, Any]]:
        """Ask once, under a fresh index."""
        index = await self._next_index(until)
        ring = self.card.ring
        key = self._rng.child("upload", self._session, index, request).key()
        second = (from_signed(samples, ring) - first_share(key, samples.shape, ring)) & ring_mask(ring)
        uploads = {str(Party.E1): key, str(Party.E2): pack(second, ring)}
        found: dict[str, Mapping[str, Any]] = {}
        errors: list[Exception] = []
        with trio.CancelScope() as scope:

            async def expect() -> None:
                line = await self._line(Party.HC, until)
                found[Party.HC] = await line.ask("expect", within=_left(until) + 1, index=index, request=request)

            async def run(what: Callable[..., Any], *args: object) -> None:
                try:
                    await what(*args)
                except (PehealthError, TransportError) as error:
                    errors.append(error)
                    scope.deadline = min(scope.deadline, trio.current_time() + SETTLE_SECONDS)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(run, expect)
                for server in SERVERS:
                    nursery.start_soon(run, self._submit, str(server), index, uploads[server], until)
        if errors:
            await self._give_up(index)
            raise min(errors, key=distance)
        return index, found[Party.HC]

    async def _submit(self, server: str, index: int, upload: bytes, until: float) -> None:
        """Have a server take a query; while it is busy, ask it again: it has not taken the index."""
        pause = FIRST_PAUSE
        line = await self._line(server, until)
        while True:
            try:
                await self._submit_once(line, index, upload, _left(until) + 1)
            except Busy:
                if trio.current_time() + pause > until:
                    raise
            else:
                return
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    @staticmethod
    async def _submit_once(line: Line, index: int, upload: bytes, within: float) -> None:
        await line.channel.endpoint(index, Clock()).send(UPLOAD, upload)
        await line.ask("submit", within=within, index=index)

    async def _give_up(self, index: int) -> None:
        """Tell everybody that this query is not waited for any more."""
        for peer in (Party.HC, *SERVERS):
            line = self._lines.now(peer)
            if line is not None:
                await line.tell("give_up", index=index)

    async def _line(self, peer: str, until: float) -> Line:
        """Return the line to a peer, once it stands.

        Raises:
            PeerTimeout: it does not in time; names the last error.
            ConfigError: there is no use in waiting: the deployment was retired.
        """
        while True:
            try:
                return await self._lines.get(peer, min(_LOOK_SECONDS, _left(until)))
            except PeerTimeout:
                if not _left(until):
                    raise
            if await self._retired(min(_LOOK_SECONDS, _left(until))):
                card = self.card
                raise ConfigError(f"{card.model}@{card.version} was retired: connect again for a newer version")

    async def _retired(self, within: float) -> bool:
        try:
            return all(card.deployment != self.card.deployment for card in await self._centre.models(within))
        except (PehealthError, TransportError):
            return False

    async def _next_index(self, until: float) -> int:
        async with self._leasing:
            if not self._indices:
                # Who comes back for more is leased more at a time: a lease costs a round trip and three commits.
                count = self._leased = min(MOST_LEASED, max(1, self._wanting, 2 * self._leased))
                line = await self._line(Party.HC, until)
                reply = await line.ask("lease", within=_left(until) + 1, count=count, id=self.card.deployment)
                spans = Fields("lease", reply).spans("spans")
                if not 0 < len(spans) <= MOST_LEASED:
                    raise PeerProtocolError(f"HC leased {len(spans)} queries, {count} were asked for")
                self._indices.extend(spans.indices)
            return self._indices.popleft()


def _left(until: float) -> float:
    return max(0.0, until - trio.current_time())


def choose(cards: list[ModelCard], model: str, version: int | None) -> ModelCard:
    """Return the version of a model that is asked for; the newest unless it is said which.

    Raises:
        ConfigError: there is none, or it is not said which of several models.
    """
    found = [card for card in cards if not model or card.model == model]
    if version is not None:
        found = [card for card in found if card.version == version]
    names = sorted({card.model for card in found})
    if len(names) > 1:
        raise ConfigError(f"several models are deployed: name one of {', '.join(names)}")
    if not found:
        known = ", ".join(f"{card.model}@{card.version}" for card in cards) or "nothing"
        asked = f"{model or 'a model'}{f'@{version}' if version else ''}"
        raise ConfigError(f"{asked} is not deployed: there is {known}")
    return max(found, key=lambda card: card.version)
