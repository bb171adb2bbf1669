"""The readable report of a replay."""

from __future__ import annotations

from rich.console import Console

from parties.console import count, line, new_table, share, show_table
from parties.render import warnings
from parties.replaying import network_words
from pehealth.experiments.critical import CAUSES, Cause, by_layer, totals
from pehealth.experiments.replay_record import ReplayResult
from pehealth.experiments.steps import RunTrace
from pehealth.experiments.units import duration, rate

WORDS: dict[Cause, str] = {
    "compute": "computing",
    "transfer": "transfer",
    "latency": "latency",
    "handling": "handling of messages",
}
CLOCKS = {
    "real": "measured",
    "virtual": "in virtual time",
    "model": "nothing ran: computing is estimated",
}


def show(console: Console, result: ReplayResult) -> None:
    """Print what the run takes, and where the time goes."""
    trace, settings = result.trace, result.settings
    line(console, f"replay of {trace.net} on engine {trace.engine}, {_where(trace)}", "bold")
    warnings(console, trace.security, trace.parameters.group)
    line(console, f"Every link: {network_words(settings.network)}")
    for party, network in settings.links.items():
        line(console, f"Links of {party}: {network_words(network)}")
    if settings.speed:
        faster = ", ".join(f"{party} {factor:g}" for party, factor in settings.speed.items())
        line(console, f"Computing is faster by a factor: {faster}")
    if settings.handling:
        line(console, f"A message costs {duration(settings.handling)} beside its network")
    console.print()
    line(console, f"Time of a query, {result.phase}: {duration(result.seconds)}{_spread(result)}", "bold")
    line(console, f"Under the trace's own network: {duration(result.as_traced)}")
    _path(console, result)
    _grid(console, result)


def _where(trace: RunTrace) -> str:
    network = f", {trace.parameters.network}" if trace.parameters.network else ""
    return f"transport {trace.parameters.transport}{network}, {CLOCKS[trace.clock]}"


def _spread(result: ReplayResult) -> str:
    if len(result.queries) == 1:
        return ""
    times = [q.seconds for q in result.queries]
    return f", the median of {len(times)} ({duration(min(times))} to {duration(max(times))})"


def _path(console: Console, result: ReplayResult) -> None:
    title = f"Critical path of query {result.shown.trace.query}"
    table = new_table(console, title, "party", "layer", *(WORDS[c] for c in CAUSES), "together", "share", left=2)
    whole = result.shown.seconds
    for (party, layer), row in by_layer(result.path).items():
        spent = sum(row.values())
        cells = [duration(row[c]) if row[c] else "" for c in CAUSES]
        table.add_row(party, result.trace.layers[layer], *cells, duration(spent), share(spent, whole))
    row = totals(result.path)
    cells = [duration(row[c]) if row[c] else "" for c in CAUSES]
    table.add_row("all", "", *cells, duration(whole), share(whole, whole))
    show_table(console, table)
    hops = sum(p.cause == "latency" for p in result.path)
    line(console, f"{count(hops)} messages lie on the path; a message counts for its sender and its layer.")


def _grid(console: Console, result: ReplayResult) -> None:
    if result.grid is None:
        return
    columns = [rate(b) for b in result.grid.bandwidths]
    table = new_table(console, f"Time of query {result.shown.trace.query}", "latency, one way", *columns)
    for latency, row in zip(result.grid.latencies, result.grid.seconds, strict=True):
        table.add_row(duration(latency), *(duration(s) for s in row))
    show_table(console, table)
