"""Metrics, health, logs and audit logs of real processes, as an operator reads them."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_clinic import make_model, samples
from test_processes import Town, free_ports

from parties.operation.audit_verify import verify
from pehealth.nets.weights import save

pytestmark = pytest.mark.slow
SERVERS = ("E1", "E2", "HC", "DEALER")


@pytest.fixture
def town(folder: Path) -> Iterator[Town]:
    made = Town(folder)
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_an_operator_reads_what_a_deployment_does(town: Town) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="the extra [serve] is not installed")
    where = dict(zip(SERVERS, (f"127.0.0.1:{port}" for port in free_ports(4)), strict=True))
    for name in SERVERS:
        path = town.folder / f"{name}.toml"
        table = f'metrics = "{where[name]}"\nlog = "{name}.jsonl"\naudit = "{name}.audit"\n'
        path.write_text(f"{path.read_text()}\n[operation]\n{table}")
    save(make_model(), town.folder / "tiny.npz")
    rows = "\n".join(",".join(f"{value:.2f}" for value in row) for row in samples(3))
    (town.folder / "readings.csv").write_text(rows + "\n")
    town.serve(*SERVERS)
    status, body = get(where["E1"], "/readyz")
    assert (status, json.loads(body)["ready"]) == (503, False)
    assert "no deployment is committed here" in json.loads(body)["reasons"]
    assert get(where["E1"], "/healthz") == (200, '{"alive": true, "reasons": []}\n')

    town.run("deploy", "tiny.npz", "--service", "HC.toml", "--engine", "dealt")
    town.run("infer", "readings.csv", "--service", "HMS1.toml", "--json", "lines")
    for name in SERVERS:
        until_ready(where[name])
    found = {}
    for name in SERVERS:
        _, text = get(where[name], "/metrics")
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                found[name, sample.name, *sorted(sample.labels.values())] = sample.value
    for name in ("E1", "E2", "HC"):
        assert found[name, "pehealth_queries_total", "ok", "tiny"] == 3
        assert found[name, "pehealth_query_seconds_count", "tiny"] == 3
        assert found[name, "pehealth_links_up", "E2" if name == "E1" else "E1"] == 2
    assert found["E1", "pehealth_query_rounds_total", "tiny"] == 9
    left = [value for (name, metric, *_), value in found.items() if (name, metric) == ("HC", "pehealth_material_left")]
    assert len(left) == 1
    assert 4 <= left[0] <= 16

    for name in SERVERS:
        assert town.end(name) == 0
    for name in SERVERS:
        events = [json.loads(line) for line in (town.folder / f"{name}.jsonl").read_text().splitlines()]
        heads = [event["head"] for event in events if event["event"] == "audit_head"]
        assert events[-1]["event"] == "stopped"
        assert verify([town.folder / f"{name}.audit"], heads).head == heads[-1]
        for file in ("jsonl", "audit"):
            assert (town.folder / f"{name}.{file}").stat().st_mode & 0o777 == 0o600
    said = town.run("audit", "verify", "E1.audit", "--head", heads_of(town, "E1")[-1])
    assert "HMS1" in said
    assert re.search(r"\| tiny +\| 1 +\| ok +\| +3 \|", said)


def heads_of(town: Town, name: str) -> list[str]:
    events = [json.loads(line) for line in (town.folder / f"{name}.jsonl").read_text().splitlines()]
    return [event["head"] for event in events if event["event"] == "audit_head"]


def until_ready(address: str) -> None:
    """All links of the deployment stand within seconds."""
    for _ in range(300):
        status, body = get(address, "/readyz")
        if status == 200:
            return
        time.sleep(0.05)
    raise AssertionError(body)
