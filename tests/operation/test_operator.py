"""What a service's events become: log, audit log, metrics, health, readiness, over real files and a real socket."""

from __future__ import annotations

import dataclasses
import json

import pytest
import trio
import trio.testing

from parties.operation.audit_verify import verify
from parties.operation.health import LATE_SECONDS
from parties.operation.interface import Operation, Silent
from parties.operation.log import BURST, SPAN_SECONDS
from parties.operation.opening import open_operation
from parties.operation.operator import HEAD_EVERY, Operator
from pehealth.errors import ConfigError, MaterialError
from transport.errors import AddressUnusable

QUERY = {"deployment": "d1", "model": "clinic", "version": 3, "who": "HMS1", "seconds": 0.002, "rounds": 5}


def live_through(operation: Operation) -> None:
    """A short life of a service."""
    operation.started()
    for room in ("north-clinic", "d1"):
        operation.link_up(room, "E2")
        operation.link_up(room, "HC")
    operation.deployed("d1", "clinic", 3)
    operation.material("d1", 64)
    operation.query_done(query=1, outcome="ok", **QUERY)
    operation.query_done(query=2, outcome="PeerLost", **QUERY)


def test_the_silent_one_takes_everything():
    operation: Operation = Silent()
    live_through(operation)
    operation.link_down("d1", "E2", "a peer closed the link")
    operation.refused("10.0.0.7", "it does not speak TLS")
    operation.retired("d1", "clinic", 3, 1)
    operation.stopping()


async def test_the_log_and_the_audit_log_of_a_life(settings_of, events_of, autojump_clock):
    settings = settings_of()
    async with open_operation(settings) as operator:
        live_through(operator)
        operator.refused("10.0.0.7", "it does not speak TLS")
        operator.note("E1: no link to E2 (e2:7002) in north-clinic, calling again: connection refused")
        await trio.sleep(2.5)
        operator.link_down("d1", "E2", "a peer closed the link")
        await trio.sleep(2.5)
        operator.retired("d1", "clinic", 3, 1)
        operator.stopping()
        await trio.sleep(2.5)
    rows = events_of()
    assert [row["event"] for row in rows] == [
        "audit_head", "started", *["link_up"] * 4, "deployed", "query", "query_failed", "refused", "note", "ready",
        "link_down", "not_ready", "retired", "stopping", "audit_head", "stopped",
    ]  # fmt: skip
    assert {key: rows[7][key] for key in ("query", "who", "outcome", "seconds", "rounds")} == {
        "query": 1, "who": "HMS1", "outcome": "ok", "seconds": 0.002, "rounds": 5,
    }  # fmt: skip
    assert rows[13]["why"] == "E2 is not linked for clinic version 3: a peer closed the link"
    summary = verify([settings.operation.audit], [rows[-2]["head"]])
    assert (summary.lines, summary.head) == (rows[-2]["lines"], rows[-2]["head"])
    assert summary.queries == {("clinic", 3, "ok"): 1, ("clinic", 3, "PeerLost"): 1}


def lacking(operator: Operator) -> list[str]:
    response = operator.respond("/readyz")
    body = json.loads(response.body)
    assert (response.status == 200) == body["ready"] == (body["reasons"] == [])
    return body["reasons"]


async def test_ready_is_told_with_its_reasons(settings_of, autojump_clock):
    linked = False
    async with open_operation(settings_of()) as operator:
        assert lacking(operator) == ["E2 is not linked", "HC is not linked", "no deployment is committed here"]
        live_through(operator)
        assert lacking(operator) == []
        operator.material("d1", 0)
        assert lacking(operator) == ["no one-time material is left for clinic version 3"]
        operator.material("d1", 1)
        operator.material("another", 0)
        operator.link_up("d1", "E2")
        operator.link_down("d1", "E2", "replaced by a newer link of the same party")
        assert lacking(operator) == []
        operator.link_down("north-clinic", "HC", "no answer")
        operator.link_up("north-clinic", "HMS7")
        operator.link_down("north-clinic", "HMS7", "goodbye")
        assert lacking(operator) == ["HC is not linked: no answer"]
        operator.watch_readiness(lambda: [] if linked else ["HC is not linked"])
        assert lacking(operator) == ["HC is not linked: no answer"]
        operator.link_up("north-clinic", "HC")
        linked = True
        broken = ["the store is of another deployment"]
        operator.watch_readiness(lambda: broken)
        assert lacking(operator) == broken
        broken.clear()
        assert lacking(operator) == []
        operator.stopping()
        assert lacking(operator) == ["the party is stopping"]


