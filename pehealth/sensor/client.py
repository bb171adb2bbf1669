"""A sensor: leases query numbers from the centre, sends each reading's two shares, and hears what became of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pehealth.crypto.domain import KEY_BYTES
from pehealth.errors import PehealthError
from pehealth.sensor.conversation import Reply
from pehealth.sensor.described import Described, choose, spans_of
from pehealth.sensor.link import Link, open_link, wait_any
from pehealth.sensor.settings import SensorSettings
from pehealth.sensor.share import second_share
from transport.errors import PeerTimeout, TransportError
from transport.handshake import Hello

ROLE = "HMS"
SERVERS = ("E1", "E2")
DEFAULT_LEASE = 16
DEFAULT_RETRIES = 2
KEEPALIVE_SECONDS = 10.0
STALE_SECONDS = 30.0
"""A link that was silent for so long is made anew before it is used: the other end may have given it up."""
_BUSY_SECONDS = 0.05
_MOST_BUSY_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
_MOST_PAUSE_SECONDS = 2.0
_FINAL = ("ConfigError", "RangeError")
"""Kinds of refusal that another query number would not mend."""
PEER_LOST = 3
"""The exit code of what may mend by itself."""


class Refused(PehealthError):
    """A party has answered a request with an error; `kind` is the error's class at its end."""

    exit_code = PEER_LOST

    def __init__(self, party: str, reply: Reply) -> None:
        self.party, self.kind = party, reply.kind
        self.exit_code = reply.code if reply.code in (2, 3, 4) else PEER_LOST
        known = " stopped: " in reply.error or reply.error.startswith(f"{party}: ")
        super().__init__(reply.error if known else f"{party}: {reply.error}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a reading.

    Attributes:
        query: its number.
        model, version: what it was answered with.
        class_index, label: the class; None if the centre keeps results to itself.
        logits: as real numbers; None also where the centre receives the class alone.
        error_bound: by how much a logit may differ from the exact one.
        digits: decimal digits that readings keep.
        seconds: from the call to the last party's word.
        retries: how many numbers were spent before this one.
    """

    query: int
    model: str
    version: int
    class_index: int | None
    label: str | None
    logits: tuple[float, ...] | None
    error_bound: float
    digits: int
    seconds: float
    retries: int


class Sensor:
    """Submits readings, one sample at a time. Blocking; not for two threads at once. Use it in a `with` block.

    Args:
        settings: whom to call, and our certificate.
        model: the model's name; empty if the centre has one alone.
        version: its version; None: the newest.
        lease: how many query numbers to ask for at a time.
        retries: how often a failed query is tried again under another number.
    """

    def __init__(
        self,
        settings: SensorSettings,
        *,
        model: str = "",
        version: int | None = None,
        lease: int = DEFAULT_LEASE,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        self.settings = settings
        self._wanted = model, version
        self._lease, self._retries = lease, retries
        self._links: dict[str, Link] = {}
        self._model: Described | None = None
        self._numbers: list[int] = []
        self._session, self._requests = secrets.token_hex(8), 0
        self._past = {"sent": 0, "received": 0}

    @classmethod
    def load(cls, path: Path, *, model: str = "", version: int | None = None) -> Self:
        """Return the sensor of a settings file. Raises ConfigError."""
        return cls(SensorSettings.load(path), model=model, version=version)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sent(self) -> int:
        """Bytes of frames sent so far."""
        return self._past["sent"] + sum(link.sent for link in self._links.values())

    @property
    def received(self) -> int:
        """Bytes of frames received so far."""
        return self._past["received"] + sum(link.received for link in self._links.values())

    def close(self) -> None:
        """Say goodbye to everyone."""
        self._forget(politely=True)

    def open(self) -> Described:
        """Make the links, if they do not stand, and return what the centre says of the model.

        Raises:
            TransportError, PehealthError: somebody cannot be reached, or does not agree.
        """
        return self._ready(time.monotonic() + self.settings.seconds)

    def submit(self, readings: Sequence[float]) -> Receipt:
        """Have one sample classified; its shares go to the servers, and what they say comes back.

        Args:
            readings: numbers in the readings' own units, as many as the model takes.

        Raises:
            ConfigError, RangeError: these readings cannot be encoded; nothing was sent.
            Refused, TransportError: no number worked; the last failure. The deadline holds for all tries together.
        """
        began = time.monotonic()
        until = began + self.settings.seconds
        self._requests += 1
        for retries in range(self._retries + 1):
            try:
                model = self._ready(until)
                number, answer = self._try(model, model.batch_of(readings), until)
            except (Refused, TransportError) as error:
                if isinstance(error, TransportError) or error.kind == "Draining":
                    self._forget()  # and look anew: a model that is being retired may have a successor
                if isinstance(error, Refused) and error.kind == "MaterialError":
                    self._numbers = []  # what burnt this number has burnt its neighbours, too
                final = isinstance(error, Refused) and error.kind in _FINAL
                if final or retries == self._retries or time.monotonic() >= until:
                    raise
            else:
                return _receipt(model, number, answer, time.monotonic() - began, retries)
        raise AssertionError("the last try returns or raises")

    def _ready(self, until: float) -> Described:
        if any(time.monotonic() - link.spoke > STALE_SECONDS for link in self._links.values()):
            self._forget(politely=True)
        if self._model is not None and self._links:
            return self._model
        pause = _PAUSE_SECONDS
        while True:
            try:
                return self._connect(until)
            except TransportError as error:
                self._forget()
                if error.exit_code != PEER_LOST or time.monotonic() + pause >= until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _MOST_PAUSE_SECONDS)

    def _connect(self, until: float) -> Described:
        model = self._find(until)
        for peer in ("HC", *SERVERS):
            hello = Hello(self.settings.party, ROLE, model.room, model.fields, peer)
            self._links[peer] = open_link(self.settings.peers[peer], hello, self.settings.tls, until)
        return model

    def _find(self, until: float) -> Described:
        """Ask the centre, in the room that all parties share, which model to use."""
        s = self.settings
        link = open_link(s.peers["HC"], Hello(s.party, ROLE, s.deployment, {}, "HC"), s.tls, until)
        try:
            told = self._answer(link, link.ask("models", until), until)
        finally:
            self._count(link)
            link.close()
        found = choose(told, *self._wanted)
        if self._model is None or found.room != self._model.room:
            self._model, self._numbers = found, []
        return self._model

    def _try(self, model: Described, values: list[int], until: float) -> tuple[int, Mapping[str, Any]]:
        """Spend one number on a sample; return it, with the centre's answer."""
        for link in self._links.values():
            link.replies.clear()  # late ones, to a query that has failed
        if not self._numbers:
            centre = self._links["HC"]
            asked = centre.ask("lease", until, id=model.room, count=self._lease)
            self._numbers = spans_of(self._answer(centre, asked, until))
        number = self._numbers.pop(0)
        key = secrets.token_bytes(KEY_BYTES)
        messages = {"E1": key, "E2": second_share(values, model.ring, key)}
        request = f"{self._session}-{self._requests}"
        waiting = {"HC": self._links["HC"].ask("expect", until, index=number, request=request)}
        for server in SERVERS:
            waiting[server] = self._upload(server, number, messages[server], until)
        answer: Mapping[str, Any] = {}
        pause = _BUSY_SECONDS
        while waiting:
            party, reply = self._next(waiting, until)
            del waiting[party]
            if reply.ok is None and reply.kind == "Busy" and party in SERVERS:
                time.sleep(max(0.0, min(pause, until - time.monotonic())))
                pause = min(2 * pause, _MOST_BUSY_SECONDS)
                # The same message under the same number: the server has not taken it.
                waiting[party] = self._upload(party, number, messages[party], until)
            elif reply.ok is None:
                if "HC" in waiting:
                    self._links["HC"].ask("give_up", until, index=number)
                raise Refused(party, reply)
            elif party == "HC":
                answer = reply.ok
        return number, answer

    def _upload(self, server: str, number: int, message: bytes, until: float) -> int:
        link = self._links[server]
        asked = link.ask("submit", until, index=number)
        link.upload(number, message, until)
        return asked

    def _next(self, waiting: Mapping[str, int], until: float) -> tuple[str, Reply]:
        """Return the next answer to one of the requests in `waiting`, of whomever it comes first."""
        while True:
            for party, number in waiting.items():
                reply = self._links[party].replies.pop(number, None)
                if reply is not None:
                    return party, reply
            links = [self._links[party] for party in waiting]
            now = time.monotonic()
            try:
                wait_any(links, min(until, now + KEEPALIVE_SECONDS))
            except PeerTimeout:
                if time.monotonic() >= until:
                    raise
                for link in self._links.values():
                    link.keep_alive(until)

    def _answer(self, link: Link, number: int, until: float) -> Mapping[str, Any]:
        while number not in link.replies:
            link.read(until)
        reply = link.replies.pop(number)
        if reply.ok is None:
            raise Refused(link.peer, reply)
        return reply.ok

    def _forget(self, *, politely: bool = False) -> None:
        for link in self._links.values():
            self._count(link)
            if politely:
                link.close()
            else:
                link.drop()
        self._links = {}
        self._numbers = []  # the centre tells us again what we have not used

    def _count(self, link: Link) -> None:
        self._past["sent"] += link.sent
        self._past["received"] += link.received


def _receipt(model: Described, number: int, told: Mapping[str, Any], seconds: float, retries: int) -> Receipt:
    """Return what became of a reading. Raises FrameError: the centre told something else than a result."""
    place, logits = model.result_in(told)
    return Receipt(
        number, model.name, model.version, place, None if place is None else model.labels[place], logits,
        model.error_bound / model.scale, model.scaling.digits, seconds, retries,
    )  # fmt: skip
