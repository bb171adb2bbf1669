"""The operator's HTTP server: what it answers, and that no caller can hold it up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from parties.operation.http import CALLER_SECONDS, CALLERS, HEAD_BYTES, HttpServer, Response
from transport.memory import MemoryHub

pytest.importorskip("h11", reason="the extra [serve] is not installed")
HERE = Response(200, "text/plain", b"here\n")


def respond(path: str) -> Response | None:
    if path == "/bug":
        raise ZeroDivisionError("secret")
    return HERE if path == "/here" else None


@asynccontextmanager
async def serving(respond: Callable[[str], Response | None] = respond) -> AsyncIterator[Callable]:
    """A server at a memory link; yields what calls it."""
    hub = MemoryHub()
    async with trio.open_nursery() as nursery:
        listener = await hub.listen("operator")
        nursery.start_soon(HttpServer(respond).serve, listener)

        async def call() -> trio.abc.Stream:
            return await hub.connect("operator")

        yield call
        nursery.cancel_scope.cancel()


async def ask(call: Callable, data: bytes) -> bytes:
    """Send data, and return all that comes back."""
    stream = await call()
    await stream.send_all(data)
    return await rest(stream)


async def rest(stream: trio.abc.Stream) -> bytes:
    got = bytearray()
    try:
        while data := await stream.receive_some():
            got += data
    except trio.BrokenResourceError:
        pass
    return bytes(got)


GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (GET % b"/here", b"200", b"here\n"),
        (GET % b"/here?a=1", b"200", b"here\n"),
        (b"GET /here HTTP/1.0\r\n\r\n", b"200", b"here\n"),
        (b"HEAD /here HTTP/1.1\r\nHost: x\r\n\r\n", b"200", b""),
        (GET % b"/there", b"404", b"nothing is here; try /metrics, /healthz or /readyz\n"),
        (GET % b"/../here", b"404", b"nothing is here; try /metrics, /healthz or /readyz\n"),
        (b"POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", b"405", b"GET and HEAD only\n"),
        (b"CONNECT here:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"405", b"GET and HEAD only\n"),
        (b"garbage\r\n\r\n", b"400", b"this is no request that is understood\n"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400", b"this is no request that is understood\n"),
        (b"GET /" + b"x" * 3 * HEAD_BYTES, b"431", b"this is no request that is understood\n"),
        (GET % b"/bug", b"500", b"a bug of ours: ZeroDivisionError\n"),
    ],
)
async def test_answers(request_, status, body, autojump_clock):
    async with serving() as call:
        answer = await ask(call, request_)
        head, _, got = answer.partition(b"\r\n\r\n")
        assert head.split()[1] == status
        assert b"connection: close" in head.lower()
        assert got == body


async def test_a_request_may_come_byte_by_byte(autojump_clock):
    async with serving() as call:
        stream = await call()
        for byte in GET % b"/here":
            await stream.send_all(bytes([byte]))
        assert (await rest(stream)).endswith(b"here\n")


@pytest.mark.parametrize("sent", [b"", b"GET /he", b"GET /here HTTP/1.1\r\nHost: x\r\n"])
async def test_a_caller_who_goes_away_or_falls_silent_is_gone_in_time(sent, autojump_clock):
    async with serving() as call:
        silent, gone = await call(), await call()
        for stream in (silent, gone):
            if sent:
                await stream.send_all(sent)
        await gone.aclose()
        began = trio.current_time()
        await rest(silent)
        assert trio.current_time() - began <= CALLER_SECONDS
        assert (await ask(call, GET % b"/here")).endswith(b"here\n")


async def test_a_flood_keeps_nobody_waiting_for_long(autojump_clock):
    """Callers above the limit are hung up on; when the silent ones are gone, others are served."""
    async with serving() as call:
        held = [await call() for _ in range(3 * CALLERS)]
        await trio.testing.wait_all_tasks_blocked()
        assert await ask(call, b"") == b""
        await trio.sleep(CALLER_SECONDS + 0.1)
        assert (await ask(call, GET % b"/here")).endswith(b"here\n")
        assert all([await rest(stream) == b"" for stream in held])


async def test_a_body_of_any_size_is_sent_and_a_caller_who_does_not_read_is_gone_in_time(autojump_clock):
    """A link that takes a megabyte and waits for its reader, as TCP does."""
    large = Response(200, "text/plain", b"x" * 2**24)
    async with serving(lambda _: large) as call:
        answer = await ask(call, GET % b"/")
        assert len(answer.partition(b"\r\n\r\n")[2]) == 2**24
        held = [await call() for _ in range(CALLERS)]
        for stream in held:
            await stream.send_all(GET % b"/")
        await trio.sleep(CALLER_SECONDS + 0.1)
        assert len(await ask(call, GET % b"/")) == len(answer)
