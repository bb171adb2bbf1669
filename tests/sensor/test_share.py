"""A sensor's integers and shares are those of the parties, byte for byte, without numpy."""

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from parties.actor import Actor
from parties.launch import start_all
from parties.masked import MaskedSensor
from parties.request import RunRequest
from parties.resolve import resolve
from pehealth.codec.packing import pack
from pehealth.config import Engine
from pehealth.crypto import fixed
from pehealth.crypto.prg import Prg
from pehealth.crypto.ring import from_signed
from pehealth.data.ranges import Ranges
from pehealth.errors import ConfigError, RangeError
from pehealth.sensor.conversation import Conversation
from pehealth.sensor.share import Scaling, floor_decimal, second_share
from transport.channel import Channel
from transport.handshake import Hello
from transport.memory import memory_pair
from transport.meter import Meter
from transport.wire import Wire

RANGES = Ranges(("clock", "heat"), (0.0, -10.0), (60.0, 30.3), ("clock",))
KEY = bytes(range(32))


@given(st.floats(0, 1), st.integers(0, 12))
def test_a_reading_becomes_the_same_integer(x: float, digits: int) -> None:
    assert floor_decimal(x, digits) == fixed.encode(x, digits)


@given(st.floats(-1, 70), st.floats(-11, 31), st.integers(0, 12))
def test_a_sample_is_scaled_and_refused_as_everywhere(clock: float, heat: float, digits: int) -> None:
    scaling = Scaling.of(RANGES.to_json(), 2, digits)
    try:
        expected = fixed.encode(RANGES.normalise([[clock, heat]]), digits)[0].tolist()
    except RangeError:
        with pytest.raises(RangeError):
            scaling.encode([clock, heat])
    else:
        assert scaling.encode([clock, heat]) == expected


@given(st.integers(1, 64), st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20))
def test_the_second_share_is_packed_as_the_parties_do(ring: int, values: list[int]) -> None:
    words = from_signed(np.array(values, np.int64), ring) - Prg(KEY).child("readings").ring(len(values), ring)
    mask = np.uint64(2**ring - 1) if ring < 64 else np.uint64(2**64 - 1)
    assert second_share(values, ring, KEY) == pack(words & mask, ring)


def test_what_cannot_be_encoded_names_the_reading_and_never_its_value() -> None:
    scaling = Scaling.of(RANGES.to_json(), 2, 4)
    for readings, words in (
        ([0, 30.75], "heat is outside of its range (-10 to 30.3)"),
        ([float("nan"), 0], "clock is not a finite number"),
        ([0, float("inf")], "heat is not a finite number"),
    ):
        with pytest.raises(RangeError) as caught:
            scaling.encode(readings)
        assert str(caught.value).startswith(words)
        assert "30.75" not in str(caught.value)
    with pytest.raises(ConfigError, match="3 readings, 2 expected"):
        scaling.encode([1, 2, 3])
    pixels = Scaling.of(Ranges(("pixel",), (0.0,), (255.0,)).to_json(), 4, 2)
    with pytest.raises(RangeError, match="pixel 3 is outside"):
        pixels.encode([0, 0, 0, 256])


@pytest.mark.parametrize(
    ("ranges", "inputs", "digits"),
    [
        ({}, 1, 4),
        ([], 1, 4),
        (RANGES.to_json(), 3, 4),
        (RANGES.to_json(), 2, 13),
        (RANGES.to_json(), 0, 4),
        ({"names": ["a"], "low": [0], "high": [0]}, 1, 4),
        ({"names": ["a"], "low": [0], "high": ["x"]}, 1, 4),
        ({"names": ["a"], "low": [0], "high": [float("inf")]}, 1, 4),
        ({"names": ["a", "b"], "low": [0], "high": [1]}, 2, 4),
    ],
)
def test_ranges_from_a_peer_are_not_trusted(ranges, inputs: int, digits: int) -> None:
    with pytest.raises(ConfigError):
        Scaling.of(ranges, inputs, digits)


async def _bytes_of_masked_sensor(job, seed: int) -> dict[str, bytes]:
    """Return what `MaskedSensor` puts on its two links for query 5: nothing of a handshake."""
    start = start_all(job)["HMS1"]
    pairs = {server: memory_pair() for server in ("E1", "E2")}
    links = {s: Channel(Wire(near, s), "HMS1", s) for s, (near, _) in pairs.items()}

    async def compute(function, *args):
        return function(*args)

    actor = Actor(start, links, Meter("HMS1"), Prg.insecure_seed(seed), trio.current_time, compute)
    sensor = MaskedSensor(actor, job.padded_inputs())
    sensor._place = lambda _query: 0
    await sensor.handle("submit", 5)
    return {server: await far.receive_some(1 << 20) for server, (_, far) in pairs.items()}


@pytest.mark.parametrize("ring", [None, 41])
async def test_the_frames_of_a_query_are_those_of_the_parties_own_sensor(ring: int | None) -> None:
    job = resolve(RunRequest(net="clinic", engine=Engine.DEALT, batch=2, samples=2, ring=ring))
    theirs = await _bytes_of_masked_sensor(job, 7)
    p, ranges = job.plan.parameters, job.model.ranges
    raw = np.array(ranges.low) + job.features.reshape(2, -1) * (np.array(ranges.high) - np.array(ranges.low))
    scaling = Scaling.of(ranges.to_json(), job.model.network.inputs, p.digits)
    # Back and forth a reading may land an ulp below its decimal, so the first sample is taken as it was encoded.
    assert np.abs(np.array(scaling.encode(raw[0].tolist())) - job.inputs[0]).max() <= 1
    key = Prg.insecure_seed(7).key()
    messages = {"E1": key, "E2": second_share(job.inputs.reshape(-1).tolist(), p.ring, key)}
    for server, message in messages.items():
        assert Conversation(Hello("HMS1", wanted=server)).upload(5, message) == theirs[server]
