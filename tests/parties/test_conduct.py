"""The conductor gives the right orders in order, waits for the right answers, and hangs on none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio

from parties.conduct import Conductor

EVERYONE = ("E1", "E2", "HC", "HMS1", "HMS2")
TAKES = {"setup": 5.0, "deal": 2.0, "prepare": 3.0, "answer": 1.0, "collect": 1.5, "submit": 0.25, "finish": 0.0}


class Troupe:
    """A crew that does everything it is told after a while, each order by itself, and writes down what that was."""

    def __init__(self, nursery: trio.Nursery, names: tuple[str, ...] = EVERYONE) -> None:
        self.names = names
        self.orders: list[tuple[str, str, int]] = []
        self._nursery = nursery
        self.say, self._hear = trio.open_memory_channel[tuple[str, Mapping[str, Any]]](100)

    async def send(self, name: str, command: Mapping[str, Any]) -> None:
        op, query = command["op"], command["query"]
        self.orders.append((name, op, query))
        self._nursery.start_soon(self._do, name, op, query)

    async def _do(self, name: str, op: str, query: int) -> None:
        await trio.sleep(TAKES[op] + 0.01 * EVERYONE.index(name) if name in EVERYONE else 0)
        event: dict[str, Any] = {"done": op, "query": query, "at": trio.current_time()}
        if op == "collect":
            event["logits"] = [[query, -query]]
        if op == "finish":
            event["report"] = {"of": name}
        await self.say.send((name, event))

    async def event(self) -> tuple[str, Mapping[str, Any]]:
        return await self._hear.receive()


def silent(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


async def test_a_run_is_setup_then_query_after_query_then_the_reports(nursery, autojump_clock):
    troupe = Troupe(nursery)
    outcome = await Conductor(troupe, trio.current_time, silent).run(2)
    ops = [(op, query) for _, op, query in troupe.orders]
    assert list(dict.fromkeys(ops)) == [
        ("setup", 0),
        *[(op, query) for query in (1, 2) for op in ("prepare", "deal", "answer", "collect", "submit")],
        ("finish", 0),
    ]
    assert outcome.logits == {1: [[1, -1]], 2: [[2, -2]]}
    assert outcome.setup_seconds == pytest.approx(5.04)
    assert outcome.offline_seconds == {1: pytest.approx(3.01), 2: pytest.approx(3.01)}
    assert outcome.reports == {name: {"of": name} for name in EVERYONE}


@pytest.mark.parametrize(("names", "dealers"), [(EVERYONE, {"HC"}), (("E1", "E2", "HC", "DEALER", "HMS1"), {"DEALER"})])
async def test_each_order_goes_to_those_who_can_obey_it(names, dealers, nursery, autojump_clock):
    troupe = Troupe(nursery, names)
    await Conductor(troupe, trio.current_time, silent).run(1)
    asked = {op: {name for name, o, _ in troupe.orders if o == op} for op in TAKES}
    sensors = {name for name in names if name.startswith("HMS")}
    assert asked == {
        "setup": set(names),
        "finish": set(names),
        "prepare": {"E1", "E2"},
        "answer": {"E1", "E2"},
        "deal": dealers,
        "collect": {"HC"},
        "submit": sensors,
    }


async def test_a_query_counts_from_the_first_sensor_to_the_result(nursery, autojump_clock):
    outcome = await Conductor(Troupe(nursery), trio.current_time, silent).run(1)
    assert outcome.collected[1] - outcome.submitted[1] == pytest.approx(1.5 + 0.02 - (0.25 + 0.03))


async def test_queries_in_flight_are_dealt_first_and_run_at_once(nursery, autojump_clock):
    troupe = Troupe(nursery)
    began = trio.current_time()
    outcome = await Conductor(troupe, trio.current_time, silent).run(5, in_flight=3)
    assert sorted(outcome.logits) == [1, 2, 3, 4, 5]
    ops = list(dict.fromkeys((op, query) for _, op, query in troupe.orders if op in ("deal", "answer")))
    assert ops[:3] == [("deal", 1), ("deal", 2), ("deal", 3)]
    assert set(ops[3:6]) == {("answer", 1), ("answer", 2), ("answer", 3)}
    # Set-up, five deals one after the other, two groups that run at once, the reports.
    assert trio.current_time() - began == pytest.approx(5.04 + 5 * 3.01 + 2 * 1.52 + 0.04)


async def test_progress_of_parties_is_passed_on_and_answers_no_order(nursery, autojump_clock):
    troupe, heard = Troupe(nursery), []
    await troupe.say.send(("E1", {"progress": "walking", "at": 3, "of": 9}))
    await Conductor(troupe, trio.current_time, lambda *told: heard.append(told)).run(1)
    assert ("E1 walking", 3, 9) in heard
    assert ("queries", 1, 1) in heard


async def test_an_answer_to_another_query_is_kept_for_it(nursery, autojump_clock):
    """Reports may come in any order: what is done for query 2 does not end a wait for query 1."""
    troupe = Troupe(nursery)
    conductor = Conductor(troupe, trio.current_time, silent)
    async with conductor.hearing():
        await conductor.offline(2)
        for name in ("E1", "E2", "HC"):
            await troupe.say.send((name, {"done": "prepare" if name != "HC" else "deal", "query": 7}))
        with trio.move_on_after(1):
            await conductor._wait({("E1", "prepare")}, 1)
            raise AssertionError("query 1 was not prepared")
        assert set(await conductor._wait({("E1", "prepare"), ("HC", "deal")}, 7)) == {("E1", "prepare"), ("HC", "deal")}


async def test_a_party_that_fails_ends_the_run(nursery, autojump_clock):
    class Failing(Troupe):
        async def event(self):
            if trio.current_time() > 6:
                raise ValueError("E2 has ended")
            return await super().event()

    with pytest.raises(ExceptionGroup) as failed:
        await Conductor(Failing(nursery), trio.current_time, silent).run(3)
    assert failed.group_contains(ValueError, match="E2 has ended")
