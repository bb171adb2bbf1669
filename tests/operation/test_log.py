"""One JSON object a line, whitelisted events with typed fields, and files that outlive rotation and full disks."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import numpy as np
import pytest

from parties.operation.append_file import AppendFile
from parties.operation.events import EVENTS, FIELDS, SENTENCE, line_of
from parties.operation.log import BURST, SPAN_SECONDS, Damped, JsonLog

NOON = dt.datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=dt.UTC)


def noon() -> dt.datetime:
    return NOON


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_has_time_level_party_event_and_its_fields(tmp_path):
    log = JsonLog("E1", tmp_path / "log", noon)
    log.write("link_down", room="north-clinic", peer="E2", why="a peer closed the link")
    log.close()
    assert lines_of(tmp_path / "log") == [
        {"time": "2026-11-24T12:00:00.250Z", "level": "warning", "party": "E1", "event": "link_down",
         "room": "north-clinic", "peer": "E2", "why": "a peer closed the link"}
    ]  # fmt: skip
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_without_a_file_it_is_standard_error(capfd):
    JsonLog("E1", None, noon).write("stopping")
    out, err = capfd.readouterr()
    assert (out, json.loads(err)["event"]) == ("", "stopping")


def test_every_event_has_known_fields():
    assert {name for _, names in EVENTS.values() for name in names} == set(FIELDS)


@pytest.mark.parametrize(
    "value",
    [b"0123456789abcdef", bytearray(8), memoryview(b"x"), np.arange(3), np.uint64(7), np.int64(7), np.float64(0.5),
     True, None, [1, 2], (1,), {"a": 1}, object(), float("nan"), float("inf"), 1j],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
@pytest.mark.parametrize("field", ["who", "left", "seconds"])
def test_nothing_but_texts_and_plain_numbers_can_be_written(field, value):
    event, names = next((event, names) for event, (_, names) in EVENTS.items() if field in names)
    fields = {name: "x" if isinstance(FIELDS[name], int) else 1 for name in names} | {field: value}
    with pytest.raises(TypeError, match=f"field {field}: expected .*not shown"):
        line_of(NOON, "E1", event, fields)


def test_numbers_have_an_end():
    with pytest.raises(TypeError, match="field left: expected int, came int"):
        line_of(NOON, "E1", "material_out", {"deployment": "d", "left": 2**63})


def test_other_events_and_fields_are_refused():
    with pytest.raises(KeyError):
        line_of(NOON, "E1", "share", {})
    with pytest.raises(TypeError, match="has the fields room, peer; came room, peer, key"):
        line_of(NOON, "E1", "link_up", {"room": "r", "peer": "p", "key": "00"})
    with pytest.raises(TypeError, match="came room"):
        line_of(NOON, "E1", "link_up", {"room": "r"})


def test_texts_are_cut_and_cannot_break_a_line_or_a_terminal():
    told = 'evil\n{"event": "ready"}\x1b[31m\u202e\x00' + "x" * 1000
    line = line_of(NOON, "E1", "refused", {"who": told, "why": told})
    assert "\n" not in line
    assert line.isascii()
    assert line.isprintable()
    row = json.loads(line)
    assert (row["event"], len(row["who"]), len(row["why"])) == ("refused", 64, SENTENCE)
    assert row["why"] == told[: SENTENCE - 3] + "..."


def test_a_file_that_was_moved_is_begun_anew(tmp_path):
    path = tmp_path / "log"
    log = JsonLog("E1", path, noon)
    log.write("stopping")
    path.rename(tmp_path / "log.1")
    log.write("stopped")
    path.unlink()
    log.write("ready")
    assert [r["event"] for r in lines_of(tmp_path / "log.1")] == ["stopping"]
    assert [r["event"] for r in lines_of(path)] == ["ready"]


def test_a_log_that_cannot_be_written_goes_to_standard_error(tmp_path, capfd):
    folder = tmp_path / "folder"
    folder.mkdir()
    log = JsonLog("E1", folder / "log", noon)
    (folder / "log").unlink()
    folder.rmdir()
    log.write("ready")
    note, line = capfd.readouterr().err.splitlines()
    assert "cannot be written: No such file or directory" in note
    assert json.loads(line)["event"] == "ready"


def test_a_line_that_fitted_in_part_is_finished_before_the_next(tmp_path, monkeypatch):
    """A disk that takes ten bytes, then none, then all."""
    path = tmp_path / "log"
    file = AppendFile(path)
    real, takes = os.write, [10, 0]

    def write(descriptor: int, data: bytes) -> int:
        room = takes.pop(0) if takes else len(data)
        if not room:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:room])

    monkeypatch.setattr("parties.operation.append_file.os.write", write)
    file.write("the first of the lines")
    with pytest.raises(OSError, match="No space"):
        file.write("the second")
    file.write("the third")
    assert path.read_text() == "the first of the lines\nthe third\n"


def test_a_flood_is_counted_not_written(tmp_path):
    clock = [0.0]
    log = JsonLog("E1", tmp_path / "log", noon)
    damped = Damped(log, "refused", lambda: clock[0])
    for _ in range(1000):
        damped.write(who="10.0.0.7", why="it does not speak TLS")
    clock[0] = SPAN_SECONDS
    damped.write(who="10.0.0.7", why="it does not speak TLS")
    rows = lines_of(tmp_path / "log")
    assert [r["event"] for r in rows] == ["refused"] * BURST + ["left_out", "refused"]
    assert (rows[BURST]["of"], rows[BURST]["count"]) == ("refused", 1000 - BURST)
