"""Who is linked to whom, who listens, and what survives the way to a process of its own."""

from __future__ import annotations

import dataclasses

import msgpack
import pytest

from parties.start import Start, neighbours, party_names, role_of
from pehealth.config import Engine, GroupName, Parameters, Party
from pehealth.nets.describe import Network
from pehealth.nets.zoo import NAMES, reference
from transport.credentials import Identity

PAPER = Parameters(Engine.PAPER, 1, 32, GroupName.TOY32, walk=8, cap=4096, batch=2, sensors=3)
MASKED = Parameters(Engine.RLWE, 4, 40, lattice="n4096", sensors=2)


def start(network: Network, parameters: Parameters = MASKED, **changes: object) -> Start:
    everyone = party_names(parameters, dealer=True)
    return Start(
        "HMS2", network, parameters, everyone, "r1", "20ms,100mbit", {"readings": b"\1", "shape": [1]}, **changes
    )


@pytest.mark.parametrize("sensors", [1, 3])
@pytest.mark.parametrize("dealer", [False, True])
def test_every_pair_that_talks_is_linked_once(sensors, dealer):
    everyone = party_names(dataclasses.replace(MASKED, sensors=sensors), dealer=dealer)
    listens = {(name, peer) for name in everyone for peer in neighbours(name, everyone)[0]}
    calls = {(peer, name) for name in everyone for peer in neighbours(name, everyone)[1]}
    assert listens == calls
    linked = {frozenset(pair) for pair in listens}
    for a in everyone:
        for b in everyone:
            roles = {role_of(a), role_of(b)}
            apart = a == b or roles in ({Party.HMS}, {Party.HMS, Party.DEALER})
            assert (frozenset((a, b)) in linked) is not apart


def test_sensors_call_and_nobody_calls_them():
    everyone = party_names(MASKED, dealer=True)
    assert everyone == ("E1", "E2", "HC", "DEALER", "HMS1", "HMS2")
    assert neighbours("HMS2", everyone) == ((), ("E1", "E2", "HC"))
    assert neighbours("E1", everyone) == (("E2", "HC", "DEALER", "HMS1", "HMS2"), ())
    assert neighbours("HC", everyone) == (("DEALER", "HMS1", "HMS2"), ("E1", "E2"))


def test_a_party_that_is_none_of_the_run_has_no_neighbours():
    with pytest.raises(ValueError, match="not in tuple"):
        neighbours("DEALER", party_names(MASKED))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parameters", [PAPER, MASKED])
def test_a_start_survives_the_wire(name, parameters):
    identity = Identity(b"certificate", b"key", b"authority")
    sent = start(
        reference(name).network,
        parameters,
        virtual=True,
        check=True,
        trace=True,
        workers=2,
        patience=7.5,
        state="/somewhere",
        identity=identity,
    )
    assert Start.from_wire(msgpack.unpackb(msgpack.packb(sent.to_wire()))) == sent


def test_every_field_is_sent():
    """A field that is added and not sent would silently be its default in every process."""
    sent = start(reference("clinic").network).to_wire()
    assert set(sent) == {field.name for field in dataclasses.fields(Start)}


def test_what_both_ends_must_agree_on_names_every_setting_and_layer():
    agreed = start(reference("postop-a").network).agreed()
    assert agreed["digits"] == "4"
    assert agreed["network"] == "postop-a"
    assert agreed["layer 3.maxpool"].startswith("MaxPool(window=(2,)")
    assert {field.name for field in dataclasses.fields(Parameters)} < set(agreed)
    assert all(isinstance(text, str) for text in agreed.values())


def test_what_is_private_is_not_agreed_on_and_not_shown():
    mine = start(reference("clinic").network, identity=Identity(b"certificate", b"the key", b"authority"))
    assert "readings" not in mine.agreed()
    assert "readings" not in repr(mine)
    assert "the key" not in repr(mine)
