"""Peers that are cut, garbled, late, silent or greedy: the right error within the deadline, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from transport.channel import Channel
from transport.errors import FrameError, LinkClosed, PeerAbort, PeerLost, PeerTimeout, TransportError
from transport.faults import CutStream, DelayedStream, GarblingStream
from transport.framing import HEADER_BYTES, FrameReader, Kind, pack_header
from transport.handshake import encode_abort
from transport.interfaces import Clock, Endpoint, Phase, Tag
from transport.limits import Limits
from transport.mailbox import OVERHEAD
from transport.memory import MemoryStream, memory_pair
from transport.testing import Pair, open_local
from transport.wire import Wire

TAG = Tag(Phase.ONLINE, 3, 1)
LIMITS = Limits(silence_seconds=60, deadline_seconds=600, keepalive_seconds=10, buffered_bytes=10_000)
SIZE = 100
ABORT = encode_abort("E1", "why")
FRAMES = (
    pack_header(Kind.DATA, 1, 1, 0, 1, TAG.pack(), 3) + b"abc",
    pack_header(Kind.DATA, 1, 1, 1, 1, TAG.pack(), 0),
    pack_header(Kind.ABORT, 0, 0, 0, 0, Kind.ABORT, len(ABORT)) + ABORT,
    pack_header(Kind.BYE, 0, 0, 1, 0, Kind.BYE, 0),
)


@asynccontextmanager
async def facing_raw(limits: Limits = LIMITS) -> AsyncIterator[tuple[Channel, MemoryStream]]:
    """Give E2's channel and, in place of E1, the bare other end of its link."""
    ours, theirs = memory_pair()
    channel = Channel(Wire(ours, "E1"), "E2", "E1", limits=limits, server_link=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        try:
            yield channel, theirs
        finally:
            await theirs.aclose()
            await channel.aclose()


def data(payload: bytes, sequence: int = 0, query: int = 1) -> bytes:
    return pack_header(Kind.DATA, 1, 1, sequence, query, TAG.pack(), len(payload)) + payload


async def receive(channel: Channel, query: int = 1) -> bytes:
    return await channel.endpoint(query, Clock()).receive(TAG, most=10**9)


async def seconds_until(error: type[TransportError], words: str, channel: Channel, query: int = 1) -> float:
    """Return after how long a receive fails."""
    began = trio.current_time()
    with pytest.raises(error, match=words):
        await receive(channel, query)
    return trio.current_time() - began


@pytest.mark.parametrize("after", [0, 1, 23, 24, 25, 24 + SIZE - 1, 24 + SIZE])
async def test_cut_link_is_a_lost_peer_at_both_ends(after: int, autojump_clock: trio.abc.Clock) -> None:
    def make_pair() -> Pair:
        left, right = memory_pair()
        return CutStream(left, after), right

    whole = after == HEADER_BYTES + SIZE
    async with open_local(("E1", "E2"), make_pair=make_pair, limits=LIMITS) as links:
        sender = links["E1"]["E2"].endpoint(1, Clock())
        if whole:
            await sender.send(TAG, bytes(SIZE))
            assert len(await receive(links["E2"]["E1"])) == SIZE
        with pytest.raises(PeerLost, match=f"cut after {after} bytes"):
            await sender.send(TAG, bytes(SIZE))
        words = "without a goodbye" if after in (0, 124) else "cut off in the middle of a message"
        assert await seconds_until(PeerLost, words, links["E2"]["E1"]) < LIMITS.silence_seconds
        with pytest.raises(PeerLost, match="the link to E2 broke"):
            await sender.send(TAG, b"")


@pytest.mark.parametrize("at", range(HEADER_BYTES))
async def test_garbled_header_is_an_error_within_the_deadline(at: int, autojump_clock: trio.abc.Clock) -> None:
    def make_pair() -> Pair:
        left, right = memory_pair()
        return GarblingStream(left, at), right

    async with open_local(("E1", "E2"), make_pair=make_pair, limits=LIMITS) as links:
        await links["E1"]["E2"].endpoint(1, Clock()).send(TAG, bytes(SIZE))
        began = trio.current_time()
        causal = 6 <= at < 10
        if causal:
            assert await receive(links["E2"]["E1"]) == bytes(SIZE)
        else:
            # A shorter length, another query or another tag: only what follows, or the deadline, can tell.
            with pytest.raises((FrameError, PeerTimeout)):
                await links["E2"]["E1"].endpoint(1, Clock()).receive(TAG, most=SIZE)
                await links["E2"]["E1"].endpoint(1, Clock()).receive(TAG, most=SIZE)
        assert trio.current_time() - began <= LIMITS.deadline_seconds


async def test_garbage_is_a_frame_error_that_names_the_peer(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        await raw.send_all(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
        assert await seconds_until(FrameError, "E2: frame from E1: expected frame version 1, came 47", channel) == 0
        with pytest.raises(FrameError, match="we were sending online layer 3 step 1 of query 9"):
            await channel.endpoint(9, Clock()).send(TAG, b"")


async def test_messages_before_the_garbage_can_still_be_taken(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        await raw.send_all(data(b"good") + data(b"repeated"))
        await trio.testing.wait_all_tasks_blocked()
        assert await receive(channel) == b"good"
        await seconds_until(FrameError, "expected frame number 1, came 0", channel)


async def test_second_greeting_is_a_frame_error(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        await raw.send_all(pack_header(Kind.HELLO, 0, 0, 0, 0, Kind.HELLO, 0))
        await seconds_until(FrameError, "a second greeting", channel)


async def test_silent_peer_is_lost_after_the_silence_allowed(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, _):
        words = r"nothing at all was heard from E1 for 60.0 s, we were waiting for online layer 3 step 1 of query 1"
        assert await seconds_until(PeerTimeout, words, channel) == 60
        assert await seconds_until(PeerTimeout, "query 2", channel, query=2) == 0


async def test_silence_ends_waits_that_began_at_any_time(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        await trio.sleep(50)
        await raw.send_all(pack_header(Kind.KEEPALIVE, 0, 0, 0, 0, Kind.KEEPALIVE, 0))
        await trio.sleep(30)
        assert await seconds_until(PeerTimeout, "nothing at all", channel) == 30


async def test_half_a_frame_and_then_nothing_is_silence(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        await raw.send_all(data(bytes(SIZE))[:50])
        assert await seconds_until(PeerTimeout, "nothing at all", channel) == 60


async def test_silence_begins_with_the_last_byte_not_with_the_last_frame(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw), trio.open_nursery() as nursery:

        async def dribble() -> None:
            for byte in data(bytes(SIZE))[:3]:
                await trio.sleep(40)
                await raw.send_all(bytes([byte]))

        nursery.start_soon(dribble)
        assert await seconds_until(PeerTimeout, "nothing at all was heard from E1 for 60.0 s", channel) == 3 * 40 + 60


async def test_peer_that_is_alive_and_late_ends_the_wait_at_the_deadline(autojump_clock: trio.abc.Clock) -> None:
    async with open_local(("E1", "E2"), limits=LIMITS) as links:
        words = (
            r"E2: no online layer 3 step 1 of query 1 from E1, waited 600.0 s; last heard \d.\d s ago: "
            "it is alive, but late or stuck"
        )
        assert await seconds_until(PeerTimeout, words, links["E2"]["E1"]) == 600
        await links["E1"]["E2"].endpoint(1, Clock()).send(TAG, b"at last")
        assert await receive(links["E2"]["E1"]) == b"at last"


async def test_each_wait_has_its_own_deadline(autojump_clock: trio.abc.Clock) -> None:
    ended: dict[int, float] = {}

    async def wait(links: dict[str, dict[str, Channel]], query: int) -> None:
        began = trio.current_time()
        with pytest.raises(PeerTimeout):
            await receive(links["E2"]["E1"], query)
        ended[query] = trio.current_time() - began

    async with open_local(("E1", "E2"), limits=LIMITS) as links, trio.open_nursery() as nursery:
        for query in range(5):
            nursery.start_soon(wait, links, query)
            await trio.sleep(77)
    assert ended == dict.fromkeys(range(5), pytest.approx(600))


async def test_keepalives_let_a_peer_compute_for_minutes(autojump_clock: trio.abc.Clock) -> None:
    async def compute(end: Endpoint) -> None:
        await trio.sleep(599)
        await end.send(TAG, b"done")

    async with open_local(("E1", "E2"), limits=LIMITS) as links, trio.open_nursery() as nursery:
        nursery.start_soon(compute, links["E1"]["E2"].endpoint(1, Clock()))
        assert await receive(links["E2"]["E1"]) == b"done"


async def test_late_link_delivers(autojump_clock: trio.abc.Clock) -> None:
    def make_pair() -> Pair:
        left, right = memory_pair()
        return DelayedStream(left, 45), DelayedStream(right, 45)

    async with open_local(("E1", "E2"), make_pair=make_pair, limits=LIMITS) as links:
        began = trio.current_time()
        await links["E1"]["E2"].endpoint(1, Clock()).send(TAG, b"late")
        assert await receive(links["E2"]["E1"]) == b"late"
        assert trio.current_time() - began == 45


async def test_time_in_which_our_own_process_stood_still_is_not_the_peers_fault(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with facing_raw() as (channel, raw), trio.open_nursery() as nursery:
        got = []
        nursery.start_soon(lambda: wait_into(got, channel))
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(10_000)
        await trio.testing.wait_all_tasks_blocked()
        await raw.send_all(data(b"was there"))
        await trio.testing.wait_all_tasks_blocked()
        assert got == [b"was there"]


async def wait_into(got: list[bytes], channel: Channel) -> None:
    got.append(await receive(channel))


async def test_peer_that_does_not_read_ends_a_send_at_the_deadline(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw(Limits(silence_seconds=10**6, deadline_seconds=600)) as (channel, _):
        began = trio.current_time()
        end = channel.endpoint(1, Clock())
        with pytest.raises(PeerTimeout, match="E1 took nothing for 600 s while we were sending"):
            await end.send(TAG, bytes(10**7))
        assert trio.current_time() - began == 600
        with pytest.raises(LinkClosed, match="middle of a frame"):
            await end.send(TAG, b"")


async def test_slow_reader_is_no_error_while_it_takes_something(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw(Limits(silence_seconds=10**6)) as (channel, raw), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: channel.endpoint(1, Clock()).send(TAG, bytes(2**22)))
        taken = 0
        while taken < 2**22:
            await trio.sleep(100)
            taken += len(await raw.receive_some(2**16))


async def test_what_nobody_takes_stops_the_reading_and_the_wait_says_so(autojump_clock: trio.abc.Clock) -> None:
    async with open_local(("E1", "E2"), limits=LIMITS) as links:
        sender = links["E1"]["E2"]
        for _ in range(30):
            await sender.endpoint(5, Clock()).send(TAG, bytes(1000))
        await sender.endpoint(6, Clock()).send(TAG, b"behind")
        words = (
            r"no online layer 3 step 1 of query 6 from E1, waited 600.0 s; we have stopped reading from E1: "
            r"\d+ bytes in \d+ messages of the queries 5 wait to be taken, and 10000 bytes are allowed"
        )
        assert await seconds_until(PeerTimeout, words, links["E2"]["E1"], query=6) == 600
        for _ in range(30):
            assert len(await receive(links["E2"]["E1"], 5)) == 1000
        assert await receive(links["E2"]["E1"], 6) == b"behind"


async def test_a_peer_fills_no_more_memory_than_allowed(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        sent = 0
        while raw.send_now(data(b"", sent, query=sent)):
            sent += 1
            if sent % 200 == 0:
                await trio.testing.wait_all_tasks_blocked()
        # One piece of the stream may still be parsed when the limit is reached.
        assert channel._mail.size <= LIMITS.buffered_bytes + 201 * OVERHEAD


async def test_abort_reaches_a_peer_that_is_sending(autojump_clock: trio.abc.Clock) -> None:
    async with open_local(("E1", "E2"), limits=LIMITS) as links, trio.open_nursery() as nursery:

        async def send_much() -> None:
            with pytest.raises(PeerAbort, match="E2 stopped: the model is another"):
                while True:
                    await links["E1"]["E2"].endpoint(1, Clock()).send(TAG, bytes(2**18))

        nursery.start_soon(send_much)
        await trio.sleep(1)
        await links["E2"]["E1"].abort("E2", "the model is another")


@pytest.mark.parametrize("words", ["goodbye", "abort"])
async def test_last_words_to_a_stuck_peer_take_two_seconds_at_most(words: str, autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        while channel._wire._stream.send_now(bytes(2**16)):  # type: ignore[attr-defined]
            pass
        began = trio.current_time()
        await (channel.aclose() if words == "goodbye" else channel.abort("E2", "x"))
        assert trio.current_time() - began <= 4
        assert raw._in.ended


async def test_nobody_waits_on_a_channel_that_does_not_run_any_more(autojump_clock: trio.abc.Clock) -> None:
    ours, _ = memory_pair()
    channel = Channel(Wire(ours, "E1"), "E2", "E1", limits=LIMITS)
    async with trio.open_nursery() as nursery:
        running = trio.CancelScope()

        async def run() -> None:
            with running:
                await channel.run()

        nursery.start_soon(run)
        nursery.start_soon(seconds_until, LinkClosed, "we closed the link to E1 and were waiting", channel)
        await trio.testing.wait_all_tasks_blocked()
        running.cancel()
    assert isinstance(await channel.wait_end(), LinkClosed)


async def test_broken_abort_is_a_frame_error(autojump_clock: trio.abc.Clock) -> None:
    async with facing_raw() as (channel, raw):
        await raw.send_all(pack_header(Kind.ABORT, 0, 0, 0, 0, Kind.ABORT, 3) + b"abc")
        await seconds_until(FrameError, "abort from E1: expected msgpack", channel)


async def test_cancelled_send_in_the_middle_of_a_frame_is_finished_by_whoever_sends_next(
    autojump_clock: trio.abc.Clock,
) -> None:
    """A query that is given up costs the others of its link nothing; what it was sending may change at once."""
    async with open_local(("E1", "E2"), limits=LIMITS) as links:
        end, other = links["E1"]["E2"].endpoint(1, Clock()), links["E1"]["E2"].endpoint(2, Clock())
        payload = bytearray(b"x" * 3 * 10**6)
        links["E2"]["E1"]._mail.most = -1
        await other.send(TAG, b"stops the reading")
        await trio.sleep(1)
        with trio.move_on_after(1):
            await end.send(TAG, payload)
        payload[:] = bytes(len(payload))
        with trio.move_on_after(1):
            await other.send(TAG, b"given up too, before it began")
        links["E2"]["E1"]._mail.most = 10**9
        assert await receive(links["E2"]["E1"], 2) == b"stops the reading"
        await other.send(TAG, b"sent")
        assert await receive(links["E2"]["E1"], 2) == b"sent"
        assert await receive(links["E2"]["E1"], 1) == b"x" * 3 * 10**6


async def test_the_rest_of_a_frame_whose_sender_was_cancelled_goes_with_the_next_keepalive(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with facing_raw() as (channel, raw):
        with trio.move_on_after(1):
            await channel.endpoint(1, Clock()).send(TAG, b"y" * 2 * 10**6)
        reader, frames = FrameReader(), []
        while len(frames) < 2:
            frames += reader.feed(await raw.receive_some(2**16))
        assert [(frame.kind, len(frame.payload)) for frame in frames] == [(Kind.DATA, 2 * 10**6), (Kind.KEEPALIVE, 0)]
        assert trio.current_time() <= 11


async def test_a_link_that_cannot_go_on_in_the_middle_of_a_frame_ends_at_once(autojump_clock: trio.abc.Clock) -> None:
    """A stream that does not say how much it has taken: whoever waits on the link hears of it now, not in a minute."""

    def make_pair() -> Pair:
        left, right = memory_pair()
        return DelayedStream(left, 45), right

    async with open_local(("E1", "E2"), make_pair=make_pair, limits=LIMITS) as links:
        end = links["E1"]["E2"].endpoint(1, Clock())
        with trio.move_on_after(1):
            await end.send(TAG, b"x")
        began = trio.current_time()
        with pytest.raises(LinkClosed, match="middle of a frame; we were sending"):
            await end.send(TAG, b"")
        with pytest.raises(LinkClosed, match="middle of a frame; we were waiting"):
            await receive(links["E1"]["E2"])
        assert trio.current_time() == began


async def test_cancelled_send_before_the_frame_harms_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with open_local(("E1", "E2"), limits=LIMITS) as links:
        end = links["E1"]["E2"].endpoint(1, Clock())
        with trio.CancelScope() as scope:
            scope.cancel()
            await end.send(TAG, b"never")
        assert scope.cancelled_caught
        await end.send(TAG, b"sent")
        assert await receive(links["E2"]["E1"]) == b"sent"


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60) | st.integers(0, 3).map(lambda kind: FRAMES[kind]), max_size=5), st.booleans())
def test_whatever_a_peer_sends_a_wait_ends_with_a_transport_error(pieces: list[bytes], close: bool) -> None:
    async def main() -> None:
        async with facing_raw() as (channel, raw):
            for piece in pieces:
                await raw.send_all(piece)
            if close:
                await raw.send_eof()
            began = trio.current_time()
            with pytest.raises(TransportError):
                for _ in range(len(pieces) + 1):
                    await receive(channel)
            assert trio.current_time() - began <= LIMITS.deadline_seconds

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
