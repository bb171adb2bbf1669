"""Whole runs of engine `ddh`: right to the bound, measured as planned, refused where they would take too long."""

from __future__ import annotations

import dataclasses
import time

import pytest
import trio

from parties import settle_ddh
from parties.launch import run, start_all
from parties.reporting import Reporter
from parties.request import RunRequest, Transport
from parties.resolve import resolve
from parties.start import Start
from pehealth.config import Engine, GroupName
from pehealth.errors import ConfigError, RangeError
from pehealth.nets.choose_splits import Pace
from pehealth.nets.record import RunResult, validate

REQUEST = RunRequest(net="clinic", engine=Engine.DDH, group=GroupName.MODP1536, insecure_seed=4)


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


@pytest.fixture
def steady_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits follow from the pace, so seeded runs repeat only if the pace does."""
    monkeypatch.setattr(settle_ddh, "measure_pace", lambda _group: Pace(2e-6, 0.36e-9, 2.2e-6, 0.36e-9))


def check_counts(result: RunResult) -> None:
    for name, planned in result.planned.phases.items():
        measured = result.phases[name]
        assert measured.links == planned.links, name
        assert (measured.server_rounds, measured.depth) == (planned.server_rounds, planned.depth), name
    for measured, planned in zip(result.layers, result.planned.layers, strict=True):
        assert measured.links == planned.links
        for op in planned.ops:
            if op != "ddlog_steps":
                assert measured.ops[op] == planned.ops[op]
            else:
                spread = 6 / planned.ops["conversions"] ** 0.5
                assert measured.ops[op] == pytest.approx(planned.ops[op], rel=spread)
    validate(result.to_json())


@pytest.mark.usefixtures("steady_pace")
def test_a_run_is_within_its_bound_and_measured_as_planned() -> None:
    request = dataclasses.replace(REQUEST, samples=2, digits=1, check=True, failures=1e-3)
    told: list[tuple[str, int, int]] = []
    result = run(request, lambda *event: told.append(event))
    for s in result.samples:
        assert max(abs(a - b) for a, b in zip(s.logits_int, s.ideal_int, strict=True)) <= result.error_bound
    check_counts(result)
    assert result.phases["online"].server_rounds == 3
    assert result.security.reveals == ()
    assert result.parameters.group == "modp1536"
    text = " ".join(result.notes)
    assert "measured: 0 of 36 linear outputs wrong" in text
    assert "measured: 0 of 2 samples further than the bound" in text
    assert "s of exponentiation" in text
    assert "s of conversion" in text
    assert "nobody can notice" in text
    heard = {what for what, _, _ in told}
    assert {"E1 1.dense exponentiation", "E2 3.dense conversion"} <= heard


def test_linear_layers_send_nothing_and_the_layer_before_opens_their_masked_inputs() -> None:
    job = resolve(dataclasses.replace(REQUEST, digits=1))
    ring = job.plan.parameters.ring
    before = job.plan.layers[0]
    for layer, placed in zip(job.plan.layers[1:-1], job.plan.network.placed, strict=True):
        if layer.kind == "dense":
            assert layer.cost.links == {}
            assert before.cost.exchanges[-1] == placed.inputs * ring // 8
        before = layer


def test_failures_that_were_allowed_are_counted_beside_the_forecast() -> None:
    """At w = 10 many conversions go wrong; the count is near the forecast, and samples are far from the oracle."""
    request = dataclasses.replace(REQUEST, samples=4, batch=4, digits=1, walk=10, check=True, time_limit=60)
    result = run(request, quiet)
    note = next(n for n in result.notes if "linear outputs wrong" in n)
    wrong, outputs = int(note.split()[1]), int(note.split()[3])
    assert outputs == 4 * 18
    assert 3 <= wrong < 30
    expected = result.planned.phases["online"].ops["wrong_conversions"]
    assert 3 < expected < 60
    assert any("of 4 samples further than the bound" in n for n in result.notes)


@pytest.fixture
def slow_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle_ddh, "measure_pace", lambda _group: Pace(2e-6, 1e-6, 1e-2, 1e-6))


@pytest.mark.usefixtures("slow_pace")
def test_what_would_take_longer_than_the_limit_is_refused_unless_told() -> None:
    request = dataclasses.replace(REQUEST, digits=2, samples=3)
    with pytest.raises(RangeError, match=r"limit is 600 s.*--failures.*--time-limit"):
        resolve(request)
    job = resolve(dataclasses.replace(request, time_limit=1e9))
    assert job.plan.compute_seconds > 100
    starts = start_all(job)
    assert starts["E1"].patience == pytest.approx(20 * job.plan.compute_seconds)
    processes = dataclasses.replace(request, transport=Transport.PROCESSES)
    limit = 3 * job.plan.compute_seconds * 1.01
    assert resolve(dataclasses.replace(processes, time_limit=limit)).plan.parameters == job.plan.parameters
    with pytest.raises(RangeError):
        resolve(dataclasses.replace(request, time_limit=limit))


def test_a_smaller_target_walks_further_and_a_given_walk_is_taken() -> None:
    plans = [resolve(dataclasses.replace(REQUEST, digits=1, failures=f)).plan for f in (0.1, 1e-4)]
    assert plans[0].parameters.walk < plans[1].parameters.walk
    for plan, target in zip(plans, (0.1, 1e-4), strict=True):
        assert plan.expected["wrong_conversions"] <= target
    fixed = resolve(dataclasses.replace(REQUEST, digits=1, walk=14)).plan.parameters
    assert fixed.walk == 14
    assert fixed.splits.count("/14") == 2


def test_digits_are_two_and_the_group_is_real_unless_told() -> None:
    plan = resolve(RunRequest(net="clinic", engine=Engine.DDH)).plan
    assert (plan.parameters.digits, plan.parameters.group) == (2, GroupName.MODP3072)
    with pytest.raises(ConfigError, match="toy32 is for --engine paper"):
        resolve(RunRequest(net="clinic", engine=Engine.DDH, group=GroupName.TOY32))
    with pytest.raises(ConfigError, match="--walk fast has no meaning"):
        resolve(RunRequest(net="clinic", engine=Engine.DDH, walk="fast"))


def test_a_start_survives_the_wire_with_its_splits() -> None:
    start = start_all(resolve(dataclasses.replace(REQUEST, digits=1, workers=3)))["E2"]
    back = Start.from_wire(start.to_wire())
    assert back.parameters == start.parameters
    assert (back.workers, back.patience) == (3, start.patience)


class Heard:
    """A listener that keeps what it heard."""

    def __init__(self) -> None:
        self.events: list = []

    async def send(self, event) -> None:
        self.events.append(event)


async def test_the_loop_stays_responsive_while_a_thread_computes_and_reports() -> None:
    """So keepalives flow: the loop goes round many times while products and walks are computed."""
    heard, gaps = Heard(), list[float]()
    reporter = Reporter(heard, threads=True)

    async def heartbeat() -> None:
        while True:
            await trio.sleep(0.01)
            gaps.append(trio.current_time())

    def compute() -> None:
        for done in range(1, 40):
            settle_ddh.measure_pace(settle_ddh.group(GroupName.MODP3072))
            reporter("1.dense conversion", done, 39)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.forward)
        nursery.start_soon(heartbeat)
        await trio.to_thread.run_sync(compute)
        reporter.close()
        nursery.cancel_scope.cancel()
    assert len(gaps) > 20
    assert heard.events[-1] == {"progress": "1.dense conversion", "at": 39, "of": 39}


async def test_work_of_a_cancelled_task_ends_at_its_next_report() -> None:
    reporter, rounds = Reporter(Heard(), threads=True), []

    def compute() -> None:
        for done in range(10_000):
            rounds.append(done)
            time.sleep(0.001)
            reporter("walk", done, 10_000)

    with trio.move_on_after(0.05) as scope:
        await trio.to_thread.run_sync(compute)
    assert scope.cancelled_caught
    assert len(rounds) < 5_000


@pytest.mark.slow
def test_processes_run_a_query_each_server_in_two_workers() -> None:
    request = dataclasses.replace(
        REQUEST, net="clinic", digits=1, transport=Transport.PROCESSES, workers=2, insecure_seed=None, failures=1e-5
    )
    result = run(request, quiet)
    check_counts(result)
    assert max(abs(a - b) for a, b in zip(result.samples[0].logits_int, result.samples[0].ideal_int, strict=True)) <= (
        result.error_bound
    )
