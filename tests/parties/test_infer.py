"""`pehealth infer` against a client that computes in the clear: lines, errors and exit codes."""

import io
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parties import cli
from parties.request import RunRequest
from parties.resolve import resolve_deployment
from parties.service.cards import Answer, ModelCard
from parties.service.client import Client
from parties.settings import Settings
from pehealth import schema
from pehealth.errors import PeerAborted
from pehealth.nets.oracle import ideal
from transport.errors import PeerLost
from transport.limits import Limits


class ClearClient:
    """Answers as the services would, without links."""

    def __init__(self, net: str = "postop-b", **options) -> None:
        job = resolve_deployment(RunRequest(net=net, batch=options.pop("batch", 1), samples=64))
        network, p = job.model.network, job.plan.parameters
        self.model = job.quantised
        self.card = ModelCard(
            "0123456789abcdef", net, 3, "rlwe", network.input_shape, network.classes, job.model.ranges, p.digits,
            p.ring, p.batch, job.quantised.logit_scale, job.plan.error_bound, "logits", "ab" * 16,
        )  # fmt: skip
        self.fails: dict[int, Exception] = {}
        self.calls: list[int] = []
        self.settings: list[tuple[Settings, dict[str, object]]] = []

    async def models(self) -> list[ModelCard]:
        return [self.card]

    async def infer(self, readings, *, normalised: bool = False) -> list[Answer]:
        self.calls.append(len(readings))
        if error := self.fails.get(len(self.calls)):
            raise error
        card = self.card
        logits = ideal(self.model, card.encode(card.normalise(readings))).logits.astype(np.int64)
        return [
            Answer(
                100 + len(self.calls), card.deployment, card.model, card.version, len(logits), logits,
                logits.argmax(axis=1), card.labels, card.scale, card.digits, card.error_bound, 0.0123, 0,
            )
        ]  # fmt: skip


@pytest.fixture
def client(monkeypatch):
    client = ClearClient()

    @asynccontextmanager
    async def connect(settings, **options):
        client.settings.append((settings, options))
        yield client

    settings = Settings("HMS1", "north", "", {}, None, None, Limits(), 60.0, 10.0, Path("HMS1.toml"))
    monkeypatch.setattr(Client, "connect", connect)
    monkeypatch.setattr("parties.answering.load_settings", lambda _path: settings)
    return client


@pytest.fixture
def table(tmp_path, client):
    """Return a file of three patients, and their readings."""
    ranges = client.card.ranges
    rows = np.array(ranges.low) + np.array([[0.0] * 8, [1.0] * 8, [0.5] * 8]) * (
        np.array(ranges.high) - np.array(ranges.low)
    )
    file = tmp_path / "patients.csv"
    file.write_text("".join(",".join(map(repr, row)) + "\n" for row in rows.tolist()))
    return file, rows


def infer(*arguments: object) -> int:
    return cli.main(["infer", *map(str, arguments), "--service", "HMS1.toml"])


def lines(capsys) -> list[dict]:
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in found:
        assert schema.problems(line, schema.ANSWER) == ()
    return found


def test_a_json_line_each_with_all_that_a_result_has(client, table, capsys) -> None:
    file, rows = table
    assert infer(file, "--json", "lines") == 0
    found = lines(capsys)
    logits = ideal(client.model, client.card.encode(client.card.normalise(rows))).logits
    assert [line["logits"] for line in found] == (logits / client.card.scale).tolist()
    assert [line["label"] for line in found] == [client.card.labels[c] for c in logits.argmax(axis=1)]
    assert [(line["sample"], line["line"], line["query"]) for line in found] == [(0, 1, 101), (1, 2, 102), (2, 3, 103)]
    assert found[0] == found[0] | {
        "model": "postop-b", "version": 3, "digits": 4, "seconds": 0.0123, "retries": 0, "clipped": 0,
        "error_bound": client.card.error_bound / client.card.scale,
    }  # fmt: skip


def test_a_table_for_people(client, table, capsys) -> None:
    assert infer(table[0]) == 0
    out = capsys.readouterr()
    head, *rest = out.out.splitlines()
    assert head.split()[:4] == ["sample", "line", "query", "label"]
    assert len(rest) == 3
    assert "postop-b@3" in rest[0]
    assert out.err == ""


def test_what_is_told_to_the_client(client, table) -> None:
    assert infer(table[0], "--model", "postop-b@3", "--deadline", "2.5", "--retries", "0") == 0
    ((settings, options),) = client.settings
    assert settings.service.query_seconds == 2.5
    assert options == {"model": "postop-b", "version": 3, "retries": 0}


def test_npy_floats_and_windows(client, table, tmp_path, capsys) -> None:
    file, rows = table
    np.save(tmp_path / "p.npy", rows)
    (tmp_path / "series.csv").write_text("".join(f"{value!r}\n" for value in rows.reshape(-1).tolist()))
    (tmp_path / "bare").write_bytes(rows.astype("<f8").astype("<f4").tobytes())
    found = []
    for arguments in (
        (file,),
        (tmp_path / "p.npy",),
        (tmp_path / "series.csv", "--window", "8"),
        (tmp_path / "bare", "--format", "f32"),
    ):
        assert infer(*arguments, "--json", "lines") == 0
        found.append([line["label"] for line in lines(capsys)])
    assert found[0] == found[1] == found[2] == found[3]


