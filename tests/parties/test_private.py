"""What HC and the sensors alone are given: the same integers after the way to their process, and shown to nobody."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from parties.launch import start_all
from parties.private import pack_model, pack_readings, unpack_model, unpack_readings
from parties.request import RunRequest
from parties.resolve import Job
from pehealth.config import Engine, Parameters
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import masked_engine
from pehealth.nets.plan_masked import plan_masked
from pehealth.nets.scales import Arithmetic
from pehealth.nets.zoo import NAMES, load_model


def over_the_wire(data: dict[str, object]) -> dict[str, object]:
    received: dict[str, object] = msgpack.unpackb(msgpack.packb(data))
    return received


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("digits", "arithmetic"), [(4, Arithmetic.MASKED), (1, Arithmetic.LITERAL)])
def test_a_model_survives_the_wire(name, digits, arithmetic):
    sent = load_model(name).quantise(digits, arithmetic)
    received = unpack_model(over_the_wire(pack_model(sent)), sent.network)
    assert received.digest() == sent.digest()
    assert received.ranges == sent.ranges
    assert [w.dtype for w in received.weights] == [np.int64] * len(received.weights)


def test_biases_too_large_for_a_word_survive_the_wire():
    """At the literal scale of a third layer a bias can exceed 2^63."""
    sent = load_model("postop-a").quantise(6, Arithmetic.LITERAL)
    assert any(b.dtype == object for b in sent.biases)
    assert unpack_model(over_the_wire(pack_model(sent)), sent.network).digest() == sent.digest()


def test_readings_survive_the_wire():
    readings = Prg.insecure_seed(1).below((3, 5), 10_001).astype(np.int64)
    received = unpack_readings(over_the_wire(pack_readings(readings)))
    assert received.dtype == np.int64
    assert (received == readings).all()


def test_each_party_holds_what_is_its_own_and_nothing_else():
    model = load_model("postop-a")
    p = Parameters(Engine.DEALT, 4, 48, sensors=3)
    plan = plan_masked(model.network, p, masked_engine(p))
    features = Prg.insecure_seed(1).below((2, 8), 1001) / 1000
    quantised = model.quantise(4, Arithmetic.MASKED)
    inputs = quantised.encode_input(features)
    request = RunRequest(net="postop-a", engine=Engine.DEALT, samples=2, sensors=3)
    job = Job(request, model, quantised, plan, features, inputs, np.zeros(2, np.int64), np.arange(2), 1.0)
    starts = start_all(job)
    assert list(starts) == ["E1", "E2", "HC", "HMS1", "HMS2", "HMS3"]
    assert starts["E1"].private == starts["E2"].private == {}
    assert set(starts["HC"].private) == {"digits", "arithmetic", "weights", "biases", "ranges", "last"}
    parts = [unpack_readings(starts[f"HMS{i}"].private) for i in (1, 2, 3)]
    assert [part.shape for part in parts] == [(2, 3), (2, 3), (2, 2)]
    assert (np.concatenate(parts, axis=1) == inputs).all()
    assert len({start.run_id for start in starts.values()}) == 1
    assert start_all(job)["E1"].run_id != starts["E1"].run_id
