"""What every channel must do, whatever it runs over: `check_channel`, run by tests on each kind of link."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from transport.channel import Channel
from transport.errors import FrameError, LinkClosed, PeerAbort, PeerLost, TransportError, UnexpectedMessage
from transport.interfaces import Clock, Phase, Tag
from transport.meter import Meter, MeterReport
from transport.testing import MakePair, open_local

FIRST = Tag(Phase.ONLINE, 1, 1)
SECOND = Tag(Phase.ONLINE, 1, 2)
OFFLINE = Tag(Phase.OFFLINE, 9, 9)

_Check = Callable[[Channel, Channel], Awaitable[None]]


async def check_channel(make_pair: MakePair, *, large: int = 4 * 2**20) -> None:
    """Run every check on a fresh pair of channels.

    Args:
        make_pair: makes the two ends of a link.
        large: bytes that both ends send at the same time before either receives.

    Raises:
        AssertionError: naming the check that failed.
    """
    for check in _CHECKS:
        async with _pair(make_pair) as (left, right):
            await check(left, right)

    async with _pair(make_pair) as (left, right):
        await _both_may_send_before_either_receives(left, right, large)


@asynccontextmanager
async def _pair(make_pair: MakePair) -> AsyncIterator[tuple[Channel, Channel]]:
    """Give two channels; afterwards, what one sent must be what the other received."""
    meters = {"E1": Meter("E1"), "E2": Meter("E2")}
    with trio.fail_after(60):
        async with open_local(("E1", "E2"), meters=meters, make_pair=make_pair) as links:
            yield links["E1"]["E2"], links["E2"]["E1"]
    MeterReport.merge(meter.report() for meter in meters.values()).check_conserved()


def _require(holds: bool, claim: str) -> None:
    if not holds:
        raise AssertionError(claim)


async def _fails(error: type[TransportError], call: Awaitable[object], *words: str) -> None:
    try:
        await call
    except error as found:
        missing = [word for word in words if word not in str(found)]
        _require(not missing, f"{error.__name__} does not say {missing}: {found}")
    else:
        raise AssertionError(f"no {error.__name__}")


async def _messages_keep_their_order(left: Channel, right: Channel) -> None:
    out, into = left.endpoint(1, Clock()), right.endpoint(1, Clock())
    for number in range(100):
        await out.send(FIRST, bytes([number % 251]) * number)
    for number in range(100):
        got = await into.receive(FIRST, most=1000)
        _require(got == bytes([number % 251]) * number, f"message {number} is another")


async def _queries_and_phases_are_apart(left: Channel, right: Channel) -> None:
    keys = [(query, tag) for query in (0, 1, 2**64 - 1) for tag in (FIRST, OFFLINE)]
    for query, tag in keys:
        await left.endpoint(query, Clock()).send(tag, f"{query} {tag}".encode())
    for query, tag in reversed(keys):
        got = await right.endpoint(query, Clock()).receive(tag, most=100)
        _require(got == f"{query} {tag}".encode(), f"query {query}, {tag} got {got!r}")


async def _any_buffer_may_be_sent(left: Channel, right: Channel) -> None:
    out, into = left.endpoint(1, Clock()), right.endpoint(1, Clock())
    words = memoryview(bytes(range(64))).cast("Q")
    for payload in (b"", b"x", bytearray(b"abc"), memoryview(b"defg")[1:3], words):
        await out.send(FIRST, payload)
        got = await into.receive(FIRST, most=64)
        _require(type(got) is bytes and got == bytes(payload), f"{payload!r} arrived as {got!r}")


async def _another_tag_is_refused(left: Channel, right: Channel) -> None:
    await left.endpoint(7, Clock()).send(SECOND, b"")
    call = right.endpoint(7, Clock()).receive(FIRST, most=0)
    await _fails(UnexpectedMessage, call, str(FIRST), str(SECOND), "E1", "query 7")


async def _a_longer_message_is_refused(left: Channel, right: Channel) -> None:
    await left.endpoint(7, Clock()).send(FIRST, bytes(11))
    await _fails(FrameError, right.endpoint(7, Clock()).receive(FIRST, most=10), "at most 10", "11", "E1", str(FIRST))


async def _crossing_messages_are_one_round(left: Channel, right: Channel) -> None:
    clocks = Clock(), Clock()
    ends = left.endpoint(1, clocks[0]), right.endpoint(1, clocks[1])
    for exchange in (1, 2, 3):
        for end in ends:
            await end.send(FIRST, b"")
        for end in ends:
            await end.receive(FIRST, most=0)
        _require(clocks == (Clock(exchange, exchange), Clock(exchange, exchange)), f"{clocks} after {exchange}")


async def _a_cancelled_receive_loses_nothing(left: Channel, right: Channel) -> None:
    into = right.endpoint(1, Clock())
    with trio.move_on_after(0.001):
        await into.receive(FIRST, most=10)
    await left.endpoint(1, Clock()).send(FIRST, b"late")
    _require(await into.receive(FIRST, most=10) == b"late", "the message is gone")
    await left.endpoint(1, Clock()).send(SECOND, b"early")
    await left.endpoint(2, Clock()).send(FIRST, b"behind")
    await right.endpoint(2, Clock()).receive(FIRST, most=10)
    with trio.CancelScope() as scope:
        scope.cancel()
        await into.receive(SECOND, most=10)
    _require(scope.cancelled_caught, "a cancelled receive goes on")
    _require(await into.receive(SECOND, most=10) == b"early", "the message that was there is gone")


async def _goodbye_comes_after_what_was_sent(left: Channel, right: Channel) -> None:
    await left.endpoint(1, Clock()).send(FIRST, b"last")
    await left.aclose()
    into = right.endpoint(1, Clock())
    _require(await into.receive(FIRST, most=10) == b"last", "the last message is another")
    await _fails(PeerLost, into.receive(SECOND, most=10), "E1", "goodbye", str(SECOND), "query 1")
    await _fails(PeerLost, into.send(SECOND, b""), "goodbye")
    await _fails(LinkClosed, left.endpoint(1, Clock()).send(FIRST, b""), "closed")
    await _fails(LinkClosed, left.endpoint(1, Clock()).receive(FIRST, most=1), "closed")


async def _an_abort_ends_waits_now_and_later(left: Channel, right: Channel) -> None:
    async def wait_abort(query: int) -> None:
        await _fails(PeerAbort, right.endpoint(query, Clock()).receive(FIRST, most=10), "HC stopped: out of masks")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_abort, 1)
        nursery.start_soon(wait_abort, 2)
        await left.endpoint(3, Clock()).send(FIRST, b"useless now")
        await left.abort("HC", "out of masks")
    await wait_abort(3)
    await _fails(PeerAbort, right.endpoint(4, Clock()).send(FIRST, b""), "HC stopped: out of masks")


async def _both_may_send_before_either_receives(left: Channel, right: Channel, size: int) -> None:
    async def talk(channel: Channel, mine: int, other: int) -> None:
        end = channel.endpoint(1, Clock())
        await end.send(FIRST, bytes([mine]) * size)
        got = await end.receive(FIRST, most=size)
        _require(len(got) == size and got.count(other) == size, "another payload arrived")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk, left, 1, 2)
        nursery.start_soon(talk, right, 2, 1)


_CHECKS: tuple[_Check, ...] = (
    _messages_keep_their_order,
    _queries_and_phases_are_apart,
    _any_buffer_may_be_sent,
    _another_tag_is_refused,
    _a_longer_message_is_refused,
    _crossing_messages_are_one_round,
    _a_cancelled_receive_loses_nothing,
    _goodbye_comes_after_what_was_sent,
    _an_abort_ends_waits_now_and_later,
)
