"""A whole channel against a peer that sends anything: limits hold, every wait ends, and only with transport errors."""

from __future__ import annotations

import trio
import trio.testing

from fuzzing.scripted import ScriptedStream
from fuzzing.target import Source, Target, cut, demand
from transport.channel import Channel
from transport.errors import TransportError
from transport.framing import HEADER_BYTES, Frame, Kind, encode
from transport.handshake import encode_abort
from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.mailbox import OVERHEAD
from transport.wire import Wire

_LIMITS = Limits(
    frame_bytes=2048, buffered_bytes=8192, silence_seconds=30.0, deadline_seconds=60.0, keepalive_seconds=10.0
)
_MOST_READ = 2**16
_MOST_WAITING = _LIMITS.buffered_bytes + _MOST_READ + _MOST_READ // HEADER_BYTES * OVERHEAD
"""Bytes that may wait: what one read brings is kept whole, and a message without payload counts `OVERHEAD`."""
_TAGS = (Tag(Phase.ONLINE, 0), Tag(Phase.ONLINE, 1), Tag(Phase.OFFLINE, 0), Tag(Phase.SETUP, 3, 2))


def run(data: bytes) -> None:
    """Let a peer speak, take some messages, in virtual time; one of the waits has to end the link."""
    source = Source(data)
    ending, pause = source.below(3), (0.0, 1.0, 29.0)[source.below(3)]
    waits = [(source.below(4), source.below(3), source.below(3) * 50) for _ in range(source.below(8))]
    sizes = [1 + source.octet() for _ in range(source.below(3))]
    pieces = cut(_speech(source), sizes)
    trio.run(
        _listen, ScriptedStream(pieces, ending, None, pause), waits, clock=trio.testing.MockClock(autojump_threshold=0)
    )


def _speech(source: Source) -> bytes:
    """Return frames in order, some of them wrong."""
    out, number = [], 0
    for _ in range(source.below(60)):
        kind = source.below(16)
        if kind == 0:
            out.append(source.take(source.octet()))
            continue
        size, query, tag = source.octet() * 8, source.below(3), _TAGS[source.below(4)].pack()
        frame = Frame(Kind.DATA, source.octet(), 0, number & 0xFFFF, query, tag, bytes(size))
        if kind == 1:
            control = Kind(1 + source.below(4))
            said = encode_abort("E2", "no more") if control is Kind.ABORT else source.take(source.below(9))
            frame = Frame(control, 0, 0, number & 0xFFFF, 0, control, said)
        out.append(encode(frame) + frame.payload)
        number += 1
    return b"".join(out) + source.rest()


async def _listen(stream: ScriptedStream, waits: list[tuple[int, int, int]]) -> None:
    channel = Channel(Wire(stream, "E2"), "E1", "E2", limits=_LIMITS)
    failures: list[TransportError] = []
    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            try:
                await _take(channel, waits)
            except TransportError as error:
                failures.append(error)
            await channel.abort("E1", "done")
    demand(failures, "a wait for a message that does not come has ended")
    raise failures[0]


async def _take(channel: Channel, waits: list[tuple[int, int, int]]) -> None:
    for tag, query, most in (*waits, (0, 99, 0)):
        await trio.testing.wait_all_tasks_blocked()
        demand(channel._mail.size <= _MOST_WAITING, "messages fill the memory")  # noqa: SLF001
        got = await channel.receive(_TAGS[tag], query, Clock(), most=most)
        demand(len(got) <= most, "a message is longer than was allowed")


def seeds() -> list[bytes]:
    """A few messages in order, a flood, every control frame."""
    polite = bytes((1, 0, 2, 0, 1, 2, 1, 1, 2, 0, 4)) + bytes((2, 5, 1, 0, 1)) * 4
    flood = bytes((0, 0, 1, 0, 0, 2, 0, 59)) + bytes((2, 200, 1, 0, 1)) * 60
    control = [bytes((1, 1, 0, 0, 3)) + bytes((1, 0, 0, 0, 0, kind, 0)) * 3 for kind in range(4)]
    return [polite, flood, *control]


TARGET = Target("channel", run, (TransportError,), seeds, most_bytes=1024)
