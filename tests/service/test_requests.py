"""Requests and replies over real links: errors come out as what they were, and no request ends a link."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
import trio
import trio.testing

from parties.service.fields import Fields
from parties.service.requests import REPLIES, REPLY, REQUEST, REQUEST_BYTES, REQUESTS, Line
from pehealth.errors import Busy, ConfigError, MaterialError, PeerAborted, PeerProtocolError
from transport.channel import Channel
from transport.errors import FrameError, PeerLost, PeerTimeout
from transport.interfaces import Clock
from transport.limits import Limits
from transport.testing import open_local

BUGS: list[str] = []


async def answer(who: str, f: Fields) -> Mapping[str, Any]:
    number = f.number("number", 0, 9)
    f.finish()
    return {"who": who, "twice": 2 * number}


async def fail(who: str, f: Fields) -> Mapping[str, Any]:
    kind = f.text("kind")
    if kind == "aborted":
        raise PeerAborted("HC", "out of power")
    if kind == "bug":
        raise ZeroDivisionError("secret")
    raise {"material": MaterialError, "config": ConfigError, "busy": Busy}[kind](f"E2: {kind} of {who}")


async def never(who: str, f: Fields) -> Mapping[str, Any]:
    await trio.sleep_forever()
    return {}


HANDLERS = {"answer": answer, "fail": fail, "never": never}


@asynccontextmanager
async def lines(limits: Limits | None = None, at_once: int = 64) -> AsyncIterator[tuple[Line, Line, list[Exception]]]:
    """E1 and E2, each with a line; and how the lines ended."""
    ends: list[Exception] = []

    async def run(line: Line) -> None:
        try:
            await line.run()
        except Exception as error:  # noqa: BLE001
            ends.append(error)

    async with open_local(("E1", "E2"), limits=limits) as links, trio.open_nursery() as nursery:
        one, two = (
            Line(links[a][b], HANDLERS, report=BUGS.append, at_once=at_once) for a, b in (("E1", "E2"), ("E2", "E1"))
        )
        nursery.start_soon(run, one)
        nursery.start_soon(run, two)
        yield one, two, ends
        nursery.cancel_scope.cancel()


async def raw(channel: Channel, payload: bytes, *, reply: bool = False) -> None:
    end = channel.endpoint(REPLIES if reply else REQUESTS, Clock())
    await end.send(REPLY if reply else REQUEST, payload)


async def test_both_ask_and_each_gets_its_own_answer() -> None:
    async with lines() as (one, two, _):
        got: dict[tuple[str, int], Any] = {}

        async def ask(line: Line, number: int) -> None:
            got[line.channel.local, number] = await line.ask("answer", within=5, number=number)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, one, number)
                nursery.start_soon(ask, two, number)
    assert got == {(name, n): {"who": name, "twice": 2 * n} for name in ("E1", "E2") for n in range(10)}


@pytest.mark.parametrize(
    ("kind", "error"), [("material", MaterialError), ("config", ConfigError), ("busy", Busy), ("aborted", PeerAborted)]
)
async def test_an_error_comes_out_as_what_it_was(kind: str, error: type[Exception]) -> None:
    async with lines() as (one, _, ends):
        with pytest.raises(error) as caught:
            await one.ask("fail", within=5, kind=kind)
        text = "HC stopped: out of power" if kind == "aborted" else f"E2: {kind} of E1"
        assert str(caught.value) == text
        assert (await one.ask("answer", within=5, number=1))["twice"] == 2
    assert ends == []


async def test_a_bug_is_reported_here_and_told_there_by_its_type_alone() -> None:
    BUGS.clear()
    async with lines() as (one, _, _):
        with pytest.raises(PeerAborted, match=r"E2 stopped: internal error \(ZeroDivisionError\)"):
            await one.ask("fail", within=5, kind="bug")
    assert BUGS == ["E2: a bug of ours in fail, asked for by E1: ZeroDivisionError: secret"]


@pytest.mark.parametrize(
    ("op", "fields", "words"),
    [
        ("fly", {}, "E2 does not 'fly' for E1, only answer, fail, never"),
        ("answer", {}, "request 'answer': number must be a number from 0 to 9"),
        ("answer", {"number": True}, "number must be a number"),
        ("answer", {"number": 10}, "number must be a number"),
        ("answer", {"number": 2.0}, "number must be a number"),
        ("answer", {"number": 1, "more": 1}, "fields that it does not take: 'more'"),
        ("fail", {"kind": "x" * 300}, "kind must be a text of at most 256 characters"),
    ],
)
async def test_a_request_that_is_wrong_is_answered_so(op: str, fields: dict[str, Any], words: str) -> None:
    async with lines() as (one, _, ends):
        with pytest.raises(PeerProtocolError, match=words):
            await one.ask(op, within=5, **fields)
        assert (await one.ask("answer", within=5, number=3))["twice"] == 6
    assert ends == []


@pytest.mark.parametrize(
    "payload",
    [b"\xc1", b"", msgpack.packb([1]), msgpack.packb({1: 2}), msgpack.packb({"ask": "answer"}), b"\x91" * 60_000,
     msgpack.packb({"n": -1, "ask": "answer"}), msgpack.packb({"n": 1, "ask": ["answer"]}),
     msgpack.packb({"n": True, "ask": "answer"})],
)  # fmt: skip
async def test_what_is_no_request_ends_the_link_and_is_told_apart(payload: bytes) -> None:
    async with lines() as (one, _, ends):
        await raw(one.channel, payload)
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(ends[0], PeerProtocolError)
        assert "E2: E1 sent a request" in str(ends[0])


async def test_a_request_that_is_too_long_ends_the_link() -> None:
    async with lines() as (one, _, ends):
        await raw(one.channel, bytes(REQUEST_BYTES + 1))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(ends[0], FrameError)


async def test_replies_to_nobody_are_dropped_and_bad_ones_are_errors() -> None:
    async with lines() as (one, two, _):
        await raw(two.channel, msgpack.packb({"n": 77, "ok": {}}), reply=True)
        await raw(two.channel, msgpack.packb({"n": "x", "ok": {}}), reply=True)
        assert (await one.ask("answer", within=5, number=4))["twice"] == 8
        with trio.move_on_after(0):
            await one.ask("never", within=5)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(PeerProtocolError, match="neither answer nor error"):
                    await one.ask("never", within=5)

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await raw(two.channel, msgpack.packb({"n": 3, "ok": 5}), reply=True)


async def test_an_answer_that_is_late_and_a_link_that_ends(autojump_clock: trio.testing.MockClock) -> None:
    async with lines() as (one, two, _):
        with pytest.raises(PeerTimeout, match="E1: E2 did not answer a request to never within 3 s"):
            await one.ask("never", within=3)
        assert trio.current_time() == 3
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(PeerLost, match="said goodbye"):
                    await one.ask("never", within=3)

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await two.channel.aclose()


async def test_a_line_on_which_nobody_asks_lives_on(autojump_clock: trio.testing.MockClock) -> None:
    limits = Limits(deadline_seconds=5, silence_seconds=4, keepalive_seconds=1)
    async with lines(limits) as (one, _, ends):
        await trio.sleep(60)
        assert (await one.ask("answer", within=3, number=2))["twice"] == 4
    assert ends == []


async def test_more_requests_than_are_allowed_at_once_wait(autojump_clock: trio.testing.MockClock) -> None:
    async def ask(line: Line) -> None:
        with pytest.raises(PeerTimeout):
            await line.ask("never", within=3)

    async with lines(at_once=2) as (one, _, _), trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(ask, one)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(PeerTimeout):
            await one.ask("answer", within=1, number=2)
