"""The report says what a reader must not miss, from the record alone."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from parties import render
from parties.console import count, duration, open_console, size
from parties.knowledge import KNOWLEDGE
from pehealth.config import Engine, GroupName
from pehealth.nets.record import LinkCount, PlanResult, RunResult

MakeResult = Callable[..., RunResult]


def text_of(show: Callable[[Console], None]) -> str:
    file = io.StringIO()
    show(open_console(file))
    return file.getvalue()


def report(result: RunResult, classes: tuple[str, ...] = ()) -> str:
    return text_of(lambda console: render.report(console, result, classes))


def row(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_a_weak_group_is_called_insecure_first_and_last(make_result: MakeResult) -> None:
    lines = report(make_result(Engine.PAPER, GroupName.TOY32)).splitlines()
    banners = [i for i, line in enumerate(lines) if "!!! INSECURE: toy32 offers about 16 bits" in line]
    assert len(banners) == 2
    assert banners[0] < 6
    assert banners[1] > len(lines) - 4


@pytest.mark.parametrize("engine", list(Engine))
def test_a_strong_group_is_not_called_insecure(make_result: MakeResult, engine: Engine) -> None:
    group = GroupName.MODP3072 if engine in (Engine.PAPER, Engine.DDH) else None
    assert "INSECURE" not in report(make_result(engine, group))


def test_what_the_servers_learn_is_said(make_result: MakeResult) -> None:
    paper = report(make_result(Engine.PAPER, GroupName.MODP3072))
    assert "Reveals to E1 and E2: the sign of every activation." in paper
    masked = report(make_result())
    assert "Reveals" not in masked
    assert row(masked, "| revealed to E1 and E2").split("|")[2].strip() == "nothing"


def test_no_time_of_a_walk_stands_without_its_error_rates(make_result: MakeResult) -> None:
    """Wrong conversions and wrong classes are on the line of the time, however long it gets."""
    fast = make_result(Engine.PAPER, GroupName.TOY32)
    online = dataclasses.replace(fast.phases["online"], ops={"conversions": 2400, "ddlog_steps": 1e9})
    planned = dataclasses.replace(fast.planned.phases["online"], ops={"conversions": 2400, "wrong_conversions": 30.5})
    fast = dataclasses.replace(
        fast,
        phases={**fast.phases, "online": online},
        planned=dataclasses.replace(fast.planned, phases={**fast.planned.phases, "online": planned}),
    )
    line = row(report(fast), "Online time: ")
    assert "12.3 ms a query of 2 samples" in line
    assert "classes unlike plaintext 1 of 2 (50 %)" in line
    assert "wrong conversions 30.5 of 1,200 (2.54 %, expected)" in line


def test_each_sample_shows_truth_private_and_plaintext(result: RunResult) -> None:
    text = report(result, ("malignant", "benign"))
    cells = [cell.strip() for cell in row(text, "| 1 ").split("|")]
    assert cells[1:6] == ["1", "0 malignant", "1 benign", "0 malignant", "differs, near tie"]
    assert "private 50 %, plaintext 100 %, always the commonest class 63 %" in text
    assert "Greatest |secure - ideal|: 1, within the bound of 42 units of 1/10,000" in text


def test_a_breach_of_the_bound_is_not_hidden(result: RunResult) -> None:
    assert "BEYOND the bound" in report(dataclasses.replace(result, error_bound=0))


def test_long_runs_are_cut_and_say_so(result: RunResult) -> None:
    samples = tuple(dataclasses.replace(result.samples[0], index=i) for i in range(100))
    text = report(dataclasses.replace(result, samples=samples, near_ties=()))
    assert "... and 88 more, in the record (--json)" in text


def test_a_figure_unlike_the_plan_shows_both(result: RunResult) -> None:
    assert "(planned" not in report(result)
    layers = (*result.layers[:2], dataclasses.replace(result.layers[2], server_rounds=7))
    assert "7 (planned 1)" in report(dataclasses.replace(result, layers=layers))
    links = {**result.layers[2].links, "HC->E1": LinkCount(5, 24, 1)}
    layers = (*result.layers[:2], dataclasses.replace(result.layers[2], links=links))
    assert "5 (planned 0)" in report(dataclasses.replace(result, layers=layers))


def test_a_layer_without_messages_says_so(result: RunResult) -> None:
    silent = dataclasses.replace(result.layers[1], links={}, server_rounds=0)
    planned = dataclasses.replace(result.planned.layers[1], links={}, server_rounds=0)
    changed = dataclasses.replace(
        result,
        layers=(result.layers[0], silent, result.layers[2]),
        planned=dataclasses.replace(
            result.planned, layers=(result.planned.layers[0], planned, result.planned.layers[2])
        ),
    )
    assert "no message" in row(report(changed), "| 1.dense")


@pytest.mark.parametrize("engine", list(Engine))
def test_who_learns_what_has_every_party_and_the_collusions(make_result: MakeResult, engine: Engine) -> None:
    group = GroupName.MODP3072 if engine in (Engine.PAPER, Engine.DDH) else None
    text = " ".join(report(make_result(engine, group)).replace("|", " ").split())
    for party, knows in KNOWLEDGE[engine].rows():
        assert party in text
        assert knows.split(";")[0] in text
    assert all(pair in text for pair in KNOWLEDGE[engine].broken_by)


def test_a_pipe_gets_plain_text(make_result: MakeResult) -> None:
    text = report(make_result(Engine.PAPER, GroupName.TOY32))
    assert "\x1b" not in text
    assert text.isascii()


def test_names_are_never_taken_for_markup(result: RunResult) -> None:
    assert "[red]x[/red]" in report(dataclasses.replace(result, net="[red]x[/red]"))


def test_two_runs_stand_side_by_side(make_result: MakeResult) -> None:
    runs = [make_result(), make_result(Engine.PAPER, GroupName.TOY32)]
    text = text_of(lambda console: render.compare(console, runs))
    assert text.index("INSECURE: toy32") < text.index("Side by side")
    assert [cell.strip() for cell in row(text, "| bits of security").split("|")][2:4] == ["128", "16 INSECURE"]
    revealed = [cell.strip() for cell in row(text, "| revealed to E1 and E2").split("|")]
    assert revealed[2:4] == ["nothing", "activation_signs"]


def test_a_plan_shows_costs_material_and_notes(result: RunResult) -> None:
    plan = PlanResult(
        net="clinic",
        engine=Engine.RLWE,
        parameters=result.parameters,
        security=result.security,
        scale=10_000,
        planned=result.planned,
        error_bound=42,
        material={"E1": 123_456},
        notes=("one unit off with probability 2^-17",),
    )
    text = text_of(lambda console: render.plan(console, plan))
    assert "Error bound: 42 units of 1/10,000" in text
    assert "One-time material a query: E1 123 kB" in text
    assert "- one unit off with probability 2^-17" in text
    assert "2.relu" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (4.1e-4, "410 us"),
        (0.0123, "12.3 ms"),
        (1.5, "1.50 s"),
        (125, "125 s"),
        (float("nan"), "?"),
        (5e-8, "0.05 us"),
    ],
)
def test_times_have_units_that_suit_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_bytes_and_counts_are_readable() -> None:
    assert [size(n) for n in (0, 9_999, 12_345, 1_530_000)] == ["0 B", "9,999 B", "12.3 kB", "1.53 MB"]
    assert [count(n) for n in (1_000, 0.5, 30.0)] == ["1,000", "0.5", "30"]
