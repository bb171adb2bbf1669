"""What the settings of a party say about its service: how much it admits, how long it waits, whom it tells results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from parties.toml_reader import TomlReader
from pehealth.config import Party

Told = Literal["result", "receipt"]
"""What a client receives: the result, or that its query was answered."""
TOLD: tuple[Told, ...] = ("result", "receipt")
GIB = 2**30
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Limits and habits of a long-running party.

    Attributes:
        models: most deployments at a time, all versions counted.
        parameters_bytes: greatest share of one model that is taken.
        in_flight: most queries under way at a time in one deployment; more are told Busy.
        in_flight_each: the same of one client.
        prepared: queries of each client that are made ready ahead.
        requests: most requests of one peer that are served at a time; more wait unread.
        links: most links of all peers and deployments together; more callers are refused.
        links_each: the same of one peer, which may make as many anew in a second.
        guests: callers that may greet at one time; more wait.
        guests_each: the same of one address; more are turned away.
        query_seconds: a query that is not done by then has failed.
        drain_seconds: how long what is under way may still take once the party is told to stop, or a model to retire.
        low, high: HC alone: material is dealt when fewer queries than `low` are left, until `high` are.
        clients: HC alone: client -> what it receives; who is not named receives receipts.
    """

    models: int = 16
    parameters_bytes: int = 2 * GIB
    in_flight: int = 32
    in_flight_each: int = 8
    prepared: int = 8
    requests: int = 64
    links: int = 512
    links_each: int = 64
    guests: int = 64
    guests_each: int = 16
    query_seconds: float = 30.0
    drain_seconds: float = 30.0
    low: int = 64
    high: int = 256
    clients: Mapping[str, Told] = field(default_factory=dict)


def read_service(top: TomlReader, limits: TomlReader, deadlines: TomlReader) -> ServiceSettings:
    """Return the service's part of a file of settings; problems go to the readers."""
    default = ServiceSettings()

    def count(key: str, most: int) -> int:
        return int(limits.number(key, getattr(default, key), 1, most))

    low, high = _water_marks(top, default)
    return ServiceSettings(
        models=count("models", 10_000),
        parameters_bytes=count("parameters_bytes", 1024 * GIB),
        in_flight=count("in_flight", 4096),
        in_flight_each=count("in_flight_each", 4096),
        prepared=count("prepared", 4096),
        requests=count("requests", 4096),
        links=count("links", 65_536),
        links_each=count("links_each", 65_536),
        guests=count("guests", 4096),
        guests_each=count("guests_each", 4096),
        query_seconds=deadlines.number("query", default.query_seconds, 0.1, DAY_SECONDS),
        drain_seconds=deadlines.number("drain", default.drain_seconds, 0.0, DAY_SECONDS),
        low=low,
        high=high,
        clients=_clients(top),
    )


def _water_marks(top: TomlReader, default: ServiceSettings) -> tuple[int, int]:
    material = top.table("material")
    low = int(material.number("low", default.low, 0, 10**6))
    high = int(material.number("high", max(default.high, low), 1, 10**6))
    if high < low:
        material.complain("high", f" = {high}: must not be below low, {low}")
    material.finish()
    return low, high


def _clients(top: TomlReader) -> Mapping[str, Told]:
    table = top.table("clients")
    clients: dict[str, Told] = {}
    for name, said in table.texts().items():
        told = next((each for each in TOLD if each == said), None)
        if not name.startswith(Party.HMS):
            table.complain(name, ": a client is named as a sensor: HMS1, HMS2, ...")
        elif said and told is None:
            table.complain(name, f" = {said!r}: expected {' or '.join(repr(each) for each in TOLD)}")
        elif told is not None:
            clients[name] = told
    return clients
