"""The page: one HTML file without script, font, picture or style from anywhere else; light, dark, and narrow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib import resources

from pehealth.experiments.report.cells import INSECURE, Table
from pehealth.experiments.report.claims import Judged
from pehealth.experiments.report.document import Report
from pehealth.experiments.report.figures import Figure
from pehealth.experiments.report.findings import Verdict

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
PAPER = "https://doi.org/10.1109/IWQoS49365.2020.9212822"
MARKS: dict[Verdict, str] = {
    "holds": "yes",
    "only at the toy size": "toy",
    "does not hold": "no",
    "not measured": "gap",
}
ORDER: tuple[Verdict, ...] = ("holds", "only at the toy size", "does not hold", "not measured")


def page(report: Report, notes: Sequence[str] = ()) -> str:
    """Return the HTML document."""
    style = resources.files(__package__ or "").joinpath("page.css").read_text(encoding="utf-8")
    title = "PE-HEALTH, re-measured"
    body = "\n".join((
        head(report, title),
        tally(report),
        failures(report),
        section("tables", "Tables", "\n".join(table_html(t) for t in report.tables)),
        section("figures", "Figures", "\n".join(figure_html(f) for f in report.figures)),
        claims_html(report.claims),
        method(report, notes),
    ))  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def head(report: Report, title: str) -> str:
    """Return the heading, the warning, and the way around."""
    m = report.machine
    links = " ".join(
        f'<a href="#{place}">{name}</a>'
        for place, name in (("tables", "Tables"), ("figures", "Figures"), ("claims", "Claims"), ("method", "Method"))
    )
    return (
        f"<header><h1>{escape(title)}</h1>\n"
        f'<p class="lead">The evaluation of <a href="{PAPER}">PE-HEALTH (Liu et al., IWQoS 2020)</a> beside what '
        "pehealth "
        f"{escape(report.version)} measures: {report.mode} report of {escape(report.began)}, on "
        f"{escape(m.cpu)}, {m.cores} cores, "
        f"Python {escape(m.python)}, numpy {escape(m.numpy)}.</p>\n"
        f'<p class="warn">Rows marked {INSECURE} ran in <code>toy32</code>, the 32-bit group that the paper\'s own '
        "tables imply. Whoever holds what one server holds reads the whole model there in a moment. It is for "
        "measuring, never for use.</p>\n"
        f"{busy(report)}<nav>{links}</nav></header>"
    )


def busy(report: Report) -> str:
    """Return a warning if the machine was not ours alone."""
    if not report.busy:
        return ""
    load = f"{report.load:.1f} processes wanted {report.machine.cores} cores"
    return f'<p class="warn">The machine was busy when this report began ({load}): times are too long.</p>\n'


def tally(report: Report) -> str:
    """Return how many claims got which verdict."""
    boxes = "".join(
        f'<li class="{MARKS[verdict]}"><b>{report.tally[verdict]}</b> {verdict}</li>'
        for verdict in ORDER
        if report.tally[verdict] or verdict != "not measured"
    )
    words = f"<p>Of {len(report.claims)} checkable claims:</p>"
    return f'<section aria-label="Verdicts">{words}<ul class="tally">{boxes}</ul></section>'


def failures(report: Report) -> str:
    """Return which experiments failed; nothing if none did."""
    failed = [part for part in report.parts.all if part.status != "done"]
    if not failed:
        return ""
    causes: dict[str, list[str]] = {}
    for part in failed:
        causes.setdefault(part.problem, []).append(part.name)
    rows = "".join(f"<li><b>{escape(cause)}</b>: {escape(', '.join(names))}</li>" for cause, names in causes.items())
    words = f"<p>{len(failed)} of {len(report.parts.all)} experiments failed; the rest stands.</p>"
    return f'<section class="failed"><h2>Not measured</h2>{words}<ul>{rows}</ul></section>'


def section(place: str, title: str, inner: str) -> str:
    """Return a section with its heading."""
    return f'<section id="{place}"><h2>{escape(title)}</h2>\n{inner}</section>'


def table_html(table: Table) -> str:
    """Return a table that scrolls in itself where it is too wide."""
    columns = "".join(f"<th scope=col>{escape(c)}</th>" for c in table.columns)
    rows = "\n".join(f"<tr{row_class(row)}>{''.join(cell(c) for c in row)}</tr>" for row in table.rows)
    notes = "".join(f"<p class=note>{escape(n)}</p>" for n in table.notes)
    return (
        f'<article id="{table.id}"><h3>{escape(table.title)}</h3>'
        + scrolling(table.title, f"<table><thead><tr>{columns}</tr></thead><tbody>\n{rows}\n</tbody></table>")
        + f"{notes}</article>"
    )


def scrolling(label: str, inner: str) -> str:
    """Return what may be wider than the page, in a box that scrolls by itself and can be reached by the keyboard."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">{inner}</div>'


