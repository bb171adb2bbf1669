"""A channel against a peer that keeps no rule, in virtual time: what it takes is bounded, every wait ends.

A list of acts is played to a channel and to a model of it (one queue for each query and phase), and both must agree.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transport.channel import Channel
from transport.errors import FrameError, PeerLost, PeerTimeout, TransportError, UnexpectedMessage
from transport.framing import HEADER_BYTES, Frame, Kind, encode, pack_header
from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.mailbox import OVERHEAD, key_of
from transport.memory import MemoryStream, memory_pair
from transport.wire import Wire

LIMITS = Limits(
    frame_bytes=4096, buffered_bytes=10_000, silence_seconds=30.0, deadline_seconds=60.0, keepalive_seconds=10.0
)
MOST_READ = 64 * 2**10
TAGS = (Tag(Phase.ONLINE, 0), Tag(Phase.ONLINE, 7, 1), Tag(Phase.OFFLINE, 0), Tag(Phase.SETUP, 0, 16))


@dataclass(frozen=True)
class Send:
    """A message, perhaps one that nobody waits for."""

    query: int
    tag: Tag
    size: int


@dataclass(frozen=True)
class Take:
    """We wait for a message."""

    query: int
    tag: Tag
    most: int


@dataclass(frozen=True)
class Sleep:
    """Nothing is said, but for keepalives if the peer is alive."""

    seconds: float
    alive: bool


@dataclass(frozen=True)
class Raw:
    """Bytes that are no frame, or the wrong one."""

    data: bytes


BAD = (
    pack_header(Kind.DATA, 0, 0, 0, 0, TAGS[0].pack(), LIMITS.frame_bytes + 1),
    pack_header(Kind.DATA, 0, 0, 0, 0, TAGS[0].pack(), 2**32 - 1),
    pack_header(Kind.DATA, 0, 0, 0xFFFF, 0, TAGS[0].pack(), 0),
    pack_header(Kind.DATA, 0, 0, 0, 0, Kind.HELLO, 0),
    b"\x16\x03\x01\x00\xa5" + bytes(40),
    b"\xff" * HEADER_BYTES,
)
queries, tags = st.integers(0, 2), st.sampled_from(TAGS)
act = st.one_of(
    st.builds(Send, queries, tags, st.integers(0, 3000)),
    st.builds(Take, queries, tags, st.sampled_from([0, 100, 4096])),
    st.builds(Take, queries, tags, st.just(4096)),
    st.builds(Sleep, st.sampled_from([1.0, 9.0, 29.0, 31.0]), st.booleans()),
)


class Peer:
    """The other end, by hand."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream, self.number = stream, 0

    async def send(self, kind: Kind, query: int, tag: int, payload: bytes) -> None:
        frame = Frame(kind, 0, 0, self.number & 0xFFFF, query, tag, payload)
        self.number += 1
        await self.stream.send_all(encode(frame) + payload)

    async def sleep(self, seconds: float, *, alive: bool) -> None:
        while alive and seconds > 10.0:
            await trio.sleep(10.0)
            seconds -= 10.0
            await self.send(Kind.KEEPALIVE, 0, Kind.KEEPALIVE, b"")
        await trio.sleep(seconds)

    async def hear(self) -> None:
        """Take what we say, so that we can say more."""
        while await self.stream.receive_some():
            pass


class Model:
    """What waits to be taken, and how the channel must have ended."""

    def __init__(self) -> None:
        self.waiting: defaultdict[int, deque[Send]] = defaultdict(deque)
        self.size = 0

    def sent(self, sent: Send) -> None:
        self.waiting[key_of(sent.query, sent.tag.pack())].append(sent)
        self.size += sent.size + OVERHEAD

    def taken(self, take: Take) -> type[Exception] | bytes:
        """Return what a wait gives: bytes, or an error."""
        queue = self.waiting[key_of(take.query, take.tag.pack())]
        if not queue:
            return PeerTimeout
        sent = queue.popleft()
        self.size -= sent.size + OVERHEAD
        if sent.tag != take.tag:
            return UnexpectedMessage
        return bytes(sent.size) if sent.size <= take.most else FrameError


async def play(acts: list[Send | Take | Sleep | Raw]) -> None:
    ours, theirs = memory_pair()
    channel, peer, model = Channel(Wire(ours, "E2"), "E1", "E2", limits=LIMITS), Peer(theirs), Model()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        nursery.start_soon(peer.hear)
        for each in acts:
            if isinstance(each, Send):
                model.sent(each)
                await peer.send(Kind.DATA, each.query, each.tag.pack(), bytes(each.size))
                await trio.testing.wait_all_tasks_blocked()
                assert channel._mail.size <= min(
                    model.size, LIMITS.buffered_bytes + MOST_READ * OVERHEAD // HEADER_BYTES
                )
            elif isinstance(each, Sleep):
                await peer.sleep(each.seconds, alive=each.alive)
                if each.seconds > LIMITS.silence_seconds and not each.alive and not channel._mail.full:
                    with pytest.raises(PeerTimeout, match="nothing at all was heard from E2 for 30"):
                        await take(channel, Take(9, TAGS[0], 0))
                    break
            elif isinstance(each, Raw):
                await peer.stream.send_all(each.data)
                await trio.testing.wait_all_tasks_blocked()
                break
            elif not await agree(channel, peer, model, each):
                break
        await channel.abort("E1", "the play is over")
        await theirs.aclose()


async def agree(channel: Channel, peer: Peer, model: Model, wanted: Take) -> bool:
    """Take a message as the model does; False if the link is of no more use."""
    full = channel._mail.full
    expected = model.taken(wanted)
    if expected is PeerTimeout:
        # While we have stopped reading nobody's silence counts, and the wait ends at its own deadline.
        with pytest.raises(PeerTimeout, match="we have stopped reading from E2" if full else "E2"):
            await take(channel, wanted)
        return False
    if isinstance(expected, bytes):
        assert await take(channel, wanted) == expected
        return True
    with pytest.raises(expected):
        await take(channel, wanted)
    return True


