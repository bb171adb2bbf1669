"""Our streams keep trio's contract for streams, checked by trio's own suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from transport.memory import MemoryStream, memory_pair
from transport.sockets import TcpStream
from transport.tcp import Tcp, format_address, parse_address

Maker = Callable[[], Awaitable[tuple[MemoryStream, MemoryStream] | tuple[TcpStream, TcpStream]]]


async def make_memory() -> tuple[MemoryStream, MemoryStream]:
    return memory_pair()


async def make_clogged_memory() -> tuple[MemoryStream, MemoryStream]:
    left, right = memory_pair()
    while left.send_now(bytes(2**16)):
        pass
    while right.send_now(bytes(2**16)):
        pass
    return left, right


async def make_tcp() -> tuple[TcpStream, TcpStream]:
    carrier = Tcp()
    listener = await carrier.listen("127.0.0.1:0")
    left = await carrier.connect(listener.address)
    right = await listener.accept()
    await listener.aclose()
    return left, right


async def make_clogged_tcp() -> tuple[TcpStream, TcpStream]:
    left, right = await make_tcp()
    for stream in (left, right):
        while stream.send_now(bytes(2**16)):
            await trio.testing.wait_all_tasks_blocked()
    return left, right


async def test_memory_stream_keeps_the_contract() -> None:
    await trio.testing.check_half_closeable_stream(make_memory, make_clogged_memory)


async def test_tcp_stream_keeps_the_contract() -> None:
    await trio.testing.check_half_closeable_stream(make_tcp, make_clogged_tcp)


async def test_memory_is_bounded_like_a_socket() -> None:
    left, right = memory_pair()
    while left.send_now(bytes(2**16)):
        pass
    assert not left.send_now(b"more")
    assert len(await right.receive_some(2**15)) == 2**15
    assert left.send_now(b"more")


@pytest.mark.parametrize("make", [make_memory, make_tcp])
async def test_what_does_not_fit_at_once_is_sent_by_the_rest(make: Maker) -> None:
    left, right = await make()
    sent = bytes(range(256)) * 2**15
    assert not left.send_now(sent)
    got = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(left.send_rest)
        while len(got) < len(sent):
            got += await right.receive_some()
    assert got == sent
    await left.aclose()
    await right.aclose()


async def test_memory_does_not_share_what_can_change() -> None:
    left, right = memory_pair()
    data = bytearray(b"before")
    left.send_now(memoryview(data))
    data[:] = b"after!"
    assert await right.receive_some() == b"before"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7001", ("127.0.0.1", 7001)),
        ("[::1]:0", ("::1", 0)),
        ("e1.example.org:65535", ("e1.example.org", 65535)),
    ],
)
def test_address_is_parsed_and_printed(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address
    assert format_address(*address) == text


@pytest.mark.parametrize("text", ["", "7001", "host", "host:", ":7001", "host:65536", "host:-1", "::1:7001", "host:７"])
def test_bad_address_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 127\.0\.0\.1:7001"):
        parse_address(text)
