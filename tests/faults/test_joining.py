"""Parties that do not fit together, or do not come, are found before anything is computed, and named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgpack
import pytest
import trio

from parties.failure import exit_code, first_cause
from parties.launch import LocalCrew, start_all
from parties.perform import perform
from parties.start import Start
from pehealth.config import Engine
from pehealth.nets.describe import Dense, Network, Relu
from transport.errors import AddressUnusable
from transport.framing import Frame, Kind
from transport.handshake import PROTOCOL_VERSION
from transport.meddling import Meddle, Piece
from transport.tcp import Tcp

WIDER = Network("tiny", (5,), (Dense(4), Relu(), Dense(2)), ("well", "ill"))
SAME = "give both ends the same settings and the same network"


def greeting(field: int, value: object) -> Meddle:
    """Say something else in every greeting: 0 is the version, 1 the name, 3 the role, 4 the run."""

    def meddle(_peer: str, frame: Frame) -> list[Piece]:
        if frame.kind is not Kind.HELLO:
            return [frame]
        said = msgpack.unpackb(frame.payload)
        said[field] = value
        return [frame._replace(payload=msgpack.packb(said))]

    return meddle


def told(**changes: object) -> Callable[[Start], Start]:
    return lambda start: dataclasses.replace(start, **changes)


def other_settings(start: Start) -> Start:
    return dataclasses.replace(start, parameters=dataclasses.replace(start.parameters, digits=3))


WHO = "*: handshake with *: "
NETWORKS = "layer 1.dense differs: ours 'Dense(units=*) on (5,)', theirs 'Dense(units=*) on (5,)'"
RELEASE = "install the same release of pehealth at both ends"
BOTH = "both ends say that they are E1: start one of them as another party"
CHANGES = {
    "another network": (told(network=WIDER), f"{WHO}{NETWORKS}; {SAME}"),
    "other settings": (other_settings, f"{WHO}digits differs: ours '*', theirs '*'; {SAME}"),
    "another run": (
        told(run_id="yesterday"),
        f"{WHO}run differs: ours '*', theirs '*'; start both ends for the same run; is an old process still listening?",
    ),
}
GREETINGS = {
    "another version": (
        greeting(0, 99),
        f"*: handshake with E2: protocol version differs: ours {PROTOCOL_VERSION}, theirs 99; {RELEASE}",
    ),
    "the same name": (greeting(1, "E1"), f"E1: handshake with E1: name differs: ours 'E1', theirs 'E1'; {BOTH}"),
    "the same role": (greeting(3, "E1"), f"E1: handshake with E2: role differs: ours 'E1', theirs 'E1'; {BOTH}"),
}


@pytest.mark.parametrize("carrier", ["memory", "tcp"])
@pytest.mark.parametrize("fault", CHANGES)
def test_what_a_peer_was_told_otherwise_is_named(fault, carrier, job_of, ends):
    """By E2 or by one of its peers, whoever finds it first."""
    change, words = CHANGES[fault]
    ended = ends(job_of(Engine.DEALT), carrier=carrier, change={"E2": change})
    assert ended.says(words)
    assert "E2" in ended.text.split(" differs")[0]
    assert ended.code == 2


@pytest.mark.parametrize("carrier", ["memory", "tcp"])
@pytest.mark.parametrize("fault", GREETINGS)
def test_a_peer_that_claims_something_else_is_refused(fault, carrier, job_of, ends):
    meddle, words = GREETINGS[fault]
    ended = ends(job_of(Engine.DEALT), carrier=carrier, meddle={"E2": meddle})
    assert ended.says(words)
    assert ended.code == 2


@pytest.mark.parametrize("engine", [Engine.PAPER, Engine.DEALT])
def test_a_missing_sensor_is_waited_for_until_the_deadline_and_named(engine, job_of, ends):
    job = job_of(engine, sensors=2)
    ended = ends(job, absent=["HMS2"])
    assert ended.says("*: waiting for HMS2 to call, 60 s of 60 s: start the missing parties, or check the addresses")
    assert ended.code == 3
    assert ended.seconds == pytest.approx(60, abs=1)


async def test_a_port_in_use_is_a_setting(job_of):
    """One party listens where another program does."""
    squatter = await Tcp().listen("127.0.0.1:0")
    start = start_all(job_of(Engine.DEALT))["E1"]
    crew = LocalCrew(("E1",))
    with pytest.raises(ExceptionGroup) as failed:
        await perform(start, crew.control("E1"), Tcp(), trio.current_time, listen=squatter.address)
    await squatter.aclose()
    cause = first_cause(failed.value)
    assert isinstance(cause, AddressUnusable)
    assert str(cause) == (
        f"E1: cannot listen on {squatter.address}: address already in use; "
        "another process listens there, perhaps of an earlier run: stop it or choose another port"
    )
    assert exit_code(cause) == 2
