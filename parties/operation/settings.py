"""The table `[operation]` of a party's settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from parties.toml_reader import TomlReader
from transport.tcp import parse_address

STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class OperationSettings:
    """Where a party tells its operator what happens.

    Attributes:
        metrics: address of /metrics, /healthz and /readyz; empty: nowhere.
        log: the log's file; None: standard error.
        audit: the audit log's file; None: none is kept.
    """

    metrics: str = ""
    log: Path | None = None
    audit: Path | None = None

    def warnings(self) -> list[str]:
        """Return what should be known at every start."""
        if not self.metrics or is_loopback(self.metrics):
            return []
        return [f"metrics and health are at {self.metrics} for everyone who can reach it, without TLS"]


def read_operation(table: TomlReader, folder: Path) -> OperationSettings:
    """Return the settings in a table; what is wrong with them goes to the table's problems."""
    metrics, log, audit = table.text("metrics", ""), table.text("log", STDERR), table.text("audit", "")
    if metrics:
        try:
            _, port = parse_address(metrics)
        except ValueError as error:
            table.complain("metrics", f": {error}")
        else:
            if port == 0:
                table.complain("metrics", f" = {metrics!r}: others must know the port, so it cannot be 0")
    settings = OperationSettings(
        metrics=metrics,
        log=folder / log if log not in ("", STDERR) else None,
        audit=folder / audit if audit else None,
    )
    for key, path in (("log", settings.log), ("audit", settings.audit)):
        if path is not None and not path.parent.is_dir():
            table.complain(key, f" = {str(path)!r}: there is no folder {path.parent}")
        elif path is not None and path.is_dir():
            table.complain(key, f" = {str(path)!r}: that is a folder")
    if settings.log is not None and settings.log == settings.audit:
        table.complain("audit", " is the same file as log: it needs one of its own")
    table.finish()
    return settings


def is_loopback(address: str) -> bool:
    """Say whether only this machine can reach an address. Raises ValueError for what is none."""
    host, _ = parse_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
