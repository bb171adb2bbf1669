"""TCP's slow start: flights of ten, twenty, forty segments a round trip, and what an idle time does to them."""

from __future__ import annotations

import pytest
import trio

from transport.memory import memory_pair
from transport.network import Line, Network, parse_network
from transport.shaped import ShapedStream
from transport.slow_start import INITIAL_WINDOW, LEAST_TIMEOUT, SEGMENT, SlowStartLine, line_of

FAR = Network(latency=0.02, slow_start=True)
TRIP = 0.04


@pytest.mark.parametrize(
    ("segments", "trips"), [(0, 0), (1, 0), (10, 0), (11, 1), (30, 1), (31, 2), (70, 2), (71, 3), (150, 3), (151, 4)]
)
def test_a_message_takes_a_round_trip_for_each_doubling(segments: int, trips: int) -> None:
    passage = SlowStartLine(FAR).put(segments * SEGMENT, 5.0)
    assert passage.arrives == pytest.approx(5.0 + 0.02 + trips * TRIP)
    assert passage.starts == 5.0


def test_a_window_that_has_grown_is_kept_while_it_is_used() -> None:
    line = SlowStartLine(FAR)
    assert line.put(70 * SEGMENT, 0.0).arrives == pytest.approx(0.02 + 2 * TRIP)
    assert line.put(80 * SEGMENT, 0.2).arrives == pytest.approx(0.22)
    assert line.put(81 * SEGMENT, 0.3).arrives == pytest.approx(0.32)


def test_a_window_that_is_not_used_does_not_grow() -> None:
    line = SlowStartLine(FAR)
    for number in range(50):
        line.put(100, 0.1 * number)
    assert line.put(INITIAL_WINDOW + 1, 5.05).arrives == pytest.approx(5.07 + TRIP)


@pytest.mark.parametrize(("timeouts", "window"), [(0.5, 80), (1.5, 40), (2.5, 20), (3.5, 10), (100, 10)])
def test_an_idle_time_halves_the_window_for_each_timeout(timeouts: float, window: int) -> None:
    for size, trips in ((window, 0), (window + 1, 1)):
        line = SlowStartLine(FAR)
        now = line.put(70 * SEGMENT, 0.0).leaves + timeouts * (TRIP + LEAST_TIMEOUT)
        assert line.put(size * SEGMENT, now).arrives == pytest.approx(now + 0.02 + trips * TRIP)


def test_a_sender_goes_on_when_all_but_two_windows_are_acknowledged() -> None:
    assert SlowStartLine(FAR).put(20 * SEGMENT, 1.0).frees == 1.0
    assert SlowStartLine(FAR).put(31 * SEGMENT, 1.0).frees == pytest.approx(1.0 + TRIP)
    assert SlowStartLine(FAR).put(400 * SEGMENT, 1.0).frees < SlowStartLine(FAR).put(400 * SEGMENT, 1.0).leaves


def test_where_acknowledgements_are_back_in_time_it_is_a_line_like_any_other() -> None:
    """A round trip of ten segments or less: the line is never idle for want of acknowledgements."""
    near = Network(latency=0.001, bandwidth=INITIAL_WINDOW / 0.004, slow_start=True)
    slow, plain = SlowStartLine(near), Line(near)
    for size, now in ((100 * SEGMENT, 0.0), (5, 0.01), (3 * SEGMENT, 9.0)):
        one, other = slow.put(size, now), plain.put(size, now)
        assert (one.leaves, one.arrives) == pytest.approx((other.leaves, other.arrives))


def test_networks_say_so() -> None:
    assert parse_network("20ms,100mbit,tcp") == Network(0.02, 12.5e6, slow_start=True)
    assert parse_network("WAN,tcp") == Network(0.02, 12.5e6, slow_start=True)
    assert isinstance(line_of(parse_network("20ms,tcp")), SlowStartLine)
    assert isinstance(line_of(parse_network("20ms")), Line)
    for text in ("tcp", ",tcp", "20ms,tcp,100mbit"):
        with pytest.raises(ValueError, match="expected none, lan, wan, 4g or LATENCY"):
            parse_network(text)


async def test_a_live_link_takes_the_same(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        left, right = memory_pair()
        shaped = ShapedStream(left, FAR, nursery)
        began = trio.current_time()
        await shaped.send_all(bytes(31 * SEGMENT))
        assert trio.current_time() - began == pytest.approx(TRIP)
        got = 0
        while got < 31 * SEGMENT:
            got += len(await right.receive_some())
        assert trio.current_time() - began == pytest.approx(0.02 + 2 * TRIP)
        await shaped.aclose()
