"""The compute model finds rates that are there, and small layers can be measured in every engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pehealth.config import Engine, GroupName, Parameters
from pehealth.errors import ConfigError
from pehealth.experiments import measure_literal
from pehealth.experiments.compute_model import ComputeModel, fit, non_negative
from pehealth.experiments.measure import calibrate
from pehealth.experiments.measure_masked import calibrate_masked, measure, small_networks
from pehealth.experiments.scale import plan_for
from pehealth.experiments.work import Work, work_of


def test_fit_finds_the_rates_behind_exact_times() -> None:
    rates = {"once": 2e-5, "macs": 3e-10, "elements": 0.0}
    works = [Work("linear", {"once": 1, "macs": n * n, "elements": n}) for n in (10, 100, 1000, 10_000)]
    found = fit((w, sum(rates[name] * n for name, n in w.amounts.items())) for w in works)
    assert found.rates["linear"] == pytest.approx(rates, abs=1e-12)
    assert found.errors["linear"] == pytest.approx(1.0, rel=1e-6)
    assert found.seconds(Work("linear", {"once": 2, "macs": 1e6})) == pytest.approx(4e-5 + 3e-4)
    assert found.seconds(Work("unheard of", {"once": 1})) == 0.0


def test_an_error_is_not_told_of_what_only_one_measurement_had() -> None:
    works = [Work("deal", {"gates": 1}), Work("deal", {"gates": 2}), Work("deal", {"gates": 9, "paged": 9})]
    assert fit(zip(works, (1.0, 3.0, 99.0), strict=True)).errors["deal"] == pytest.approx(2 / 3)


@given(st.integers(0, 2**32))
def test_least_squares_with_no_negative_unknown(seed: int) -> None:
    a = np.array([[(seed >> (3 * (4 * i + j)) & 7) - 2.0 for j in range(3)] for i in range(4)])
    x = non_negative(a, a @ np.array([1.0, 0.0, 2.0]))
    assert (x >= 0).all()
    assert np.linalg.norm(a @ x - a @ np.array([1.0, 0.0, 2.0])) <= np.linalg.norm(a @ np.array([1.0, 0.0, 2.0])) + 1e-9


@pytest.mark.parametrize("engine", [Engine.DEALT, Engine.RLWE])
def test_every_place_of_a_masked_plan_has_a_time(engine: Engine) -> None:
    base = Parameters(engine, 4, 40)
    model = calibrate_masked(base, budget=0.0)
    network = small_networks()[0]
    assert {w.kind for w, _ in measure(network, base)} <= model.rates.keys()
    seconds = model.predict(plan_for(network, base))
    assert min(seconds.values()) > 0
    assert {"upload", 0, 1, 2, 3, 4, "collect", "deal", "prepare"} == seconds.keys()


@pytest.mark.slow
@pytest.mark.parametrize("reveal", ["logits", "class"])
def test_measured_work_is_called_what_planned_work_is_called(reveal: str) -> None:
    base = Parameters(Engine.DEALT, 4, 40, reveal=reveal)  # type: ignore[arg-type]
    for network in small_networks()[:5]:
        planned = {w.kind for works in work_of(plan_for(network, base)).values() for w in works}
        measured = {w.kind for w, _ in measure(network, base)} | {"upload", "input", "output", "collect"}
        assert planned <= measured


def test_every_place_of_the_papers_plan_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_literal, "TOY_LAYERS", ((4, 2), (8, 2)))
    monkeypatch.setattr(measure_literal, "VALUES", (16, 256))
    base = Parameters(Engine.PAPER, 1, 32, GroupName.TOY32, walk=4, cap=1000)
    model: ComputeModel = calibrate(base)
    seconds = model.predict(plan_for(small_networks()[1], base))
    assert min(seconds.values()) > 0
    assert sum(model.rates["linear"][name] for name in ("exponentiations", "conversions", "ddlog_steps")) > 0


def test_the_engine_that_needs_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="without weights"):
        calibrate(Parameters(Engine.DDH, 4, 40))
