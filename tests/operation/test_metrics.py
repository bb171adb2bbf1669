"""What is counted, under which names and labels, and that traffic of rooms that are gone is kept."""

from __future__ import annotations

import importlib.util

import pytest

from parties.operation.health import Deployed, Health
from parties.operation.library import need_library
from parties.operation.metrics import MOST_OUTCOMES, Metrics
from parties.operation.traffic import LinkTotals, TrafficWatch
from pehealth.errors import ConfigError
from transport.framing import HEADER_BYTES
from transport.interfaces import Phase, Tag
from transport.meter import Meter

parser = pytest.importorskip("prometheus_client.parser", reason="the extra [serve] is not installed")


def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Sample and its labels -> value, as Prometheus itself would read them."""
    families = list(parser.text_string_to_metric_families(metrics.text().decode()))
    assert all(family.documentation for family in families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def make(party: str = "E1") -> tuple[Metrics, Health, TrafficWatch]:
    health, traffic = Health("north-clinic", ("E2", "HC")), TrafficWatch()
    return Metrics(party, "9.9.9", health, traffic), health, traffic


def test_queries_by_model_and_outcome():
    metrics, _, _ = make()
    for seconds in (0.0009, 0.0025, 0.3, 100.0):
        metrics.query("clinic", "ok", seconds, 5)
    metrics.query("clinic", "PeerLost", 30.0, 0)
    metrics.query("ecg", "ok", 0.004, 7)
    found = read(metrics)
    model = ("model", "clinic")
    assert found["pehealth_queries_total", (model, ("outcome", "ok"))] == 4
    assert found["pehealth_queries_total", (model, ("outcome", "PeerLost"))] == 1
    assert found["pehealth_query_rounds_total", (model,)] == 20
    assert found["pehealth_query_seconds_count", (model,)] == 4
    buckets = [found["pehealth_query_seconds_bucket", (("le", le), model)] for le in ("0.001", "0.005", "60.0", "+Inf")]
    assert buckets == [1, 2, 3, 4]
    assert found["pehealth_query_seconds_sum", (model,)] == pytest.approx(100.3034)


def test_what_claims_to_be_an_outcome_makes_no_label_of_its_own():
    metrics, _, _ = make()
    metrics.query("clinic", "the key is 00112233445566778899", 1.0, 0)
    for n in range(2 * MOST_OUTCOMES):
        metrics.query("clinic", "E" * (n % 40 + 1) + "F" * (n // 40), 1.0, 0)
    outcomes = {dict(labels)["outcome"] for name, labels in read(metrics) if name == "pehealth_queries_total"}
    assert len(outcomes) == MOST_OUTCOMES + 1
    assert "other" in outcomes
    assert not any("key" in outcome for outcome in outcomes)


def test_health_links_and_material():
    metrics, health, _ = make()
    health.link_up("north-clinic", "E2")
    health.link_up("d1", "E2")
    health.link_up("d1", "HMS1")
    health.deployments["d1"] = Deployed("clinic", 3, 64)
    found = read(metrics)
    assert found["pehealth_links_up", (("peer", "E2"),)] == 2
    assert found["pehealth_links_up", (("peer", "HC"),)] == 0
    assert found["pehealth_material_left", (("deployment", "d1"), ("model", "clinic"), ("version", "3"))] == 64
    assert (found["pehealth_ready", ()], found["pehealth_deployments", ()]) == (0, 1)
    assert found["pehealth_build_info", (("party", "E1"), ("version", "9.9.9"))] == 1
    assert found["process_start_time_seconds", ()] > 1e9
    assert found["pehealth_links_up", (("peer", "HMS"),)] == 1
    health.link_down("d1", "HMS1", "goodbye")
    assert ("pehealth_links_up", (("peer", "HMS"),)) not in read(metrics)


def test_the_loop_s_worst_lateness_is_told_once():
    metrics, health, _ = make()
    health.worst_seconds = 3.5
    assert read(metrics)["pehealth_loop_late_seconds", ()] == 3.5
    assert read(metrics)["pehealth_loop_late_seconds", ()] == 0.0


def talk(meter: Meter) -> None:
    link = meter.link("E2", server=True)
    link.sent(Tag(Phase.ONLINE, 2).pack(), 100, 1, 1, 1)
    link.sent(Tag(Phase.OFFLINE, 0).pack(), 50, 1, 1, 1)
    link.sent(0, 10, 0, 0, 0)
    link.received(Tag(Phase.ONLINE, 2).pack(), 7, 1, 1, 1)


def test_bytes_are_pulled_from_the_meters():
    metrics, _, traffic = make()
    meter = Meter("E1")
    traffic.watch("d1", meter)
    talk(meter)
    found = read(metrics)
    link = ("direction", "sent"), ("peer", "E2")
    assert found["pehealth_link_bytes_total", (link[0], ("kind", "payload"), link[1])] == 150
    assert found["pehealth_link_bytes_total", (link[0], ("kind", "framing"), link[1])] == 2 * HEADER_BYTES
    assert found["pehealth_link_bytes_total", (link[0], ("kind", "control"), link[1])] == 10 + HEADER_BYTES
    assert found["pehealth_link_messages_total", link] == 2
    assert found["pehealth_link_bytes_total", (("direction", "received"), ("kind", "payload"), link[1])] == 7


def test_sensors_are_counted_together():
    """When each of them sends is nobody's business."""
    traffic, meter = TrafficWatch(), Meter("E1")
    traffic.watch("d1", meter)
    for name in ("HMS1", "HMS2", "HMS77"):
        meter.link(name, server=False).received(Tag(Phase.ONLINE, 0).pack(), 32, 1, 1, 0)
    assert traffic.totals() == {("HMS", "received"): LinkTotals(96, 3 * HEADER_BYTES, 0, 3)}


def test_counters_never_fall():
    """A room closed, one opened again with a new meter, and one watched twice."""
    traffic = TrafficWatch()
    first, second = Meter("E1"), Meter("E1")
    traffic.watch("d1", first)
    talk(first)
    once = traffic.totals()["E2", "sent"]
    assert once == LinkTotals(150, 2 * HEADER_BYTES, 10 + HEADER_BYTES, 2)
    traffic.watch("d1", first)
    assert traffic.totals()["E2", "sent"] == once
    traffic.watch("d1", second)
    talk(second)
    assert traffic.totals()["E2", "sent"] == once + once
    traffic.forget("d1")
    traffic.forget("d1")
    assert traffic.totals()["E2", "sent"] == once + once


def test_two_parties_in_one_process_do_not_meet():
    one, other = make("E1")[0], make("E2")[0]
    one.refused()
    assert (read(one)["pehealth_refused_total", ()], read(other)["pehealth_refused_total", ()]) == (1, 0)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(importlib.import_module("sys").modules, "h11", None)
    with pytest.raises(ConfigError, match=r'needs h11: pip install "pehealth\[serve\]"'):
        need_library("h11")
