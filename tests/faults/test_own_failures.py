"""A party that fails of its own says who, where and of what; the others end and are not mistaken for the cause."""

from __future__ import annotations

import pytest
import trio

import pehealth.protocols.literal
import pehealth.protocols.masked
from parties.conduct import Conductor, Crew, Outcome
from parties.launch import START_SECONDS, conduct, queries_of
from pehealth.config import Engine
from pehealth.errors import MaterialError
from transport.errors import PeerTimeout

ENGINES = (Engine.PAPER, Engine.DEALT)
RELU = {
    Engine.PAPER: (pehealth.protocols.literal, "open_sign"),
    Engine.DEALT: (pehealth.protocols.masked, "open_masked"),
}


def break_relu(monkeypatch: pytest.MonkeyPatch, engine: Engine, error: Exception) -> None:
    """Let E2 fail where it is about to open something in the ReLU."""
    module, name = RELU[engine]
    real = getattr(module, name)

    async def broken(ctx, *args, **kwargs):
        if ctx.party == "E2" and ctx.layer == 2:
            raise error
        return await real(ctx, *args, **kwargs)

    monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize("carrier", ["memory", "tcp"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_bug_names_party_layer_and_kind(engine, carrier, job_of, ends, monkeypatch):
    break_relu(monkeypatch, engine, ZeroDivisionError("nothing foreseen"))
    ended = ends(job_of(engine), carrier=carrier)
    assert ended.text == "ZeroDivisionError: nothing foreseen (E2 was at online 2.relu of query 1)"
    assert ended.code == 70


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_of_ours_that_does_not_say_where_gets_it_said(engine, job_of, ends, monkeypatch):
    break_relu(monkeypatch, engine, MaterialError("31 bit triples are wanted, 0 are left: deal material for this plan"))
    ended = ends(job_of(engine))
    assert ended.text.endswith("deal material for this plan (E2 was at online 2.relu of query 1)")
    assert ended.code == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_query_is_answered_once(engine, job_of, ends):
    """A server refuses a number that it has seen, even with fresh material: its pads would serve twice."""

    async def drive(job, crew: Crew, now, progress) -> Outcome:
        conductor = Conductor(crew, now, progress)
        async with conductor.hearing():
            await conductor.setup()
            for _ in range(2):
                await conductor.offline(1)
                await conductor.online(1)
        return conductor.outcome

    ended = ends(job_of(engine), drive=drive)
    assert ended.says("E*: query 1 was taken up before: give each query a fresh number")
    assert ended.code == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_query_without_material_is_not_answered(engine, job_of, ends):
    async def drive(job, crew: Crew, now, progress) -> Outcome:
        conductor = Conductor(crew, now, progress)
        async with conductor.hearing():
            await conductor.setup()
            await conductor.online(1)
        return conductor.outcome

    ended = ends(job_of(engine), drive=drive)
    assert ended.says("E*: query 1 has no material left; deal before asking")
    assert ended.code == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupt_ends_a_run_at_once_whatever_is_computed(engine, job_of, ends, monkeypatch):
    break_relu(monkeypatch, engine, KeyboardInterrupt())
    ended = ends(job_of(engine), carrier="tcp")
    assert ended.code == 130


async def test_a_party_that_does_not_start_is_named(job_of, autojump_clock):
    """One process hangs before it listens."""
    started = ["E1", "HC", "HMS1"]

    class Waiting:
        names = ("E1", "E2", "HC", "HMS1")

        async def send(self, name, command) -> None:
            raise AssertionError("nothing is sent before all have started")

        async def event(self):
            if not started:
                await trio.sleep_forever()
            return started.pop(), {"bound": "somewhere"}

    job = job_of(Engine.DEALT)
    with pytest.raises(PeerTimeout, match=r"^E2 did not start within 60 s: is the machine short of memory"):
        await conduct(Waiting(), trio.current_time, lambda *_: None, job, queries_of(job))
    assert trio.current_time() == START_SECONDS
