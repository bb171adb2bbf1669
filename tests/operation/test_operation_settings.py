"""The table `[operation]`: defaults, what is wrong with it all at once, and what is said at every start."""

from __future__ import annotations

from pathlib import Path

import pytest

from parties.operation.settings import OperationSettings, is_loopback, read_operation
from parties.toml_reader import TomlReader


def read(folder: Path, **table: object) -> tuple[OperationSettings, list[str]]:
    problems: list[str] = []
    return read_operation(TomlReader(table, "operation", problems), folder), problems


def test_by_default_there_is_a_log_and_nothing_else(tmp_path):
    settings, problems = read(tmp_path)
    assert (settings, problems) == (OperationSettings("", None, None), [])
    assert settings.warnings() == []


def test_paths_are_relative_to_the_file(tmp_path):
    settings, problems = read(tmp_path, metrics="127.0.0.1:9401", log="log.jsonl", audit="audit.jsonl")
    assert (settings.log, settings.audit, problems) == (tmp_path / "log.jsonl", tmp_path / "audit.jsonl", [])
    assert settings.warnings() == []


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"metrics": "9401"}, "[operation] metrics: expected an address"),
        ({"metrics": "127.0.0.1:0"}, "cannot be 0"),
        ({"metrics": 9401}, "expected a text in quotes"),
        ({"log": "no/such/log"}, "there is no folder"),
        ({"audit": "."}, "that is a folder"),
        ({"audit": True}, "expected a text in quotes"),
        ({"log": "one", "audit": "one"}, "[operation] audit is the same file as log"),
        ({"metric": "127.0.0.1:9401"}, "did you mean metrics?"),
    ],
)
def test_each_problem_is_named(tmp_path, table, says):
    _, problems = read(tmp_path, **table)
    assert len(problems) == 1
    assert says in problems[0]


def test_all_problems_are_listed_at_once(tmp_path):
    _, problems = read(tmp_path, metrics="x", log="no/log", audit=".", level="debug")
    assert len(problems) == 4


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("127.9.9.9:1", True), ("0.0.0.0:1", False),
     ("[::]:1", False), ("10.0.0.7:1", False), ("e1.example.org:1", False)],
)  # fmt: skip
def test_who_can_reach_the_metrics_is_said_at_every_start(address, local):
    assert is_loopback(address) == local
    assert (OperationSettings(address).warnings() == []) == local
