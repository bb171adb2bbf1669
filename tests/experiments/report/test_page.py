"""The page is whole by itself; what is written beside it says the same."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pehealth import schema
from pehealth.errors import PehealthError
from pehealth.experiments.report import output
from pehealth.experiments.report.document import Report, make_report
from pehealth.experiments.report.output import NO_PNG, write_report
from pehealth.experiments.report.page import PAPER, page
from pehealth.experiments.report.suite import suite

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Every element with its attributes; fails on tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_the_page_loads_nothing(report: Report) -> None:
    elements = read(page(report)).elements
    assert {tag for tag, _ in elements} & {
        "script",
        "iframe",
        "object",
        "embed",
        "img",
        "form",
        "audio",
        "video",
    } == set()
    addresses = [
        (tag, key, value)
        for tag, attrs in elements
        for key, value in attrs.items()
        if key in ("src", "href", "srcset", "xlink:href")
    ]
    assert {(tag, value) for tag, _, value in addresses if not str(value).startswith("#")} == {
        ("a", PAPER),
        ("link", "data:,"),
    }
    assert not re.search(r"url\(|@import|@font-face", page(report))
    policy = next(attrs["content"] for tag, attrs in elements if attrs.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")


def test_every_claim_table_and_figure_is_in_the_page(report: Report) -> None:
    html = page(report)
    assert [n for n in range(1, 35) if f'id="claim{n}"' not in html] == []
    assert [t.id for t in report.tables if f'id="{t.id}"' not in html] == []
    assert html.count("<svg ") == len(report.figures) == 6
    assert "18</b> holds" in html
    anchors = set(re.findall(r'href="#(\w+)"', html))
    assert [a for a in anchors if f'id="{a}"' not in html] == []


def test_the_toy_group_is_called_insecure_wherever_it_is_shown(report: Report) -> None:
    for table in report.tables:
        for row in table.rows:
            if any("toy32" in cell for cell in row):
                assert any("INSECURE" in cell for cell in row), row


def test_emulation_and_plan_are_called_so(report: Report) -> None:
    names = [line.name for figure in report.figures for line in figure.lines]
    kinds = ("emulation", "secure, rlwe", "in the clear", "majority", "the paper")
    assert [name for name in names if not any(kind in name for kind in kinds)] == []
    planned = [row for table in report.tables for row in table.rows if "from the plan" in row[-1]]
    assert len(planned) == 1


def test_a_failure_is_in_the_page_and_nothing_of_it_is_markup(canned_parts: Callable[..., Any]) -> None:
    failed = canned_parts(failed=("run mnist-e paper toy32 walk fast d=1",))
    html = page(make_report(suite("quick"), failed, "now"))
    read(html)
    assert "1 of 84 experiments failed" in html
    assert "E2 &lt;lost&gt; &amp; gone" in html
    assert "<lost>" not in html


def test_even_a_report_without_a_single_part_is_a_page(
    canned_parts: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "find_spec", lambda _name: None)
    everything = tuple(part.name for part in canned_parts().all)
    made = make_report(suite("quick"), canned_parts(failed=everything), "now")
    write_report(made, tmp_path)
    assert "33</b> not measured" in (tmp_path / "report.html").read_text()


def test_what_is_written_beside_the_page(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "find_spec", lambda _name: None)
    written = write_report(report, tmp_path)
    document = json.loads((tmp_path / "report.json").read_text())
    assert schema.problems(document, schema.REPORT) == ()
    assert sum(document["tally"].values()) == len(document["claims"]) == 34
    rows = list(csv.DictReader(io.StringIO((tmp_path / "claims.csv").read_text())))
    assert [(int(r["number"]), r["verdict"]) for r in rows] == [(j.claim.number, j.verdict) for j in report.claims]
    for figure in report.figures:
        assert (tmp_path / f"{figure.id}.svg").read_text() == figure.picture().svg()
        points = list(csv.reader(io.StringIO((tmp_path / f"{figure.id}.csv").read_text())))[1:]
        assert len(points) == sum(len(line.points) for line in figure.lines)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written.files}


def test_pictures_without_matplotlib_are_svg_and_the_page_says_so(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "find_spec", lambda _name: None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert write_report(report, tmp_path).notes == (NO_PNG,)
    assert list(tmp_path.glob("*.png")) == []
    assert len(list(tmp_path.glob("*.svg"))) == 6
    assert "matplotlib is missing" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_pictures_with_matplotlib_are_png_too(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="PNG needs the [plots] extra")
    assert write_report(report, tmp_path).notes == ()
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.glob("*.png"))
    assert len(list(tmp_path.glob("*.png"))) == 6


def test_a_document_that_breaks_its_schema_is_not_written(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Report, "to_json", lambda _self: {"schema": 2})
    with pytest.raises(PehealthError, match=r"does not keep report-1\.json"):
        write_report(report, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("load", "busy"), [(None, False), (0.1, False), (99.0, True)])
def test_a_busy_machine_is_told(canned_parts: Callable[..., Any], load: float | None, busy: bool) -> None:
    made = make_report(suite("quick"), canned_parts(), "now", load)
    assert made.busy is busy
    assert ("The machine was busy" in page(made)) is busy
    assert schema.problems(made.to_json(), schema.REPORT) == ()
