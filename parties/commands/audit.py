"""`pehealth audit`: is an audit log what was written, and what does it say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from parties.console import count, line, new_table, open_console, show_table
from parties.operation.audit import ANEW
from parties.operation.audit_verify import AuditSummary
from parties.operation.audit_verify import verify as verify_chain
from pehealth.errors import ConfigError


def verify(*files: Path, head: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()) -> None:
    """Check the chain of an audit log and sum it up.

    Args:
        files: The file; several if the log was continued in another, the oldest first.
        head: Hashes that were kept elsewhere, each of which must still be there.
    """
    if not files:
        raise ConfigError("which file? [operation] audit in the party's settings names it")
    summary, console = verify_chain(files, head), open_console()
    _print_chain(console, summary)
    if summary.queries:
        _print_queries(console, summary)


def _print_chain(console: Console, summary: AuditSummary) -> None:
    if not summary.lines:
        line(console, "The audit log is empty")
        return
    line(console, f"{count(summary.lines)} lines in one chain, from {summary.first} to {summary.last}")
    for event, lines in sorted(summary.events.items()):
        line(console, f"  {event}: {count(lines)}")
    for place in summary.torn:
        line(console, f"{place} was cut when the machine stopped; the chain goes on after it")
    if summary.begins != ANEW:
        line(console, f"It continues another file, whose last line has the hash {summary.begins}")
    line(console, f"head {summary.head}")
    line(console, "Lines cut off at the end do not show: keep the head elsewhere, and ask for it with --head")


def _print_queries(console: Console, summary: AuditSummary) -> None:
    table = new_table(console, "Queries", "model", "version", "outcome", "queries", left=3)
    for (model, version, outcome), queries in sorted(summary.queries.items()):
        table.add_row(model, str(version), outcome, count(queries))
    show_table(console, table)
    table = new_table(console, "Submitters", "who", "queries")
    for who, queries in sorted(summary.submitters.items()):
        table.add_row(who, count(queries))
    show_table(console, table)
