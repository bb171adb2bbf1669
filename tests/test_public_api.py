"""What users build on stays as it is, and the documents name all of it."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

import pehealth
from parties import cli
from parties.flags import RunFlags
from pehealth import errors, schema
from transport import errors as transport_errors

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

EXIT_CODES = {
    "PehealthError": 70,
    "ConfigError": 2,
    "UnsupportedLayer": 2,
    "RangeError": 2,
    "MaterialError": 2,
    "PeerProtocolError": 4,
    "PeerAborted": 3,
    "Busy": 3,
    "Draining": 3,
    "TransportError": 3,
    "LinkClosed": 3,
    "PeerLost": 3,
    "PeerTimeout": 3,
    "TlsFailed": 2,
    "AddressUnusable": 2,
    "HandshakeMismatch": 2,
    "FrameError": 4,
    "UnexpectedMessage": 4,
    "PeerAbort": 3,
}


def test_the_errors_and_their_exit_codes() -> None:
    """A script that starts pehealth decides by these."""
    found = {
        name: kind.exit_code
        for module in (errors, transport_errors)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, errors.PehealthError | transport_errors.TransportError)
    }
    assert found == EXIT_CODES


def test_the_schemas_that_are_shipped() -> None:
    shipped = {path.name for path in (ROOT / "pehealth" / "schema").glob("*.json")}
    named = {value for value in vars(schema).values() if isinstance(value, str) and value.endswith("-1.json")}
    assert shipped == named


def test_one_version_is_named_everywhere() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", pehealth.__version__)
    assert f"## [{pehealth.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"pehealth": "parties.cli:main"}


def test_every_command_and_flag_is_in_the_command_line_document() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    commands = [*cli.COMMANDS, *(f"{g} {c}" for g, (_, commands) in cli.GROUPS.items() for c in commands)]
    assert [c for c in commands if f"`pehealth {c}" not in text] == []
    flags = [f"`--{f.name.replace('_', '-')}" for f in dataclasses.fields(RunFlags)]
    assert [f for f in flags if f not in text] == []


def test_every_field_of_a_result_is_in_the_results_document() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    assert [name for name in schema.load(schema.RESULT)["properties"] if f"`{name}`" not in text] == []
    assert [name for name in schema.load(schema.PLAN)["properties"] if f"`{name}`" not in text] == []


def test_troubleshooting_has_every_error_by_name() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    leaves = set(EXIT_CODES) - {"PehealthError", "TransportError"}
    assert [name for name in sorted(leaves) if name not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [t for t in targets if not (document.parent / t).exists()] == []
