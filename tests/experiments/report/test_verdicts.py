"""Verdicts follow the figures: each flips when the figure behind it does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pehealth.experiments.report.claims import JUDGES, claims, judge, judge_all
from pehealth.experiments.report.document import Report
from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.findings import straight
from pehealth.experiments.report.judge_results import reachable

FAST_E, RIGHT_E = "run mnist-e paper toy32 walk fast d=1", "run mnist-e paper toy32 walk right d=1"
FAST_A, FAST_F = "run postop-a paper toy32 walk fast d=1", "run mnist-f paper toy32 walk fast d=1"


def layer(kind: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    """Change the first layer of a kind in a run."""

    def change(result: dict[str, Any]) -> None:
        found = next(entry for entry in result["layers"] if entry["kind"] == kind)
        found |= {k: v for k, v in fields.items() if not isinstance(v, dict)}
        for key in (k for k, v in fields.items() if isinstance(v, dict)):
            found[key] |= fields[key]

    return change


def put(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda result: result.update(fields)


def spoilt_digit(digits: int) -> Callable[[dict[str, Any]], None]:
    def change(result: dict[str, Any]) -> None:
        for split in result["splits"]:
            split["literal"][digits]["accuracy"] -= 0.02

    return change


FLIPS: list[tuple[int, str, Callable[[dict[str, Any]], None], str]] = [
    (1, "emulate mnist-f", spoilt_digit(4), "does not hold"),
    (2, FAST_E, layer("conv2d", between=1), "does not hold"),
    (2, FAST_E, layer("conv2d", rounds=1), "does not hold"),
    (3, FAST_A, layer("dense", between=8), "does not hold"),
    (4, FAST_E, layer("meanpool", between=8), "does not hold"),
    (5, FAST_A, layer("maxpool", ops={"seccmp": 42}), "does not hold"),
    (6, FAST_E, layer("relu", ops={"seccmp": 1692}), "does not hold"),
    (7, "run clinic paper toy32 walk 12 d=0 l=64", layer("relu", between=2000), "does not hold"),
    (8, FAST_E, lambda r: r["links"]["online"].update({"HMS1->E2": 1}), "does not hold"),
    (9, "sensor", lambda r: r["rows"][2].update(words_a_reading=3.0), "does not hold"),
    (12, "run clinic paper toy32 walk 12 d=0 l=64", layer("relu", ops={"and_gates": 9999}), "does not hold"),
    (13, "equations toy32", put(equation_3=39), "does not hold"),
    (13, "equations modp2048", put(equation_3=1), "only at the toy size"),
    (14, "conversions modp2048", put(deviation=6.0), "only at the toy size"),
    (15, "equations modp2048", put(equation_4=0), "only at the toy size"),
    (16, FAST_E, lambda r: r["links"]["setup"].update({"HC->E1": 1}), "does not hold"),
    (17, "fixed point", put(encoded=13), "does not hold"),
    (19, "emulate wearable-d", spoilt_digit(4), "does not hold"),
    (24, "ends toy32", put(share_seconds=0.7), "does not hold"),
    (28, "profile modp2048", put(conversion_share=0.6), "holds"),
    (28, "profile toy32", put(conversion_share=0.4), "does not hold"),
    (31, "run postop-b paper toy32 walk right d=1", put(exact=0, samples=6), "does not hold"),
]  # fmt: skip


def verdict(number: int, evidence: Evidence) -> str:
    return judge(claims()[number - 1], JUDGES[number - 1], evidence).verdict


@pytest.mark.parametrize(("number", "name", "change", "expected"), FLIPS)
def test_a_verdict_follows_its_figure(
    number: int, name: str, change: Callable[[dict[str, Any]], None], expected: str, canned: Callable[..., Evidence]
) -> None:
    assert name in canned().parts
    assert verdict(number, canned({name: change})) == expected


def test_right_answers_in_time_would_carry_the_tables(canned: Callable[..., Evidence]) -> None:
    """What would have to be measured for claims 26 and 27 to hold."""
    quick = {"seconds": 0.0001}

    def met(result: dict[str, Any]) -> None:
        result |= {"like_oracle": result["samples"], "seconds": 0.001}
        for entry in result["layers"]:
            entry |= quick

    walked = [name for name in canned().parts if " paper " in name and not name.startswith("plan")]
    changed = canned(dict.fromkeys(walked, met))
    assert verdict(26, changed) == "holds"
    assert verdict(29, changed) == "holds"


def test_canned_verdicts_are_those_that_the_words_were_written_for(report: Report) -> None:
    differing = [j.claim.number for j in report.claims if j.verdict != j.claim.expected]
    assert differing == []
    assert report.tally == {"holds": 18, "only at the toy size": 2, "does not hold": 14, "not measured": 0}


def test_a_missing_part_is_no_verdict(canned: Callable[..., Evidence]) -> None:
    without = {j.claim.number: j for j in judge_all(canned(failed=(RIGHT_E, "emulate mnist-e")))}
    assert {n for n, j in without.items() if j.verdict == "not measured"} == {1, 21, 23, 27}
    assert without[1].ours == "emulate mnist-e failed: E2 <lost> & gone"
    assert without[2].verdict == "holds"


def test_nothing_measured_is_no_verdict_at_all(
    canned_parts: Callable[..., Any], canned: Callable[..., Evidence]
) -> None:
    everything = tuple(part.name for part in canned_parts().all)
    found = judge_all(canned(failed=everything))
    assert {j.claim.number for j in found if j.verdict != "not measured"} == {34}  # counted, not measured


def test_words_written_for_another_verdict_say_so(canned: Callable[..., Evidence]) -> None:
    found = judge_all(canned({"sensor": lambda r: r["rows"][2].update(words_a_reading=3.0)}))[8]
    assert found.why.startswith("(Written for the verdict 'holds', which this report does not confirm.)")


def test_the_claims_are_numbered_and_complete() -> None:
    known = claims()
    assert [c.number for c in known] == list(range(1, 35))
    assert all(c.claim and c.where and c.paper and c.rule and c.why for c in known)


def test_which_shares_of_27_patients_print_as_the_papers() -> None:
    assert reachable(74.28) == []
    assert reachable(71.42) == [(135, 189)]
    assert reachable(70.37)[0] == (19, 27)


def test_a_straight_line_is_found() -> None:
    assert straight([1, 2, 3], [5, 7, 9]) == (2.0, 3.0, 1.0)
    assert straight([1, 2, 3], [1, 4, 9])[2] < 0.98


def test_the_document_says_what_the_report_expects() -> None:
    """docs/reproduction.md lists every claim with the verdict that its words were written for."""
    text = (Path(__file__).parents[3] / "docs" / "reproduction.md").read_text()
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|", text, re.MULTILINE)
    assert [(int(n), verdict) for n, verdict in rows] == [(c.number, c.expected) for c in claims()]


def test_the_readme_counts_as_the_report_expects() -> None:
    text = (Path(__file__).parents[3] / "README.md").read_text()
    counted = Counter(c.expected for c in claims())
    words = re.sub(r"\s+", " ", text)
    assert (
        f"**{counted['holds']} hold, {counted['only at the toy size']} hold only at the toy size, "
        f"{counted['does not hold']} do not hold.**"
    ) in words
