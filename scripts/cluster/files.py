"""Keys and settings of every party in a folder each, on free ports of the loopback."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from parties.keys import AUTHORITY, DAYS, REVOKED, KeyFolder

SERVICES = ("E1", "E2", "DEALER", "HC")
"""The parties that are services, in the order in which they are called."""
DEPLOYMENT = "soak"


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def client_names(count: int) -> tuple[str, ...]:
    """Return HMS1, HMS2, ..."""
    return tuple(f"HMS{n}" for n in range(1, count + 1))


def write_cluster(
    folder: Path, clients: int, *, tls: bool = True, tables: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Path]:
    """Write settings, and keys if `tls`, for all services and `clients` clients; return party -> settings file.

    Args:
        folder: where each party gets a folder of its own.
        clients: how many.
        tls: mutual TLS; else plain TCP, which is INSECURE.
        tables: further settings: table -> key -> value as TOML text; `[material]` and `[clients]` go to HC alone.
    """
    names = (*SERVICES, *client_names(clients))
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(SERVICES, free_ports(len(SERVICES)), strict=True)}
    if tls:
        _issue(folder, names)
    paths = {}
    for name in names:
        home = folder / name
        home.mkdir(mode=0o700, exist_ok=True)
        paths[name] = home / f"{name}.toml"
        paths[name].write_text(_settings(name, names, addresses, tls, tables or {}), encoding="utf-8")
    return paths


def _issue(folder: Path, names: Sequence[str]) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = folder / "authority"
    KeyFolder.init(authority, DAYS, now)
    KeyFolder(authority, now).issue(names, DAYS)
    for name in names:
        home = folder / name
        home.mkdir(mode=0o700)
        for file in (AUTHORITY, REVOKED, f"{name}.pem", f"{name}.key"):
            shutil.copy2(authority / file, home / file)


def _settings(
    name: str,
    names: Sequence[str],
    addresses: Mapping[str, str],
    tls: bool,
    tables: Mapping[str, Mapping[str, str]],
) -> str:
    client = name not in SERVICES
    lines = [f'party = "{name}"', f'deployment = "{DEPLOYMENT}"']
    if not client:
        lines += [f'listen = "{addresses[name]}"', 'store = "store"']
    lines += ["", "[peers]"]
    for peer in names:
        both = {name, peer}
        if peer == name or (client and (peer not in SERVICES or peer == "DEALER")):
            continue
        if "DEALER" in both and both - set(SERVICES):
            continue
        calls = client or (peer in SERVICES and SERVICES.index(peer) < SERVICES.index(name))
        lines.append(f'{peer} = "{addresses[peer] if calls else "calls"}"')
    lines += ["", "[tls]"]
    if tls:
        lines += [f'certificate = "{name}.pem"', f'key = "{name}.key"', 'authority = "authority.pem"']
        lines += [f'revoked = "{REVOKED}"']
    else:
        lines += ["insecure_plain = true"]
    for table, entries in tables.items():
        if table in ("material", "clients") and name != "HC":
            continue
        lines += ["", f"[{table}]", *(f"{key} = {value}" for key, value in entries.items())]
    return "\n".join(lines) + "\n"
