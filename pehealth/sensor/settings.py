"""What a sensor needs of its settings file; the rest of the file is not looked at. docs/deployment.md explains it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pehealth.errors import ConfigError
from transport.addresses import parse_address
from transport.credentials import TlsFiles
from transport.handshake import is_name

PEERS = ("HC", "E1", "E2")
"""Whom a sensor talks to."""
DEADLINE_SECONDS = 30.0
LEAST_SECONDS = 0.1
MOST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """One sensor's settings.

    Attributes:
        party: its name, for instance "HMS1".
        deployment: names what the parties do together.
        peers: HC, E1, E2 -> address.
        tls: its certificate, key and authority; None: plain TCP, INSECURE.
        seconds: until when a query must be answered: `[deadlines] query`.
    """

    party: str
    deployment: str
    peers: Mapping[str, str]
    tls: TlsFiles | None
    seconds: float = DEADLINE_SECONDS

    @classmethod
    def load(cls, path: Path) -> SensorSettings:
        """Return the settings in a file; paths in it are relative to its folder.

        Raises:
            ConfigError: every problem found.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from error
        peers = _table(table, "peers")
        problems = [*_bad_names(table), *_bad_peers(peers), *_bad_tls(_table(table, "tls"))]
        seconds = _table(table, "deadlines").get("query", DEADLINE_SECONDS)
        if type(seconds) not in (int, float) or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            problems.append(f"[deadlines] query: expected {LEAST_SECONDS} to {MOST_SECONDS:g} seconds")
        if problems:
            raise ConfigError(*(f"{path}: {problem}" for problem in problems))
        tls = _files(_table(table, "tls"), path.parent)
        return cls(table["party"], table["deployment"], {p: peers[p] for p in PEERS}, tls, float(seconds))


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name, {})
    return found if isinstance(found, dict) else {}


def _bad_names(table: Mapping[str, Any]) -> list[str]:
    problems = []
    party = table.get("party")
    if not isinstance(party, str) or not re.fullmatch("HMS[1-9][0-9]*", party, re.ASCII):
        problems.append('party: expected a sensor\'s name, such as "HMS1"')
    if not is_name(table.get("deployment")):
        problems.append('deployment: expected a name, such as "north-clinic", the same at every party')
    return problems


def _bad_peers(peers: Mapping[str, Any]) -> list[str]:
    problems = []
    for peer in PEERS:
        address = peers.get(peer)
        try:
            if not isinstance(address, str):
                raise ValueError("its address is missing")  # noqa: TRY004, TRY301 - told as an address that is wrong
            parse_address(address)
        except ValueError as error:
            problems.append(f"[peers] {peer}: {error}")
    return problems


def _bad_tls(tls: Mapping[str, Any]) -> list[str]:
    if tls.get("insecure_plain") is True:
        return []
    missing = [key for key in ("certificate", "key", "authority") if not isinstance(tls.get(key), str)]
    return [f"[tls] {key}: expected a file" for key in missing]


def _files(tls: Mapping[str, Any], folder: Path) -> TlsFiles | None:
    if tls.get("insecure_plain") is True:
        return None
    revoked = tls.get("revoked")
    return TlsFiles(
        folder / tls["certificate"],
        folder / tls["key"],
        folder / tls["authority"],
        folder / revoked if isinstance(revoked, str) else None,
    )
