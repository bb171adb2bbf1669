"""`pehealth status`: what a running party has deployed, how much material is left, and who is linked."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def status(*, service: Path, json: bool = False) -> None:
    """Show what the running party of a settings file has deployed, what is left, and who is linked.

    Args:
        service: The party's settings file; its service runs on this machine.
        json: One JSON document, for a program.
    """
    from parties.commands.operating import ask_service
    from parties.console import line, new_table, open_console, show_table

    said = ask_service(service, "status")
    if json:
        sys.stdout.write(json_format.dumps(dict(said), indent=2) + "\n")
        return
    console = open_console()
    where = f" on {said['address']}" if said["address"] else ""
    line(console, f"{said['party']} of {said['deployment']} serves{where}", "bold")
    line(console, f"linked: {', '.join(said['links']) or 'nobody'}")
    for lacking in said["lacking"]:
        line(console, f"lacking: {lacking}")
    deployments = said["deployments"]
    if not deployments:
        line(console, "No model is deployed.")
        return
    table = new_table(console, "Models", "model", "state", "clients", "in flight", "left", left=2)
    for each in sorted(deployments, key=lambda each: (each["model"], each["version"])):
        state = "serving" if each["committed"] else "pending"
        table.add_row(f"{each['model']}@{each['version']}", state, *_figures(each))
    show_table(console, table)


def _figures(each: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{each['clients']}", f"{each['in_flight']}", f"{each['left']:,}" if "left" in each else "-"
