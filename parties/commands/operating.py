"""What commands to a running service share: they speak to it over its socket, on its own machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parties.progress import show_progress


def ask_service(file: Path, op: str, what: str = "", **fields: object) -> Mapping[str, Any]:
    """Have the running party of a settings file do something; what it tells meanwhile goes to standard error.

    Args:
        file: the party's settings.
        op: what to do.
        what: words for the progress bar.
        fields: see `parties.service.operator`.

    Raises:
        ConfigError: it does not run here, or cannot do it.
        PehealthError, TransportError: it failed.
    """
    import trio

    from parties.service.operator import command
    from parties.settings import load_settings

    settings = load_settings(file)

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    with show_progress() as show:

        async def run() -> Mapping[str, Any]:
            return await command(settings, op, tell, lambda at, of: show(what or op, at, of), **fields)

        return trio.run(run)
