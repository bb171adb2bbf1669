"""Experiments are done once, their failures told, and nothing is taken for what it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parties.progress import silent
from pehealth.errors import ConfigError
from pehealth.experiments.report.parts import Experiment, MissingPart, PartStore, perform


def counted(name: str, calls: list[str], result: dict[str, Any] | None = None, **known: Any) -> Experiment:
    def measure() -> dict[str, Any]:
        calls.append(name)
        if result is None:
            raise ConfigError("no data here")
        return result

    return Experiment(name, {"kind": "test", **known}, measure)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    calls: list[str] = []
    for _ in range(2):
        found = perform([counted("a", calls, {"x": 1})], PartStore(tmp_path / "parts"), silent)
        assert found["a"] == {"x": 1}
    assert calls == ["a"]


def test_without_resume_everything_is_done_again(tmp_path: Path) -> None:
    calls: list[str] = []
    for _ in range(2):
        perform([counted("a", calls, {"x": 1})], PartStore(tmp_path), silent, resume=False)
    assert calls == ["a", "a"]


def test_other_parameters_are_another_experiment(tmp_path: Path) -> None:
    calls: list[str] = []
    for samples in (1, 2):
        perform([counted("a", calls, {"x": samples}, samples=samples)], PartStore(tmp_path), silent)
    assert calls == ["a", "a"]
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_failure_is_told_stops_nothing_and_is_tried_again(tmp_path: Path) -> None:
    calls: list[str] = []
    todo = [counted("bad", calls), counted("good", calls, {"x": 1})]
    for _ in range(2):
        found = perform(todo, PartStore(tmp_path), silent)
        assert found["good"] == {"x": 1}
        with pytest.raises(MissingPart, match="bad failed: ConfigError: no data here"):
            found["bad"]
        assert "bad" not in found
    assert calls == ["bad", "good", "bad"]


@pytest.mark.parametrize("text", ["", "[]", '{"name": "a"}', "not JSON"])
def test_a_spoilt_part_is_measured_again(tmp_path: Path, text: str) -> None:
    calls: list[str] = []
    one = counted("a", calls, {"x": 1})
    perform([one], PartStore(tmp_path), silent)
    (tmp_path / f"{one.digest}.json").write_text(text)
    assert perform([one], PartStore(tmp_path), silent)["a"] == {"x": 1}
    assert calls == ["a", "a"]


def test_ctrl_c_leaves_what_is_done(tmp_path: Path) -> None:
    calls: list[str] = []

    def stopped() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(
            [counted("a", calls, {"x": 1}), Experiment("b", {"kind": "test"}, stopped)], PartStore(tmp_path), silent
        )
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_progress_goes_from_none_to_all(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    perform([counted("a", [], {}), counted("b", [], {})], PartStore(tmp_path), lambda *event: told.append(event))
    assert told == [("report: a", 0, 2), ("report: b", 1, 2), ("report", 2, 2)]