async def take(channel: Channel, wanted: Take) -> bytes:
    return await channel.receive(wanted.tag, wanted.query, Clock(), most=wanted.most)


def run(acts: list[Send | Take | Sleep | Raw]) -> None:
    trio.run(play, acts, clock=trio.testing.MockClock(autojump_threshold=0))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(act, max_size=25))
def test_messages_in_any_order_go_where_they_belong(acts: list[Send | Take | Sleep]) -> None:
    run(list(acts))


@pytest.mark.parametrize("data", BAD, ids=["long", "giant", "out of order", "control tag", "TLS", "noise"])
async def test_a_wrong_frame_ends_every_wait_with_its_words(
    data: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    ours, theirs = memory_pair()
    channel = Channel(Wire(ours, "E2"), "E1", "E2", limits=LIMITS)
    errors: list[TransportError] = []

    async def wait(query: int) -> None:
        try:
            await take(channel, Take(query, TAGS[0], 4096))
        except TransportError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        for query in range(5):
            nursery.start_soon(wait, query)
        await trio.testing.wait_all_tasks_blocked()
        await theirs.send_all(data)
        await trio.testing.wait_all_tasks_blocked()
        assert [type(error) for error in errors] == [FrameError] * 5
        assert all("E1: frame from E2: expected" in str(error) for error in errors)
        with pytest.raises(FrameError):
            await channel.send(TAGS[0], b"", 1, Clock())
        await theirs.aclose()
        await channel.abort("E1", "over")


@pytest.mark.slow
async def test_a_flood_that_nobody_takes_stops_at_the_limit_and_goes_on_when_it_is_taken(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = memory_pair()
    channel, peer = Channel(Wire(ours, "E2"), "E1", "E2", limits=LIMITS), Peer(theirs)
    flooded = trio.Event()
    count = 50_000

    async def flood() -> None:
        for start in range(0, count, 1000):
            tag = TAGS[0].pack()
            frames = (pack_header(Kind.DATA, 0, 0, n & 0xFFFF, n, tag, 0) for n in range(start, start + 1000))
            await theirs.send_all(b"".join(frames))
        flooded.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        nursery.start_soon(peer.hear)
        nursery.start_soon(flood)
        await trio.testing.wait_all_tasks_blocked()
        assert not flooded.is_set()
        assert (
            LIMITS.buffered_bytes < channel._mail.size <= LIMITS.buffered_bytes + MOST_READ // HEADER_BYTES * OVERHEAD
        )
        for query in range(count):
            await take(channel, Take(query, TAGS[0], 0))
        assert flooded.is_set()
        assert channel._mail.size == 0
        assert not channel._mail._boxes
        await channel.aclose()
        await theirs.aclose()


async def test_a_payload_that_drips_holds_up_a_wait_to_its_deadline_and_no_memory(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = memory_pair()
    channel = Channel(Wire(ours, "E2"), "E1", "E2", limits=LIMITS)

    async def drip() -> None:
        await theirs.send_all(pack_header(Kind.DATA, 0, 0, 0, 1, TAGS[0].pack(), LIMITS.frame_bytes))
        try:
            for _ in range(LIMITS.frame_bytes):
                await trio.sleep(29.0)
                await theirs.send_all(b"\0")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        nursery.start_soon(drip)
        began = trio.current_time()
        with pytest.raises(
            PeerTimeout, match=r"no online layer 0 step 0 of query 1 from E2, waited 60\.0 s; last heard 2\.0 s"
        ):
            await take(channel, Take(1, TAGS[0], 4096))
        assert trio.current_time() - began == LIMITS.deadline_seconds
        assert channel._wire._reader.missing == LIMITS.frame_bytes - 2
        await channel.abort("E1", "too slow")
        await theirs.aclose()


async def test_a_peer_that_reads_nothing_holds_up_a_send_to_its_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = memory_pair()
    channel, peer = Channel(Wire(ours, "E2"), "E1", "E2", limits=LIMITS), Peer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)

        async def stay_alive() -> None:
            while True:
                await trio.sleep(10.0)
                await peer.send(Kind.KEEPALIVE, 0, Kind.KEEPALIVE, b"")

        nursery.start_soon(stay_alive)
        began = trio.current_time()
        with pytest.raises(PeerTimeout, match="E2 took nothing for 60 s"):
            await channel.send(TAGS[0], bytes(2**22), 1, Clock())
        assert trio.current_time() - began == LIMITS.deadline_seconds
        nursery.cancel_scope.cancel()


async def test_a_half_open_link_ends_after_the_silence_limit(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = memory_pair()
    channel = Channel(Wire(ours, "E2"), "E1", "E2", limits=LIMITS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        began = trio.current_time()
        error = await channel.wait_end()
        assert isinstance(error, PeerTimeout)
        assert trio.current_time() - began == LIMITS.silence_seconds
        await channel.abort("E1", "silent")
        await theirs.aclose()


async def test_a_frame_cut_by_the_end_of_the_stream_is_a_lost_peer(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = memory_pair()
    channel = Channel(Wire(ours, "E2"), "E1", "E2", limits=LIMITS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        await theirs.send_all(pack_header(Kind.DATA, 0, 0, 0, 1, TAGS[0].pack(), 100) + bytes(99))
        await theirs.aclose()
        with pytest.raises(PeerLost, match="was cut off in the middle of a message"):
            await take(channel, Take(1, TAGS[0], 100))
        await channel.abort("E1", "cut")
