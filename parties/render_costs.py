"""The tables of rounds, bytes, operations and time: planned beside measured."""

from __future__ import annotations

from rich.console import Console

from parties.console import count, duration, new_table, show_table
from pehealth.nets.record import PHASES, LayerCost, LayerRecord, LinkCount, Links, PhaseCost, RunResult

NOTHING = LinkCount()


def both(planned: float, measured: float) -> str:
    """Return "12" when plan and measurement agree, else both, marked."""
    if planned == measured:
        return count(measured)
    return f"{count(measured)} (planned {count(planned)})"


def total(links: Links) -> LinkCount:
    """Return the sum over all links."""
    return sum(links.values(), NOTHING)


def between_servers(links: Links) -> LinkCount:
    """Return what E1 and E2 sent each other, both ways together."""
    return links.get("E1->E2", NOTHING) + links.get("E2->E1", NOTHING)


def phases(console: Console, result: RunResult) -> None:
    """Print rounds, bytes and time by phase."""
    columns = ("phase", "server rounds", "depth", "messages", "payload B", "framing B", "E1<->E2 B", "time")
    table = new_table(console, "Phases (a figure that differs from the plan shows both)", *columns)
    for name in PHASES:
        plan, got = result.planned.phases.get(name, PhaseCost()), result.phases[name]
        want, have = total(plan.links), total(got.links)
        table.add_row(
            name,
            both(plan.server_rounds, got.server_rounds),
            both(plan.depth, got.depth),
            both(want.messages, have.messages),
            both(want.payload, have.payload),
            both(want.framing, have.framing),
            both(between_servers(plan.links).bytes, between_servers(got.links).bytes),
            duration(got.seconds),
        )
    show_table(console, table)


def layers(console: Console, result: RunResult) -> None:
    """Print rounds, bytes and time by layer and link; a layer that sends nothing says so."""
    columns = ("layer", "link", "server rounds", "messages", "payload B", "framing B", "time E1", "time E2")
    table = new_table(console, "Online, layer by layer", *columns, left=2)
    plans = {layer.name: layer for layer in result.planned.layers}
    for layer in result.layers:
        plan = plans.get(layer.name, LayerCost(layer.name, layer.kind))
        links = sorted({*plan.links, *layer.links})
        for place, link in enumerate(links or ["no message"]):
            want, have = plan.links.get(link, NOTHING), layer.links.get(link, NOTHING)
            table.add_row(
                *(_head(layer, plan, link) if place == 0 else ("", link, "")),
                both(want.messages, have.messages),
                both(want.payload, have.payload),
                both(want.framing, have.framing),
                *(_times(layer) if place == 0 else ("", "")),
            )
    show_table(console, table)


def _head(layer: LayerRecord, plan: LayerCost, link: str) -> tuple[str, str, str]:
    return layer.name, link, both(plan.server_rounds, layer.server_rounds)


def _times(layer: LayerRecord) -> tuple[str, str]:
    return duration(layer.seconds.get("E1", 0.0)), duration(layer.seconds.get("E2", 0.0))


def operations(console: Console, result: RunResult) -> None:
    """Print how often each counted operation ran, by phase."""
    names = sorted({name for phase in result.phases.values() for name in phase.ops})
    if not names:
        return
    table = new_table(console, "Operations of all parties, a query", "operation", *PHASES)
    for name in names:
        table.add_row(name, *(_figure(result, phase, name) for phase in PHASES))
    show_table(console, table)


def _figure(result: RunResult, phase: str, name: str) -> str:
    measured = result.phases[phase].ops.get(name, 0)
    if not measured:
        return "-"
    return both(result.planned.phases[phase].ops.get(name, measured), measured)


def planned_tables(console: Console, phases: dict[str, PhaseCost], layers: tuple[LayerCost, ...]) -> None:
    """Print the plan alone, for `pehealth plan`."""
    table = new_table(console, "Phases", "phase", "server rounds", "depth", "messages", "payload B", "framing B")
    for name, phase in phases.items():
        sum_ = total(phase.links)
        table.add_row(name, *map(count, (phase.server_rounds, phase.depth, sum_.messages, sum_.payload, sum_.framing)))
    show_table(console, table)
    table = new_table(
        console,
        "Online, layer by layer",
        "layer",
        "link",
        "server rounds",
        "messages",
        "payload B",
        "framing B",
        left=2,
    )
    for layer in layers:
        for place, link in enumerate(sorted(layer.links) or ["no message"]):
            have = layer.links.get(link, NOTHING)
            head = (layer.name, link, count(layer.server_rounds)) if place == 0 else ("", link, "")
            table.add_row(*head, *map(count, (have.messages, have.payload, have.framing)))
    show_table(console, table)