def row_class(row: Sequence[str]) -> str:
    """Return the class of a row: quoted figures look different from measured ones."""
    if row[-1].startswith("quoted"):
        return " class=quoted"
    return " class=sum" if "whole query" in row else ""


def cell(text: str) -> str:
    """Return a cell; what is a figure is set right."""
    kind = " class=figure" if re.fullmatch(r"[-\d.,e+]+|-", text) else ""
    shown = escape(text).replace(INSECURE, f"<strong class=insecure>{INSECURE}</strong>")
    return f"<td{kind}>{shown}</td>"


def figure_html(figure: Figure) -> str:
    """Return a picture with its words."""
    notes = "".join(f"<p class=note>{escape(n)}</p>" for n in figure.notes)
    drawing = scrolling(figure.title, figure.picture().svg())
    return f'<figure id="{figure.id}">{drawing}<figcaption>{notes}</figcaption></figure>'


def claims_html(claims: Sequence[Judged]) -> str:
    """Return all claims, a card each."""
    cards = "\n".join(card(judged) for judged in claims)
    words = (
        "<p>Verdicts are computed from this report's own figures by the rule in each card. "
        "<b>Only at the toy size</b>: in the group that the paper's tables imply, which hides nothing, and "
        "not in one of real size.</p>"
    )
    return section("claims", "Claims", f"{words}\n<ol class=claims>{cards}</ol>")


def card(judged: Judged) -> str:
    """Return one claim."""
    claim, mark = judged.claim, MARKS[judged.verdict]
    basis = ", ".join(judged.basis) or "nothing"
    return (
        f'<li id="claim{claim.number}" class="{mark}"><h3><span class=no>{claim.number}</span> {escape(claim.claim)}'
        f" <small>{escape(claim.where)}</small></h3><p class=verdict>{judged.verdict}</p><dl>"
        f"<dt>Paper</dt><dd>{escape(claim.paper)}</dd>"
        f"<dt>Ours <small>({escape(basis)})</small></dt><dd>{escape(judged.ours)}</dd>"
        f"<dt>Why</dt><dd>{escape(judged.why)}</dd>"
        f"<dt>Rule</dt><dd>{escape(claim.rule)}</dd>"
        f"<dt>Shown by</dt><dd><code>{escape(claim.command)}</code></dd></dl></li>"
    )


def method(report: Report, notes: Sequence[str]) -> str:
    """Return how everything was measured, and every experiment with its command."""
    words = (
        (
            "A secure run is one between real parties (two servers, centre, sensor) that exchange every message; "
            "times are from the sensor's first send "
            "to the centre's result, medians over samples."
        ),
        (
            "Emulation is the integer oracle in the clear. It equals a secure run of engine paper in which no "
            "conversion fails, and is within the proven bound of one of the "
            "other engines."
        ),
        (
            "Local: both servers' halves computed side by side by the functions that servers run. Quoted: copied "
            "from the paper. Plan: computed beforehand, not run."
        ),
        (
            "Networks (a) to (d) have widths of our own, as the paper's figure of them is lost to us; "
            "docs/networks.md says which."
        ),
        *notes,
    )
    rows = "\n".join(
        f"<tr><td>{escape(part.name)}</td><td class=figure>{part.seconds:.1f}</td><td>{part.status}</td>"
        f"<td><code>{escape(str(part.parameters.get('command', '')))}</code></td></tr>"
        for part in report.parts.all
    )
    columns = "".join(f"<th scope=col>{c}</th>" for c in ("experiment", "s", "", "the same by itself"))
    listing = scrolling("Experiments", f"<table><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>")
    summary = f"<summary>{len(report.parts.all)} experiments, {report.seconds:,.0f} s</summary>"
    return section(
        "method", "Method", "".join(f"<p>{escape(w)}</p>" for w in words) + f"<details>{summary}{listing}</details>"
    )
