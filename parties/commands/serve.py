"""`pehealth serve`: this machine's party, for as long as the process lives."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def serve(*files: Path) -> None:
    """Serve as the parties of these settings: E1, E2, HC or DEALER; each is on its own, in one process.

    Args:
        files: One TOML file a party.
    """
    from parties.settings import load_settings
    from pehealth.errors import ConfigError

    if not files:
        raise ConfigError("name a party's file of settings: pehealth serve E1.toml")
    problems: list[str] = []
    everything = []
    for file in files:
        try:
            everything.append(load_settings(file))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    import trio

    service = import_module("parties.service.serve")
    service.check_apart(everything)
    trio.run(service.serve, everything, say)


def say(text: str) -> None:
    """Print a line for the operator to standard error."""
    sys.stderr.write(f"pehealth: {text}\n")
    sys.stderr.flush()
