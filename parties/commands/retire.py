"""`pehealth retire`: a model is drained, and deleted at every party."""

from __future__ import annotations

from pathlib import Path


def retire(model: str, /, *, service: Path) -> None:
    """Retire a model: no new queries, those under way are finished, and every party deletes its part and says so.

    Args:
        model: NAME for all versions, or NAME@VERSION.
        service: HC's settings file; its service runs on this machine.
    """
    from parties.answering import named
    from parties.commands.operating import ask_service
    from parties.console import line, open_console

    name, version = named(model)
    said = ask_service(service, "retire", name=name, version=version or 0)
    console = open_console()
    line(console, f"{model} is retired", "bold")
    for party, queries in said["queries"].items():
        answered = f"; it had answered {queries:,} queries" if party in ("E1", "E2") else ""
        line(console, f"{party} has deleted its part{answered}")
