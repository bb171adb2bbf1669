"""All parties in this process: real shares, real protocols."""

import asyncio

import numpy as np
import pytest
import trio

from parties.request import RunRequest
from parties.resolve import resolve
from pehealth.api import run_local
from pehealth.errors import ConfigError, RangeError
from pehealth.nets.oracle import ideal
from pehealth.nets.zoo import load_model


@pytest.mark.parametrize("engine", ["rlwe", "dealt"])
def test_the_classes_are_the_oracles_and_the_logits_within_the_bound(engine: str) -> None:
    job = resolve(RunRequest(net="clinic", samples=5))
    ranges = job.model.ranges
    x = np.array(ranges.low) + job.features * (np.array(ranges.high) - np.array(ranges.low))
    inputs = job.quantised.encode_input(ranges.normalise(x))
    exact = ideal(job.quantised, inputs).logits / job.quantised.logit_scale
    result = run_local("clinic", x, engine, batch=2)
    assert result.queries == (1, 1, 2, 2, 3)
    assert np.abs(result.logits - exact).max() <= result.error_bound
    assert result.labels == tuple(job.model.network.classes[c] for c in exact.argmax(axis=1))
    one = run_local(load_model("clinic"), x[0].tolist(), engine)
    assert one.label == result.labels[0]
    assert (one.model, one.version, one.digits) == ("clinic", 0, 4)


@pytest.mark.parametrize("loop", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_beside_an_event_loop_that_runs_already(loop) -> None:
    model = load_model("postop-b")

    async def notebook():
        return run_local(model, model.ranges.low, "dealt")

    result = loop(notebook()) if loop is asyncio.run else loop(notebook)
    assert result.label == run_local(model, model.ranges.low, "dealt").label


def test_over_tls() -> None:
    model = load_model("postop-b")
    assert len(run_local(model, [model.ranges.low], "dealt", tls=True)) == 1


def test_the_published_protocol() -> None:
    model = load_model("postop-b")
    assert len(run_local(model, model.ranges.low, "paper", group="toy32", digits=1)) == 1


def test_what_cannot_work_is_said() -> None:
    model = load_model("postop-b")
    with pytest.raises(ConfigError, match="engine 'magic': expected one of paper, dealt"):
        run_local(model, model.ranges.low, "magic")
    with pytest.raises(ConfigError, match="group 'curve': expected one of toy32"):
        run_local(model, model.ranges.low, "paper", group="curve")
    with pytest.raises(ConfigError, match="expected one of"):
        run_local(model, [1, 2])
    with pytest.raises(RangeError, match="is outside of its range"):
        run_local(model, np.array(model.ranges.high) + 1)
