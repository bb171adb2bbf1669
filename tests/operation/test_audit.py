"""The chain of an audit log: it goes on over restarts and torn lines, and shows each edit but a cut at its end."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parties import cli
from parties.operation.audit import ANEW, AuditLog
from parties.operation.audit_verify import AuditBroken, verify
from pehealth.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent


def noon() -> dt.datetime:
    return dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def write(path: Path, queries: int = 5) -> str:
    """A start, a deployment, some queries, a stop; returns the head."""
    log = AuditLog(path, "E1", noon)
    log.deployed("d1", "clinic", 3)
    for query in range(1, queries + 1):
        log.query("HMS1", "d1", "clinic", 3, query, "ok" if query % 2 else "PeerLost")
    log.close()
    return log.head


def test_a_line_says_who_asked_what_and_how_it_ended(tmp_path):
    write(tmp_path / "audit", 1)
    lines = (tmp_path / "audit").read_bytes().splitlines()
    assert json.loads(lines[2]) == {
        "number": 3, "time": "2026-11-24T12:00:00.000Z", "party": "E1", "event": "query", "who": "HMS1",
        "deployment": "d1", "model": "clinic", "version": 3, "query": 1, "outcome": "ok",
        "previous": hashlib.sha256(lines[1]).hexdigest(),
    }  # fmt: skip
    assert json.loads(lines[0])["previous"] == ANEW
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o600


def test_the_chain_goes_on_after_a_restart(tmp_path):
    path = tmp_path / "audit"
    write(path)
    head = write(path)
    summary = verify([path])
    assert (summary.lines, summary.head, summary.begins, summary.torn) == (16, head, ANEW, [])
    assert summary.queries == {("clinic", 3, "ok"): 6, ("clinic", 3, "PeerLost"): 4}
    assert summary.submitters == {"HMS1": 10}
    assert summary.events == {"started": 2, "deployed": 2, "query": 10, "stopped": 2}


def test_every_edit_shows(tmp_path):
    """Each line changed, removed, doubled, swapped with the next, or one slipped in before it."""
    path = tmp_path / "audit"
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    edits = []
    for at in range(len(lines) - 1):
        changed = lines[at].replace(b"12:00:00", b"13:00:00")
        forged = lines[at].replace(b'"E1"', b'"E2"')
        rest = lines[at + 1 :]
        edits += [
            [*lines[:at], changed, *rest],
            *([[*lines[:at], *rest]] if at else []),
            [*lines[:at], lines[at], lines[at], *rest],
            [*lines[:at], rest[0], lines[at], *rest[1:]],
            [*lines[:at], forged, lines[at], *rest],
            [*lines[:at], b"\n", *rest],
            [*lines[:at], b"garbage\n", lines[at], *rest],
        ]
    for edit in edits:
        path.write_bytes(b"".join(edit))
        with pytest.raises(AuditBroken, match=f"{path} line \\d+ "):
            verify([path])
    path.write_bytes(b"".join(lines))
    verify([path])


def test_a_cut_at_the_end_shows_only_against_a_head_kept_elsewhere(tmp_path):
    path = tmp_path / "audit"
    head = write(path)
    assert verify([path], [head.upper()]).head == head
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    assert verify([path]).lines == 6
    with pytest.raises(AuditBroken, match=f"the line with the hash {head} is not there: lines were cut off"):
        verify([path], [head])


def test_a_line_torn_by_a_power_cut_is_told_from_an_edit(tmp_path):
    path = tmp_path / "audit"
    write(path)
    torn = path.read_bytes()[:-40]
    path.write_bytes(torn)
    assert verify([path]).torn == [f"{path} line 8"]
    write(path)
    summary = verify([path])
    assert (summary.torn, summary.lines) == ([f"{path} line 8"], 16)
    path.write_bytes(path.read_bytes().replace(b'"started"', b'"deployed"'))
    with pytest.raises(AuditBroken):
        verify([path])


def test_two_files_are_one_chain(tmp_path):
    """Moved away at a stop, and the head handed on by hand is not needed: the new file begins anew, or continues."""
    old, new = tmp_path / "old", tmp_path / "new"
    write(old)
    lines = old.read_bytes().splitlines(keepends=True)
    old.write_bytes(b"".join(lines[:4]))
    new.write_bytes(b"".join(lines[4:]))
    assert verify([old, new]).lines == 8
    assert verify([new]).begins == hashlib.sha256(lines[3].rstrip()).hexdigest()
    with pytest.raises(AuditBroken):
        verify([new, old])
    (tmp_path / "headless").write_bytes(
        b"".join(lines[1:]).replace(hashlib.sha256(lines[0][:-1]).hexdigest().encode(), ANEW.encode())
    )
    with pytest.raises(AuditBroken, match="is number 2, and says"):
        verify([tmp_path / "headless"])


def test_a_kill_loses_no_line(tmp_path):
    """Whatever was said before a kill -9 is there after it."""
    code = (
        "import sys; from pathlib import Path; from parties.operation.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]), 'E1')\n"
        "for n in range(1, 10**6):\n"
        "    log.query('HMS1', 'd', 'm', 1, n, 'ok')\n"
        "    print(n, flush=True)\n"
    )
    path = tmp_path / "audit"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        for _ in range(50):
            said = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        said = max([said, *map(int, process.stdout.read().split())])
    summary = verify([path])
    assert summary.torn == []
    assert said <= summary.events["query"] <= said + 1


def test_one_process_at_a_time(tmp_path):
    first = AuditLog(tmp_path / "audit", "E1")
    with pytest.raises(ConfigError, match="another process writes to it"):
        AuditLog(tmp_path / "audit", "E2")
    first.close()
    AuditLog(tmp_path / "audit", "E1").close()


def test_a_disk_that_is_full_for_a_while_loses_no_line(tmp_path, monkeypatch):
    path = tmp_path / "audit"
    log = AuditLog(path, "E1")
    real = os.write
    monkeypatch.setattr("parties.operation.append_file.os.write", full)
    log.query("HMS1", "d", "m", 1, 1, "ok")
    log.query("HMS1", "d", "m", 1, 2, "ok")
    assert log.failure == "No space left on device"
    monkeypatch.setattr("parties.operation.append_file.os.write", real)
    log.query("HMS1", "d", "m", 1, 3, "ok")
    assert log.failure == ""
    log.close()
    assert verify([path]).events["query"] == 3


def full(descriptor: int, data: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_a_file_that_was_moved_stops_the_log_and_says_so(tmp_path):
    path = tmp_path / "audit"
    log = AuditLog(path, "E1")
    path.rename(tmp_path / "gone")
    log.query("HMS1", "d", "m", 1, 1, "ok")
    assert "moved or deleted while in use" in log.failure
    assert not path.exists()


def test_only_texts_and_numbers_are_kept(tmp_path):
    log = AuditLog(tmp_path / "audit", "E1")
    for who, query in ((b"key", 1), ("HMS1", np.uint64(3)), ("HMS1", np.arange(3)), (np.arange(3), 1)):
        with pytest.raises(TypeError, match="not shown"):
            log.query(who, "d", "m", 1, query, "ok")
    log.close()
    assert verify([tmp_path / "audit"]).lines == 2


def test_at_the_command_line(tmp_path, capsys):
    path = tmp_path / "audit"
    head = write(path)
    assert cli.main(["audit", "verify", str(path), "--head", head]) == 0
    said = capsys.readouterr().out
    assert "8 lines in one chain, from 2026-11-24T12:00:00.000Z" in said
    assert f"head {head}" in said
    assert "PeerLost" in said
    path.write_bytes(path.read_bytes().replace(b"HMS1", b"HMS2", 1))
    assert cli.main(["audit", "verify", str(path)]) == 2
    assert "the audit log is not what was written: " in capsys.readouterr().err
    assert cli.main(["audit", "verify", str(tmp_path / "none")]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    assert cli.main(["audit", "verify"]) == 2
    assert "which file?" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00" * 100, b'{"number": 1}\n', b"[" * 100_000 + b"\n"])
def test_anything_may_be_in_a_file(tmp_path, content):
    path = tmp_path / "audit"
    path.write_bytes(content)
    with contextlib.suppress(AuditBroken):
        verify([path])
