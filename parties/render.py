"""The readable report of a run, made from its record alone; and two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from parties import render_costs
from parties.console import banner, count, duration, line, new_table, share, show_table, size
from parties.knowledge import KNOWLEDGE, SHAPES, revealed
from pehealth.nets.record import PlanResult, RunResult, Sample, Security

MOST_SAMPLES = 12
"""Rows of the samples' table; the record has them all."""

BYTES_NOTE = "Bytes are counted at the frame: payload and framing; what TLS and TCP add is not in them."


def report(console: Console, result: RunResult, classes: Sequence[str] = ()) -> None:
    """Print what ran, how secure it was, what came out, what it cost, and who learned what.

    Args:
        console: from `parties.console.open_console`.
        result: the run.
        classes: the classes' names, where they are known.
    """
    line(console, f"pehealth {result.version}, {result.command}: {result.net} on engine {result.engine}", "bold")
    line(console, _settings(result))
    machine = result.machine
    line(console, f"{machine.cpu}, {machine.cores} cores, Python {machine.python}, numpy {machine.numpy}")
    warnings(console, result.security, result.parameters.group)
    _samples(console, result, classes)
    console.print()
    line(console, accuracy_line(result))
    line(console, precision_line(result))
    line(console, time_line(result))
    for note in result.notes:
        line(console, note)
    render_costs.phases(console, result)
    render_costs.layers(console, result)
    render_costs.operations(console, result)
    who_learns_what(console, result)
    console.print()
    line(console, BYTES_NOTE)
    warnings(console, result.security, result.parameters.group)


def warnings(console: Console, security: Security, group: str | None) -> None:
    """Print a banner for a weak group and a line for what the servers learn; nothing where there is nothing."""
    if security.insecure:
        banner(console, f"INSECURE: {group} offers about {security.bits} bits; use it for measurements alone")
    if security.reveals:
        line(console, f"Reveals to E1 and E2: {revealed(security.reveals)}.", "bold yellow")


def _settings(result: RunResult | PlanResult) -> str:
    p = result.parameters
    parts = [f"digits {p.digits}", f"ring 2^{p.ring}", f"batch {p.batch}"]
    named = (("group", p.group), ("walk", p.walk), ("cap", p.cap), ("lattice", p.lattice), ("network", p.network))
    parts += [f"{name} {value}" for name, value in named if value is not None]
    plain = "" if p.transport == "memory" else " WITHOUT TLS"
    parts.append(f"transport {p.transport}{' with TLS' if p.tls else plain}")
    return f"{', '.join(parts)}; {result.security.bits} bits of security"


def _name(index: int | None, classes: Sequence[str]) -> str:
    if index is None:
        return "?"
    name = classes[index] if index < len(classes) else ""
    return f"{index} {name}" if name not in ("", str(index)) else str(index)


def _samples(console: Console, result: RunResult, classes: Sequence[str]) -> None:
    columns = ("sample", "true class", "private", "plaintext", "", "|secure - ideal|", "online")
    table = new_table(console, "Samples", *columns, left=5)
    for sample in result.samples[:MOST_SAMPLES]:
        table.add_row(
            str(sample.index),
            _name(sample.label, classes),
            _name(sample.prediction, classes),
            _name(sample.plain_prediction, classes),
            _remark(sample, result),
            count(deviation(sample)) if sample.logits_int else "-",
            duration(sample.online_seconds),
        )
    show_table(console, table)
    if (more := len(result.samples) - MOST_SAMPLES) > 0:
        line(console, f"... and {more:,} more, in the record (--json)")


def _remark(sample: Sample, result: RunResult) -> str:
    if sample.prediction != sample.plain_prediction:
        return "differs, near tie" if sample.index in result.near_ties else "DIFFERS"
    return "near tie" if sample.index in result.near_ties else ""


def deviation(sample: Sample) -> int:
    """Return the greatest |secure - ideal| over the logits, in units of 1/scale."""
    pairs = zip(sample.logits_int, sample.ideal_int, strict=False)
    return max((abs(secure - ideal) for secure, ideal in pairs), default=0)


def accuracy_line(result: RunResult) -> str:
    """Return the three accuracies and how many samples they are of."""
    a = result.accuracy
    named = (("private", a.secure), ("plaintext", a.plain), ("always the commonest class", a.majority))
    figures = ", ".join(f"{name} {share(value, 1)}" for name, value in named if value is not None)
    return f"Accuracy over {_plural(len(result.samples), 'sample')}: {figures or 'unknown, no labels'}"


def precision_line(result: RunResult) -> str:
    """Return how far the secure logits are from the oracle, beside the proven bound, and the near ties."""
    if result.parameters.reveal == "class":
        return f"The centre received the class alone{_ties(result)}"
    worst = max((deviation(s) for s in result.samples), default=0)
    verdict = "within" if worst <= result.error_bound else "BEYOND"
    bound = f"{count(result.error_bound)} units of 1/{result.scale:,}"
    return f"Greatest |secure - ideal|: {count(worst)}, {verdict} the bound of {bound}{_ties(result)}"


