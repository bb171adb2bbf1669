"""The meter: what is counted, that it adds up, and that it survives the wire."""

from __future__ import annotations

import json

import msgpack
import pytest

from transport.errors import TransportError
from transport.framing import HEADER_BYTES, Kind
from transport.interfaces import Phase, Tag
from transport.meter import LinkMeter, Meter, MeterReport, Traffic

ONE = Tag(Phase.ONLINE, 1, 1)
ONE_AGAIN = Tag(Phase.ONLINE, 1, 2)
TWO = Tag(Phase.ONLINE, 2, 1)
DEALT = Tag(Phase.OFFLINE, 1, 1)


def cross(
    meters: tuple[LinkMeter, LinkMeter], tag: Tag, size: int, *, query: int = 1, depth: int = 1, rounds: int = 1
) -> None:
    """Let each end send a message and receive the other's."""
    for meter in meters:
        meter.sent(tag.pack(), size, query, depth, rounds)
        meter.received(tag.pack(), size, query, depth, rounds)


def servers() -> tuple[Meter, Meter, tuple[LinkMeter, LinkMeter]]:
    first, second = Meter("E1"), Meter("E2")
    return first, second, (first.link("E2", server=True), second.link("E1", server=True))


def merged(*meters: Meter) -> MeterReport:
    return MeterReport.merge(meter.report() for meter in meters)


def test_traffic_adds_and_subtracts() -> None:
    assert Traffic(1, 24, 1) + Traffic(2, 48, 2) == Traffic(3, 72, 3)
    assert Traffic(3, 72, 3) - Traffic(2, 48, 2) == Traffic(1, 24, 1)
    assert Traffic(3, 72, 3).total == 75


def test_traffic_is_counted_by_link_phase_layer_and_step() -> None:
    first, second, ends = servers()
    for tag, size in ((ONE, 10), (ONE, 10), (ONE_AGAIN, 5), (TWO, 3), (DEALT, 100)):
        cross(ends, tag, size)
    report = merged(first, second)
    both = [("E1", "E2"), ("E2", "E1")]
    assert report.links(Phase.ONLINE) == dict.fromkeys(both, Traffic(28, 4 * HEADER_BYTES, 4))
    assert report.links(Phase.ONLINE, 1) == dict.fromkeys(both, Traffic(25, 3 * HEADER_BYTES, 3))
    assert report.links(Phase.ONLINE, 0) == {}
    assert report.links(Phase.SETUP) == {}
    assert report.tags(Phase.ONLINE, ("E1", "E2")) == {
        ONE: Traffic(20, 48, 2),
        ONE_AGAIN: Traffic(5, 24, 1),
        TWO: Traffic(3, 24, 1),
    }
    assert report.tags(Phase.OFFLINE) == {DEALT: Traffic(200, 48, 2)}


def test_control_frames_are_counted_apart() -> None:
    first, second, ends = servers()
    ends[0].sent(Kind.HELLO, 80, 0, 0, 0)
    ends[0].sent(Kind.BYE, 0, 0, 0, 0)
    report = merged(first, second)
    assert report.links(Phase.CONTROL) == {("E1", "E2"): Traffic(80, 48, 2)}
    assert [tag.step for tag in report.tags(Phase.CONTROL)] == [Kind.HELLO, Kind.BYE]
    assert report.links(Phase.ONLINE) == {}
    report.check_conserved()


def test_depth_and_rounds_are_the_greatest_over_queries() -> None:
    first, second, ends = servers()
    cross(ends, ONE, 1, query=1, depth=5, rounds=3)
    cross(ends, ONE, 1, query=2, depth=4, rounds=2)
    report = merged(first, second)
    assert (report.depth(Phase.ONLINE), report.server_rounds(Phase.ONLINE)) == (5, 3)
    assert report.links(Phase.ONLINE)["E1", "E2"].messages == 2


def test_rounds_off_server_links_are_not_server_rounds() -> None:
    meter = Meter("HC")
    meter.link("E1", server=False).received(ONE.pack(), 1, 1, 9, 8)
    assert (meter.report().depth(Phase.ONLINE), meter.report().server_rounds(Phase.ONLINE)) == (9, 0)
    assert meter.report().layer_rounds(Phase.ONLINE, 1) == 0


def test_layer_rounds_are_those_of_the_query_that_spent_most() -> None:
    first, second, ends = servers()
    for query, rounds in ((1, (1, 2, 2, 7)), (2, (3, 4)), (3, (1,))):
        for number in rounds:
            cross(ends, ONE if number % 2 else ONE_AGAIN, 1, query=query, rounds=number)
    cross(ends, TWO, 1, rounds=8)
    report = merged(first, second)
    assert [report.layer_rounds(Phase.ONLINE, layer) for layer in (0, 1, 2)] == [0, 3, 1]
    assert report.layer_rounds(Phase.OFFLINE, 1) == 0


def test_rounds_in_one_direction_only_count_once_at_both_ends() -> None:
    first, second, ends = servers()
    for rounds in (1, 2):
        sender = ends[rounds - 1]
        sender.sent(ONE.pack(), 1, 1, rounds, rounds)
        ends[2 - rounds].received(ONE.pack(), 1, 1, rounds, rounds)
    assert first.report().layer_rounds(Phase.ONLINE, 1) == second.report().layer_rounds(Phase.ONLINE, 1) == 2


def test_old_queries_are_forgotten_and_their_greatest_figure_is_not() -> None:
    meter = LinkMeter("E1", "E2", server=True)
    for number in (1, 2, 3):
        meter.sent(ONE.pack(), 1, 0, number, number)
    for query in range(1, 20_000):
        meter.sent(ONE.pack(), 1, query, 1, 1)
    assert len(meter._layers) <= 4096
    assert meter.report().layer_rounds(Phase.ONLINE, 1) == 3
    assert meter.report().links(Phase.ONLINE)["E1", "E2"].messages == 20_002


def test_lost_message_is_named() -> None:
    first, second, ends = servers()
    cross(ends, ONE, 10)
    ends[0].sent(TWO.pack(), 5, 1, 1, 1)
    with pytest.raises(TransportError, match=r"E1->E2 online layer 2 step 1: sent .*5, .* received .*payload=0"):
        merged(first, second).check_conserved()
    # With one report there is nothing to compare.
    first.report().check_conserved()


def test_links_of_a_party_that_has_not_reported_are_known_from_the_other_end() -> None:
    first, second, ends = servers()
    cross(ends, ONE, 10)
    assert first.report().links(Phase.ONLINE) == merged(first, second).links(Phase.ONLINE)


def test_report_survives_json_and_msgpack() -> None:
    first, second, ends = servers()
    cross(ends, ONE, 10, query=2**64 - 1, depth=7, rounds=4)
    cross(ends, DEALT, 2**40)
    report = merged(first, second)
    assert MeterReport.from_wire(json.loads(json.dumps(report.to_wire()))) == report
    assert MeterReport.from_wire(msgpack.unpackb(msgpack.packb(report.to_wire()))) == report
    assert MeterReport.merge([]) == MeterReport()


@pytest.mark.parametrize("wire", [None, {}, {"parties": 1}, {**MeterReport().to_wire(), "sent": [[1, 2]]}])
def test_what_is_no_report_is_a_transport_error(wire: object) -> None:
    with pytest.raises(TransportError, match="expected a meter's report"):
        MeterReport.from_wire(wire)
