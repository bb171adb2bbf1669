"""The testbed's arithmetic: which bytes of TCP are new, when a packet arrives, what netcheck judges."""

from __future__ import annotations

import json
import socket
import struct
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testbed.agreement import HEADINGS, INITIAL_WINDOW, Case, LinkBytes, Times, table
from testbed.capture import Seen, Sniffer, lateness
from testbed.relay import SPIN_SECONDS, Relay
from testbed.segments import Segment, Stream, parse
from testbed.shape import Lane, Shape

A, B = socket.inet_aton("198.18.0.1"), socket.inet_aton("198.18.0.2")
WRAP = 2**32


def packet(sequence: int, payload: int, *, flags: int = 0x10, options: int = 12, total: int | None = None) -> bytes:
    """Return the headers of a TCP packet from A to B."""
    header = 20 + 20 + options
    first = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total or header + payload, 0, 0, 64, 6, 0, A, B)
    return (
        first
        + struct.pack(">HHIIBBHHH", 4000, 5000, sequence, 0, (20 + options) // 4 << 4, flags, 0, 0, 0)
        + bytes(options)
    )


def data(sequence: int, size: int) -> Segment:
    return Segment(A, B, 4000, 5000, sequence % WRAP, size, False)


def syn(sequence: int) -> Segment:
    return Segment(A, B, 4000, 5000, sequence % WRAP, 0, True)


def test_headers_of_a_segment_are_read() -> None:
    assert parse(packet(77, 1448)) == Segment(A, B, 4000, 5000, 77, 1448, False, 1500)
    assert parse(packet(77, 0, flags=0x02, options=20)) == Segment(A, B, 4000, 5000, 77, 0, True, 60)


@pytest.mark.parametrize(
    "what", [b"", packet(1, 1)[:30], b"\x60" + packet(1, 1)[1:], packet(1, 1)[:9] + b"\x11" + bytes(40)]
)
def test_what_is_no_tcp_over_ipv4_is_left_out(what: bytes) -> None:
    assert parse(what) is None


def test_a_byte_counts_once_however_often_it_is_sent() -> None:
    stream = Stream(syn(100))
    assert stream.add(data(101, 10)) == 10
    assert stream.add(data(101, 10)) == 0
    assert stream.add(data(106, 10)) == 5
    assert stream.whole


def test_a_hole_is_filled_later() -> None:
    stream = Stream(syn(100))
    assert stream.add(data(111, 10)) == 10
    assert not stream.whole
    assert stream.add(data(101, 15)) == 10
    assert stream.whole


@given(
    start=st.integers(0, WRAP - 1) | st.integers(WRAP - 3000, WRAP - 1),
    sizes=st.lists(st.integers(1, 1448), min_size=1, max_size=12),
    draw=st.data(),
)
def test_any_order_and_any_repetition_give_the_same_total(start: int, sizes: list[int], draw: st.DataObject) -> None:
    places = [sum(sizes[:i]) for i in range(len(sizes))]
    segments = [data(start + 1 + place, size) for place, size in zip(places, sizes, strict=True)]
    again = draw.draw(st.lists(st.sampled_from(segments), max_size=6))
    stream = Stream(syn(start))
    assert sum(stream.add(s) for s in draw.draw(st.permutations(segments + again))) == sum(sizes)
    assert stream.whole


def test_a_capture_tells_links_directions_and_retransmissions_apart() -> None:
    sniffer = Sniffer({(A, B): "E1->E2"})
    for sequence, size, flags in ((9, 0, 0x02), (10, 100, 0x10), (10, 100, 0x10), (110, 5, 0x18)):
        sniffer.take(memoryview(packet(sequence, size, flags=flags)), outgoing=True, stamp=0.0)
    sniffer.take(memoryview(packet(10, 7)), outgoing=False, stamp=0.0)
    sent, arrived = sniffer.sides[True]["E1->E2"], sniffer.sides[False]["E1->E2"]
    assert (sent.total, sent.again, sent.packets) == (105, 100, 4)
    assert (arrived.total, arrived.again) == (7, 0)


def test_a_later_connection_on_the_same_ports_begins_anew() -> None:
    sniffer = Sniffer({(A, B): "E1->E2"})
    for first in (9, 9, 50_000):
        sniffer.take(memoryview(packet(first, 0, flags=0x02)), outgoing=True, stamp=0.0)
        sniffer.take(memoryview(packet(first + 1, 20)), outgoing=True, stamp=0.0)
    assert sniffer.sides[True]["E1->E2"].total == 40


def test_bytes_of_an_interval() -> None:
    seen = Seen(bins={1000: 5, 1500: 7, 2000: 11})
    assert seen.between(1.2, 2.0) == 18
    assert seen.between(0.0, 0.9) == 0


def test_a_lane_sends_one_packet_after_the_other() -> None:
    lane = Lane(Shape(latency=0.5, bandwidth=1000))
    assert lane.arrival(1000, 0.0) == 1.5
    assert lane.arrival(1000, 0.25) == 2.5
    assert lane.arrival(500, 10.0) == 11.0
    assert Lane(Shape(0.5)).arrival(10**9, 1.0) == 1.5


def test_the_testbeds_own_error_is_what_its_shape_does_not_explain() -> None:
    shape = Shape(latency=0.5, bandwidth=1000)
    sent = [(0.0, 1000), (0.25, 1000), (10.0, 500)]
    arrived = [(1.5, 1000), (2.75, 1000), (11.125, 500)]
    assert lateness(sent, arrived, shape) == [0.0, 0.25, 0.125]
    assert lateness(sent, arrived[:2], shape) == []


def test_a_capture_keeps_when_packets_passed() -> None:
    sniffer = Sniffer({(A, B): "E1->E2"})
    sniffer.take(memoryview(packet(9, 100)), outgoing=True, stamp=3.0)
    sniffer.take(memoryview(packet(9, 100)), outgoing=False, stamp=4.0)
    assert sniffer.passages == {True: {"E1->E2": [(3.0, 152)]}, False: {"E1->E2": [(4.0, 152)]}}


def test_the_relay_wakes_before_a_packet_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing under way: until a packet comes. Else early enough to look at the clock itself."""
    relay = Relay({A: 3, B: 4}, Shape(latency=1.0))
    monkeypatch.setattr("testbed.relay.time.monotonic", lambda: 5.0)
    monkeypatch.setattr("testbed.relay.os.read", Mock(side_effect=[ip_packet(A, B), BlockingIOError]))
    written: list[int] = []
    monkeypatch.setattr("testbed.relay.os.write", lambda device, packet: written.append(device))
    assert relay.pause() is None
    relay.take(3)
    assert relay.pause() == pytest.approx(1.0 - SPIN_SECONDS)
    assert written == []
    monkeypatch.setattr("testbed.relay.time.monotonic", lambda: 6.0)
    assert relay.pause() == 0
    relay.deliver()
    assert written == [4]


def ip_packet(source: bytes, target: bytes) -> bytes:
    return b"\x45" + bytes(11) + source + target + bytes(80)


def test_shapes_are_read() -> None:
    assert Shape.parse("20ms,100mbit") == Shape(0.02, 12.5e6)
    assert Shape.parse("0ms").netem_words() == ["delay", "0us", "limit", "100000"]
    assert Shape.parse("50ms,10mbit").netem_words()[-1] == "10000000bit"
    for text in ("", "20", "ms", "20ms,10", "lan", "1.2.3ms"):
        with pytest.raises(ValueError, match="expected"):
            Shape.parse(text)


def case(real: list[float], replay: list[float], live: list[float], **changes: object) -> Case:
    settings: dict[str, object] = {
        "engine": "dealt", "net": "cryptonets", "batch": 1, "network": "20ms,100mbit", "way": "relay",
        "congestion": "reno", "insecure": False, "largest": 4000, "times": Times(real, replay, live),
        "links": {"E1->E2": LinkBytes(10, 10, 10)}, "again": 0, "lost": 0,
    }  # fmt: skip
    return Case(**{**settings, **changes})  # type: ignore[arg-type]


def test_times_within_bounds_and_equal_bytes_are_no_problem() -> None:
    assert case([1.0, 1.0, 9.0], [0.96], [1.04]).problems() == []


def test_a_time_beyond_its_bound_is_named() -> None:
    (problem,) = case([1.0], [0.94], [1.0]).problems()
    assert "replay differs from real time by -6.0%, above 5%" in problem
    assert case([1.0], [0.94], [1.0], largest=INITIAL_WINDOW + 1).problems() == []


@pytest.mark.parametrize("link", [LinkBytes(11, 10, 10), LinkBytes(10, 11, 10), LinkBytes(10, 10, 11)])
def test_a_byte_too_many_is_named(link: LinkBytes) -> None:
    (problem,) = case([1.0], [1.0], [1.0], links={"E1->E2": link}).problems()
    assert "E1->E2: metered" in problem


def test_the_least_times_can_be_judged_instead() -> None:
    busy = case([1.0, 2.0, 2.0], [1.0], [1.0])
    assert len(busy.problems()) == 2
    assert busy.problems(min) == []


def test_a_case_survives_its_document() -> None:
    one = case([1.0, 2.0], [1.0], [1.0], late=[0.1, 0.2, 0.3], load=2.5, again=7)
    again = Case.from_json(json.loads(json.dumps(one.to_json())))
    assert again.to_json() == one.to_json()


def test_a_capture_that_lost_packets_proves_nothing() -> None:
    assert "lost 3 packets" in case([1.0], [1.0], [1.0], lost=3).problems()[0]


def test_the_table_has_a_row_a_case_and_says_what_is_insecure() -> None:
    text = table([case([0.2], [0.1], [0.2]), case([1.0], [1.0], [1.0], engine="paper", insecure=True, largest=20_000)])
    rows = text.splitlines()
    assert {row.count("|") for row in rows[:4]} == {len(HEADINGS) + 1}
    assert "| 200.0 (200.0) | 100.0 | 200.0 | -50.0% | +0.0% | 5% |" in rows[2]
    assert rows[3].startswith("| paper INSECURE |")
    assert "10% *" in rows[3]