def test_standard_input_a_line_as_soon_as_its_sample_is_complete(client, table, monkeypatch) -> None:
    """The second sample is written when the first was answered: whoever waited for more input would wait for ever."""
    reads, writes = os.pipe()
    text = table[0].read_bytes().splitlines(keepends=True)
    shown = []
    monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: reads))

    class Out(io.StringIO):
        def write(self, line: str) -> int:
            shown.append(json.loads(line)["line"])
            os.close(writes) if len(shown) == len(text) else os.write(writes, text[len(shown)])
            return len(line)

    os.write(writes, text[0])
    monkeypatch.setattr("sys.stdout", Out())
    assert infer("-", "--json", "lines") == 0
    assert shown == [1, 2, 3]
    os.close(reads)


def test_a_failure_does_not_wait_for_more_input(client, table, monkeypatch, capsys) -> None:
    reads, writes = os.pipe()
    os.write(writes, table[0].read_bytes().splitlines(keepends=True)[0])
    client.fails = {1: PeerLost("E1 is gone")}
    monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: reads))
    assert infer("-") == 3
    assert "E1 is gone" in capsys.readouterr().err
    os.close(writes)


def test_clip_says_how_many(client, table, capsys) -> None:
    file, rows = table
    rows[1, :2] = np.array(client.card.ranges.high[:2]) + 1
    file.write_text("".join(",".join(map(repr, row)) + "\n" for row in rows.tolist()))
    assert infer(file, "--json", "lines") == 2
    assert "line 2, column 1: " in (err := capsys.readouterr().err)
    assert "is outside of its range" in err
    assert infer(file, "--clip", "--json", "lines") == 0
    assert [line["clipped"] for line in lines(capsys)] == [0, 2, 0]


def test_the_answers_before_a_bad_line_are_shown(client, table, capsys) -> None:
    file, _ = table
    file.write_text(file.read_text() + "1,2\n")
    assert infer(file, "--json", "lines") == 2
    out = capsys.readouterr()
    assert [json.loads(line)["line"] for line in out.out.splitlines()] == [1, 2, 3]
    assert "patients.csv line 4: expected 8 columns, came 2" in out.err


def test_a_failure_ends_it_with_its_exit_code_or_is_a_line_of_its_own(client, table, capsys) -> None:
    client.fails = {2: PeerAborted("E2", "its disk is full")}
    assert infer(table[0], "--json", "lines", "--in-flight", "1") == 3
    out = capsys.readouterr()
    assert [json.loads(line)["line"] for line in out.out.splitlines()] == [1]
    assert "E2 stopped: its disk is full" in out.err
    client.calls, client.fails = [], {2: PeerLost("E1 is gone")}
    assert infer(table[0], "--json", "lines", "--in-flight", "1", "--keep-going") == 3
    out = capsys.readouterr()
    second = json.loads(out.out.splitlines()[1])
    assert second == {"sample": 1, "line": 2, "clipped": 0, "error": "E1 is gone", "kind": "PeerLost", "code": 3}
    assert len(out.out.splitlines()) == 3
    assert schema.problems(second, schema.ANSWER) == ()
    assert schema.problems({**second, "query": 1}, schema.ANSWER) != ()
    client.calls, client.fails = [], {2: PeerLost("E1 is gone")}
    assert infer(table[0], "--in-flight", "1", "--keep-going") == 3
    assert "failed: E1 is gone" in capsys.readouterr().out


def test_another_partys_settings_are_refused(client, table, monkeypatch, capsys) -> None:
    server = Settings("E1", "north", "", {}, None, None, Limits(), 60.0, 10.0, Path("E1.toml"))
    monkeypatch.setattr("parties.answering.load_settings", lambda _path: server)
    assert infer(table[0]) == 2
    assert "E1 asks for nothing: give a client's settings" in capsys.readouterr().err


def test_what_cannot_work_is_said_before_anyone_is_called(client, table, tmp_path, capsys) -> None:
    file, _ = table
    for arguments, words in (
        ((tmp_path / "none.csv",), "none.csv is not a file"),
        ((file, "--in-flight", "0"), "--in-flight 0 must be at least 1"),
        ((file, "--model", "a@b"), "names no model"),
        ((file, "--deadline", "0"), "--deadline 0 must be above 0"),
        ((file, "--retries", "-1"), "--retries -1 is outside"),
    ):
        assert infer(*arguments) == 2
        assert words in capsys.readouterr().err
    assert client.settings == []
    assert infer(file, "--window", "3") == 2
    assert "8 readings a sample, which is no multiple" in capsys.readouterr().err
    file.write_text("1\n2\n")
    assert infer(file, "--window", "8") == 2
    assert "holds no sample: 2 rows, and a sample takes 8" in capsys.readouterr().err