async def test_a_client_that_comes_and_goes_does_not_fill_the_log(settings_of, events_of, autojump_clock):
    async with open_operation(settings_of()) as operator:
        for _ in range(500):
            operator.link_up("d1", "HMS1")
            operator.link_down("d1", "HMS1", "a peer closed the link")
        for _ in range(30):
            operator.link_up("d1", "E2")
            operator.link_down("d1", "E2", "a peer closed the link")
        await trio.sleep(SPAN_SECONDS + 1.5)
    rows = events_of()
    assert sum(row.get("peer") == "HMS1" for row in rows) == 2 * BURST
    assert sum(row.get("peer") == "E2" for row in rows) == 60
    assert [(row["of"], row["count"]) for row in rows if row["event"] == "left_out"] == [
        ("link_up", 500 - BURST), ("link_down", 500 - BURST),
    ]  # fmt: skip


async def test_a_late_event_loop_is_not_alive_until_it_catches_up(settings_of, events_of, mock_clock):
    settings = settings_of()
    settings = dataclasses.replace(settings, operation=dataclasses.replace(settings.operation, audit=None))
    async with open_operation(settings) as operator:
        for jump, alive in ((1.0, True), (1.0 + LATE_SECONDS + 0.1, False), (1.0, True)):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(jump)
            await trio.testing.wait_all_tasks_blocked()
            response = operator.respond("/healthz")
            assert (response.status == 200) == json.loads(response.body)["alive"] == alive
    slow = [row for row in events_of() if row["event"] == "slow_loop"]
    assert [row["seconds"] for row in slow] == [LATE_SECONDS + 0.1]


async def test_an_audit_log_that_cannot_be_written_makes_us_unready(settings_of, events_of, autojump_clock):
    settings = settings_of()
    async with open_operation(settings) as operator:
        live_through(operator)
        settings.operation.audit.rename(settings.operation.audit.with_suffix(".moved"))
        operator.query_done(query=3, outcome="ok", **QUERY)
        operator.query_done(query=4, outcome="ok", **QUERY)
        assert lacking(operator) == [
            "the audit log cannot be written: the file was moved or deleted while in use; a restart begins another"
        ]
    assert [row["event"] for row in events_of()].count("audit_failed") == 1


async def test_the_head_of_the_audit_log_is_logged_now_and_then(settings_of, events_of, autojump_clock):
    async with open_operation(settings_of()) as operator:
        for query in range(2 * HEAD_EVERY):
            operator.query_done(query=query + 1, outcome="ok", **QUERY)
    assert [r["lines"] for r in events_of() if r["event"] == "audit_head"] == [1, 1000, 2000, 2002]


async def test_the_error_that_ends_a_service_is_logged(settings_of, events_of, autojump_clock):
    with pytest.RaisesGroup(MaterialError):
        async with open_operation(settings_of()):
            raise MaterialError("the store is an older copy of itself")
    rows = events_of()
    assert [row["event"] for row in rows] == ["audit_head", "failed", "audit_head", "stopped"]
    assert (rows[1]["level"], rows[1]["why"]) == ("error", "the store is an older copy of itself")


async def test_what_cannot_be_opened_is_said_at_once(settings_of, tmp_path):
    async with open_operation(settings_of()):
        with pytest.raises(ConfigError, match="another process writes to it"):
            async with open_operation(settings_of()):
                raise AssertionError
    (tmp_path / "HC.log").mkdir()
    with pytest.raises(ConfigError, match=r"log .*HC\.log cannot be used: Is a directory"):
        async with open_operation(settings_of("HC")):
            raise AssertionError


async def test_metrics_are_served_over_http(settings_of, events_of):
    pytest.importorskip("prometheus_client", reason="the extra [serve] is not installed")
    pytest.importorskip("h11")
    async with open_operation(settings_of(metrics="127.0.0.1:0")) as operator:
        live_through(operator)
        address = next(row["address"] for row in events_of() if row["event"] == "listening")
        host, port = address.split(":")
        for path, status, said in (
            ("/metrics", 200, b'pehealth_queries_total{model="clinic",outcome="ok"} 1.0'),
            ("/healthz", 200, b'{"alive": true, "reasons": []}'),
            ("/readyz", 200, b'{"ready": true, "reasons": []}'),
            ("/", 404, b"try /metrics"),
        ):
            answer = await get(host, int(port), path)
            assert answer.split()[1] == str(status).encode()
            assert said in answer
        taken = settings_of("E2", metrics=address)
        with pytest.raises(AddressUnusable, match="cannot listen on"):
            async with open_operation(taken):
                raise AssertionError
        assert (b"HMS1" in answer, b"HMS1" in await get(host, int(port), "/metrics")) == (False, False)


async def get(host: str, port: int, path: str) -> bytes:
    with trio.fail_after(10):
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return b"".join([chunk async for chunk in stream])
