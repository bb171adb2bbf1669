"""The benchmark: its arithmetic on made-up times, its document, and one short session of real parties."""

from __future__ import annotations

import json

import pytest

from parties.bench import run_bench
from parties.commands.bench import batch_shape
from parties.progress import silent
from parties.request import RunRequest, Transport
from pehealth import schema
from pehealth.config import Engine
from pehealth.errors import ConfigError
from pehealth.experiments.bench import Measured, bench


def measured(online, wall=1.0):
    return Measured(
        online=online, servers={"E1": [9, 9, 9, 0.2, 0.2], "E2": [9, 9, 9, 0.4, 0.4]}, dealer=[9, 9, 9, 0.1, 0.3],
        wall=wall, setup=0.5, material={"E1": 100, "E2": 200}, between=50, upload=10, result=4, server_rounds=5,
        depth=7, peak={"E1": 2**20, "HC": 2**21}, insecure=False, reveals=(),
    )  # fmt: skip


def test_warm_up_is_left_out_and_medians_are_per_image():
    rows = bench(lambda *_: measured([9, 9, 9, 0.002, 0.004], wall=0.006), ["dealt"], [(2, 1)], 2, {2: 0.001}, silent)
    (row,) = rows
    assert row.online_ms == pytest.approx(3)
    assert row.online_ms_least == pytest.approx(2)
    assert row.online_ms_image == pytest.approx(1.5)
    assert row.offline_ms_image == pytest.approx(200)
    assert row.dealer_ms_image == pytest.approx(100)
    assert row.total_ms_image == pytest.approx(301.5)
    assert row.times_plain == pytest.approx(1.5)
    assert row.images_second == pytest.approx(4 / 0.006)
    assert (row.material_bytes_image, row.payload_bytes_image, row.peak_mib) == (100, 25, 2)


@pytest.mark.parametrize(("text", "shape"), [("1", (1, 1)), ("64", (64, 1)), ("2x8", (2, 8))])
def test_batch_shapes(text, shape):
    assert batch_shape(text) == shape


@pytest.mark.parametrize("text", ["", "0", "x8", "1x0", "-1", "1x2x3", "a"])
def test_what_is_no_batch_shape_is_refused(text):
    with pytest.raises(ConfigError, match="--batches"):
        batch_shape(text)


@pytest.mark.slow
def test_a_session_of_all_engines_keeps_its_schema():
    request = RunRequest(net="clinic", transport=Transport.MEMORY).checked()
    result = run_bench(request, (Engine.PAPER, Engine.DEALT, Engine.RLWE), ((1, 1), (2, 2)), 4, silent)
    document = json.loads(json.dumps(result.to_json()))
    assert schema.problems(document, schema.BENCH) == ()
    rows = {(r.engine, r.batch): r for r in result.rows}
    assert rows["paper", 1].insecure
    assert rows["paper", 1].reveals == ("activation_signs",)
    assert rows["rlwe", 1].server_rounds == 3
    assert rows["rlwe", 1].queries == 4
