"""The example units, containers and alerts: what they name exists, and they are what they claim."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from parties.operation.events import EVENTS
from parties.settings_service import ServiceSettings

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"
UNIT = EXAMPLES / "systemd" / "pehealth@.service"
METRICS = ROOT / "parties" / "operation" / "metrics.py"
SUFFIXES = ("_total", "_info", "_bucket", "_sum", "_count")


def unit() -> dict[str, list[str]]:
    """Key of [Service] -> its values."""
    section, found = "", {}
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_is_understood_by_systemd(tmp_path):
    if shutil.which("systemd-analyze") is None:
        configparser.ConfigParser(strict=False, interpolation=None).read(UNIT)
        pytest.skip("systemd-analyze is not here; the file was parsed alone")
    copy = tmp_path / "pehealth@E1.service"
    copy.write_text(UNIT.read_text().replace("/opt/pehealth/bin/pehealth", shutil.which("true")))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in (checked.stdout + checked.stderr).splitlines() if "pehealth" in line]
    assert complaints == []


def test_the_unit_leaves_the_party_time_to_drain():
    found = unit()
    assert float(found["TimeoutStopSec"][0]) > ServiceSettings().drain_seconds
    assert (found["KillSignal"], found["Restart"]) == (["SIGTERM"], ["on-failure"])
    assert found["RestartPreventExitStatus"] == ["2"]


def test_the_unit_is_hardened():
    found = unit()
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "MemoryDenyWriteExecute"):
        assert found[key] == ["yes"]
    assert (found["ProtectSystem"], found["CapabilityBoundingSet"], found["LimitCORE"]) == (["strict"], [""], ["0"])


def alerts() -> dict[str, str]:
    """Alert -> its expression, by the file's own layout."""
    text = (EXAMPLES / "prometheus-alerts.yaml").read_text()
    blocks = re.split(r"^      - alert: ", text, flags=re.MULTILINE)[1:]
    found = {}
    for block in blocks:
        assert re.search(r"^        labels: \{severity: (page|ticket)\}$", block, re.MULTILINE), block
        assert "          summary: " in block
        assert "          remedy: " in block
        expression = re.search(r"^        expr: (.*?)(?=^        \w+:)", block, re.DOTALL | re.MULTILINE)
        found[block.split()[0]] = expression[1]
    return found


def base(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def names_in(text: str) -> set[str]:
    return {base(name) for name in re.findall(r"\bpehealth_[a-z_]+", text)}


def test_alerts_and_document_name_the_metrics_that_there_are():
    there = {base(name) for name in re.findall(r'"(pehealth_[a-z_]+)"', METRICS.read_text())}
    assert len(there) == 14
    found = alerts()
    assert len(found) == 11
    for alert, expression in found.items():
        assert names_in(expression) <= there, alert
        assert re.search(r"[<>]=?|==", expression), alert
        assert expression.count("(") == expression.count(")"), alert
    assert names_in((ROOT / "docs" / "operation.md").read_text()) == there


def test_the_document_has_every_event():
    text = (ROOT / "docs" / "operation.md").read_text()
    assert [event for event in EVENTS if f"`{event}`" not in text] == []


@pytest.mark.parametrize("file", ["compose.yaml", "prometheus-alerts.yaml"])
def test_yaml_can_be_read(file):
    yaml = pytest.importorskip("yaml", reason="there is no YAML library among the tests' own")
    table = yaml.safe_load((EXAMPLES / file).read_text())
    assert table
    if file == "compose.yaml":
        for service in table["services"].values():
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
            assert float(service["stop_grace_period"].removesuffix("s")) > ServiceSettings().drain_seconds
            assert {v.split(":")[0] for v in service["volumes"] if not v.startswith(".")} <= set(table["volumes"])
    else:
        rules = {rule["alert"]: rule["expr"] for group in table["groups"] for rule in group["rules"]}
        assert set(rules) == set(alerts())


def test_compose_and_unit_start_what_is_there():
    compose = (EXAMPLES / "compose.yaml").read_text()
    for party in ("E1", "E2", "DEALER", "HC"):
        assert f"./parties/{party}:/etc/pehealth:ro" in compose
        assert f"  {party.lower()}:\n    <<: *party" in compose
        if party != "HC":
            assert f"{party.lower()}.example.org" in (EXAMPLES / "HC.toml").read_text()
    assert "\t" not in compose
    image = (EXAMPLES / "Dockerfile").read_text()
    command = json.loads(re.search(r"^CMD (.*)$", image, re.MULTILINE)[1])
    assert command == ["serve", "/etc/pehealth/party.toml"]
    assert unit()["ExecStart"] == ["/opt/pehealth/bin/pehealth serve /etc/pehealth/%i.toml"]
