"""`pehealth check`: are the links of this party's settings there, and what are they worth?"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
from cyclopts import Parameter

from parties.console import duration, line, new_table, open_console, show_table, size
from parties.settings import Settings, load_settings
from pehealth.errors import ConfigError
from transport.certificates import moment

if TYPE_CHECKING:
    from rich.console import Console

    from parties.checking import CheckedLink

PAUSE_SECONDS = 5.0
"""A line about a peer that is missing is repeated so often, and at once if it says something new."""


def check(settings: Path, *, peers: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()) -> None:
    """Check this party's settings and keys, make its links, and measure them. The other parties run the same.

    Args:
        settings: This party's settings, a TOML file.
        peers: Check the links to these parties alone (default: all in the settings).
    """
    known = load_settings(settings)
    if unknown := [peer for peer in peers if peer not in known.peers]:
        raise ConfigError(f"--peers {' '.join(unknown)}: not among the [peers] of {settings}")
    console, errors = open_console(), open_console(stderr=True)
    line(console, f"{settings}: {known.party} of {known.deployment}, settings and files are good")
    for warning in known.warnings(dt.datetime.now(dt.UTC)):
        line(errors, f"WARNING: {warning}", "bold yellow")
    show(console, known, trio.run(_check, known, peers or tuple(known.peers), _Teller(errors)))


async def _check(settings: Settings, peers: tuple[str, ...], report: Callable[[str], None]) -> list[CheckedLink]:
    from parties.checking import check_links, check_names

    await check_names(settings, peers)
    return await check_links(settings, settings.carrier(), peers=peers, report=report)


class _Teller:
    """Says whom we wait for, without saying the same every second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, float] = {}

    def __call__(self, text: str) -> None:
        """Print a line unless one that differs in the seconds alone was printed just now."""
        gist = "".join(char for char in text if not char.isdigit())
        now = trio.current_time()
        if now - self._said.get(gist, -math.inf) >= PAUSE_SECONDS:
            self._said[gist] = now
            line(self._console, text)


def show(console: Console, settings: Settings, links: list[CheckedLink]) -> None:
    """Print the table of links."""
    columns = ("peer", "link", "its certificate", "round trip", "median", "to it", "from it")
    table = new_table(console, f"Links of {settings.party}, measured one after the other", *columns, left=3)
    for link in links:
        measured = link.measured
        table.add_row(
            link.peer,
            f"we call {link.address}" if link.address else f"it calls {settings.listen}",
            _certificate(link),
            duration(measured.least),
            duration(measured.median),
            _rate(measured.there),
            _rate(measured.back),
        )
    show_table(console, table)
    line(console, f"All {len(links)} links stand.")


def _certificate(link: CheckedLink) -> str:
    if link.proof is None:
        return "none: PLAIN TCP"
    return f"until {moment(dt.datetime.fromtimestamp(link.proof.until, dt.UTC))}"


def _rate(bytes_per_second: float) -> str:
    return f"{size(round(bytes_per_second))}/s" if math.isfinite(bytes_per_second) else "-"