def _ties(result: RunResult) -> str:
    return f"; {_plural(len(result.near_ties), 'near tie')}, where the class may differ" if result.near_ties else ""


def wrong_classes(result: RunResult) -> int:
    """Return how many private predictions differ from the plaintext ones."""
    return sum(s.prediction != s.plain_prediction for s in result.samples)


def time_line(result: RunResult) -> str:
    """Return the online time and, on the same line, what was wrong: no time stands without its error rate."""
    samples, wrong = len(result.samples), wrong_classes(result)
    rates = [f"classes unlike plaintext {wrong} of {samples} ({share(wrong, samples)})"]
    if result.parameters.walk is not None:
        rates.append(_conversions(result))
    batch = _plural(result.parameters.batch, "sample")
    return f"Online time: {duration(result.phases['online'].seconds)} a query of {batch}; {'; '.join(rates)}"


def _conversions(result: RunResult) -> str:
    """Return the wrong share conversions: counted where the run could count them, else as the plan expects."""
    planned, measured = result.planned.phases["online"].ops, result.phases["online"].ops
    done = measured.get("conversions", planned.get("conversions", 0)) / 2  # each is done by both servers
    for ops, how in ((measured, "counted"), (planned, "expected")):
        if "wrong_conversions" in ops:
            wrong = ops["wrong_conversions"]
            return f"wrong conversions {wrong:.3g} of {count(done)} ({share(wrong, done)}, {how})"
    return f"conversions {count(done)}"


def who_learns_what(console: Console, result: RunResult | PlanResult) -> None:
    """Print what each party knows, what the servers learn, and who would have to collude."""
    knowledge = KNOWLEDGE[result.engine]
    table = new_table(console, "Who learns what", "party", "knows", left=2)
    for party, knows in knowledge.rows():
        table.add_row(party, knows)
    table.add_row("revealed to E1 and E2", revealed(result.security.reveals))
    table.add_row("seen by everyone", SHAPES)
    table.add_row("broken by", "; ".join(knowledge.broken_by))
    show_table(console, table)


def compare(console: Console, results: Sequence[RunResult]) -> None:
    """Print several runs side by side, a column each; warnings of each run come first."""
    for result in results:
        warnings(console, result.security, result.parameters.group)
    table = new_table(console, "Side by side", "", *(f"{r.net}, {r.engine}" for r in results))
    online = [r.phases["online"] for r in results]
    for name, cells in (
        ("group or lattice", [r.parameters.group or r.parameters.lattice or "-" for r in results]),
        ("bits of security", [f"{r.security.bits}{' INSECURE' if r.security.insecure else ''}" for r in results]),
        ("revealed to E1 and E2", [", ".join(r.security.reveals) or "nothing" for r in results]),
        ("samples, batch", [f"{len(r.samples)}, {r.parameters.batch}" for r in results]),
        ("classes unlike plaintext", [f"{wrong_classes(r)} of {len(r.samples)}" for r in results]),
        ("accuracy private", [_optional(r.accuracy.secure) for r in results]),
        ("online time", [duration(p.seconds) for p in online]),
        ("server rounds online", [count(p.server_rounds) for p in online]),
        ("depth online", [count(p.depth) for p in online]),
        ("E1<->E2 online", [size(render_costs.between_servers(p.links).bytes) for p in online]),
        ("all links online", [size(render_costs.total(p.links).bytes) for p in online]),
        ("offline time", [duration(r.phases["offline"].seconds) for r in results]),
        ("all links offline", [size(render_costs.total(r.phases["offline"].links).bytes) for r in results]),
        ("setup time", [duration(r.phases["setup"].seconds) for r in results]),
        ("all links setup", [size(render_costs.total(r.phases["setup"].links).bytes) for r in results]),
        ("broken by", ["; ".join(KNOWLEDGE[r.engine].broken_by) for r in results]),
    ):
        table.add_row(name, *cells)
    show_table(console, table)


def plan(console: Console, result: PlanResult) -> None:
    """Print what a run will cost, before it runs."""
    line(console, f"pehealth {result.version}, plan: {result.net} on engine {result.engine}", "bold")
    line(console, _settings(result))
    warnings(console, result.security, result.parameters.group)
    render_costs.planned_tables(console, dict(result.planned.phases), result.planned.layers)
    console.print()
    line(console, f"Error bound: {count(result.error_bound)} units of 1/{result.scale:,}")
    in_all = {party: result.queries * count for party, count in result.material.items()}
    rows = [("One-time material a query", result.material), ("Peak memory", result.memory)]
    if result.queries > 1:
        rows.insert(1, (f"One-time material for {result.queries:,} queries", in_all))
    for title, figures in rows:
        if figures:
            line(console, f"{title}: {', '.join(f'{party} {size(b)}' for party, b in figures.items())}")
    for note in result.notes:
        line(console, f"- {note}")
    who_learns_what(console, result)
    console.print()
    line(console, BYTES_NOTE)


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _optional(value: float | None) -> str:
    return share(value, 1) if value is not None else "-"
