"""The simulation against times worked out by hand, and what it says of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from pehealth import schema
from pehealth.errors import ConfigError
from pehealth.experiments.chart import log_chart
from pehealth.experiments.critical import by_layer, critical_path, totals
from pehealth.experiments.picture import Picture
from pehealth.experiments.recorded import queries_of
from pehealth.experiments.replay import Settings, handling_of, replay, typical
from pehealth.experiments.replay_record import replay_result
from pehealth.experiments.steps import Phase as PhaseName
from pehealth.experiments.steps import QueryTrace, RunTrace, Step
from pehealth.experiments.sweep import sweep
from pehealth.experiments.timeline import ticks, timeline
from pehealth.nets.record import RunParameters, Security
from transport.interfaces import Phase, Tag
from transport.network import Network
from transport.trace import Event, Trace

HEADER = 24


def compute(seconds: float, layer: int = 0) -> Step:
    return Step("compute", layer, 0.0, seconds)


def send(peer: str, size: int, layer: int = 0) -> Step:
    return Step("send", layer, 0.0, 0.0, peer, size=size - HEADER)


def take(peer: str, layer: int = 0) -> Step:
    return Step("take", layer, 0.0, 0.0, peer)


def query(number: int = 1, phase: PhaseName = "online", **programs: list[Step]) -> QueryTrace:
    return QueryTrace(phase, number, {party: tuple(steps) for party, steps in programs.items()})


def exchange(number: int = 1, size: int = 1000) -> QueryTrace:
    """A sensor uploads, the servers exchange once, the centre gets both shares; E2 is the slower server."""
    return query(
        number,
        HMS1=[compute(1.0), send("E1", size), send("E2", size)],
        E1=[take("HMS1"), compute(2.0, 1), send("E2", size, 1), take("E2", 1), send("HC", size, 2)],
        E2=[take("HMS1"), compute(5.0, 1), send("E1", size, 1), take("E1", 1), send("HC", size, 2)],
        HC=[take("E1", 2), take("E2", 2), compute(0.5, 2)],
    )


def trace_of(*queries: QueryTrace, in_flight: int = 1) -> RunTrace:
    return RunTrace(
        net="example",
        engine="dealt",
        parameters=RunParameters(4, 40),
        security=Security(128, insecure=False),
        clock="virtual",
        layers=("0.input", "1.dense", "2.output"),
        queries=queries,
        in_flight=in_flight,
    )


SLOW = Network(latency=10.0, bandwidth=1000.0)
"""Ten seconds away; a message of the example takes a second to leave."""


def test_an_exchange_takes_what_it_takes_by_hand() -> None:
    """1 s, two uploads of 1 s, 10 s away; E2 computes 5 s, sends for 1 s; 10 s later E1 sends for 1 s; 10 s, 0.5 s."""
    done = replay([exchange()], Settings(SLOW))[0]
    assert done.seconds == 3 + 10 + 5 + 1 + 10 + 1 + 10 + 0.5
    path = critical_path(done)
    assert [(p.party, p.cause, p.seconds) for p in path] == [
        ("HMS1", "compute", 1.0),
        ("HMS1", "transfer", 1.0),
        ("HMS1", "transfer", 1.0),
        ("HMS1", "latency", 10.0),
        ("E2", "compute", 5.0),
        ("E2", "transfer", 1.0),
        ("E2", "latency", 10.0),
        ("E1", "transfer", 1.0),
        ("E1", "latency", 10.0),
        ("HC", "compute", 0.5),
    ]
    assert totals(path) == {"compute": 6.5, "transfer": 4.0, "latency": 30.0, "handling": 0.0}
    assert by_layer(path)["E2", 1] == {"compute": 5.0, "transfer": 1.0, "latency": 10.0, "handling": 0.0}
    assert all(a.ended == b.began for a, b in itertools.pairwise(path))


def test_slow_start_is_a_part_of_the_path_and_leaves_no_gap() -> None:
    """1,000 bytes are within the initial window: nobody is held, and bytes travel while the sender goes on."""
    plain = replay([exchange()], Settings(SLOW))[0]
    done = replay([exchange()], Settings(replace(SLOW, slow_start=True)))[0]
    path = critical_path(done)
    assert done.seconds <= plain.seconds
    assert sum(p.seconds for p in path) == pytest.approx(done.seconds)
    assert all(a.ended == b.began for a, b in itertools.pairwise(path))
    assert Settings(SLOW, {"E1": replace(SLOW, slow_start=True)}).between("E1", "E2").slow_start


def test_a_faster_server_computes_in_less_time_and_nothing_else_changes() -> None:
    half = replay([exchange()], Settings(SLOW, speed={"E2": 2.0}))[0]
    assert half.seconds == 40.5 - 2.5
    assert replay([exchange()], Settings(SLOW, speed={"E1": 2.0}))[0].seconds == 40.5


def test_a_party_may_have_links_of_its_own() -> None:
    near = Network(latency=1.0)
    done = replay([exchange()], Settings(near, {"HMS1": SLOW}))[0]
    assert done.seconds == 3 + 10 + 5 + 1 + 1 + 0.5
    both = Settings(near, {"HMS1": SLOW, "E2": Network(latency=20.0, bandwidth=math.inf, jitter=0.5)})
    assert both.between("HMS1", "E2") == Network(20.0, 1000.0, 0.5)
    assert both.between("E1", "HC") == near


def test_handling_is_counted_once_a_message_that_is_waited_for() -> None:
    done = replay([exchange()], Settings(SLOW, handling=0.25))[0]
    assert done.seconds == 40.5 + 3 * 0.25
    path = critical_path(done, 0.25)
    assert totals(path)["handling"] == 0.75
    assert sum(p.seconds for p in path) == done.seconds


def test_queries_in_flight_wait_for_the_line_and_the_path_goes_through_both() -> None:
    """Both sensors' messages leave on one line: the second starts a second later."""
    one, two = (query(n, HMS1=[compute(float(n)), send("E1", 4000)], E1=[take("HMS1"), compute(1.0)]) for n in (1, 2))
    apart = replay([one, two], Settings(SLOW))
    assert [q.seconds for q in apart] == [1 + 4 + 10 + 1, 2 + 4 + 10 + 1]
    together = replay([one, two], Settings(SLOW), in_flight=2)
    assert [q.seconds for q in together] == [1 + 4 + 10 + 1, 1 + 4 + 4 + 10 + 1]
    path = critical_path(together[1])
    assert [(p.cause, p.seconds) for p in path] == [
        ("compute", 1.0),
        ("transfer", 4.0),
        ("transfer", 4.0),
        ("latency", 10.0),
        ("compute", 1.0),
    ]
    assert typical(together) is together[0]


def test_jitter_depends_on_the_seed_alone_and_never_exceeds_its_bound() -> None:
    network = Network(latency=10.0, bandwidth=1000.0, jitter=1.0)
    first, again, other = (replay([exchange()], Settings(network, seed=seed))[0].seconds for seed in (b"1", b"1", b"2"))
    assert first == again != other
    assert 40.5 < first <= 40.5 + 3 * 1.0


def test_a_sweep_is_a_replay_for_each_network() -> None:
    grid = sweep(exchange(), Settings(SLOW), (0.0, 10.0), (1000.0, math.inf))
    assert grid.seconds == ((10.5, 6.5), (40.5, 36.5))


def test_handling_of_a_real_run_is_what_its_network_does_not_explain() -> None:
    """A message that was sent at 1 s and taken at 5 s by who waited; another that lay there does not count."""
    sent = [Event("sent", "E1", 1, at, at, "E2", Tag(Phase.ONLINE, 1).pack(), 0, 1) for at in (1.0, 6.0)]
    got = [
        Event(what, "E2", 1, began, ended, "E1", Tag(Phase.ONLINE, 1).pack(), 0, 1)
        for what, began, ended in (
            ("arrived", 4.0, 4.0), ("taken", 0.0, 5.0), ("arrived", 7.0, 7.0), ("taken", 50.0, 50.0),
        )
    ]  # fmt: skip
    real = trace_of(*queries_of(Trace(events=(*sent, *got))))
    assert handling_of(real) == 0.0
    object.__setattr__(real, "clock", "real")
    assert handling_of(real) == 4.0


def test_computing_lies_between_messages_and_is_cut_where_layers_end() -> None:
    tag = Tag(Phase.ONLINE, 2).pack()
    events = (
        Event("arrived", "E1", 7, 2.0, 2.0, "E2", tag, 10, 1),
        Event("taken", "E1", 7, 1.0, 3.0, "E2", tag, 10, 1),
        Event("computed", "E1", 7, 0.0, 4.0, tag=Tag(Phase.ONLINE, 2).pack(), name="layer"),
        Event("computed", "E1", 7, 4.0, 6.0, tag=Tag(Phase.ONLINE, 3).pack(), name="layer"),
        Event("sent", "E1", 7, 8.0, 9.0, "HC", Tag(Phase.ONLINE, 5).pack(), 20, 2),
        Event("computed", "E1", 7, 0.5, 9.5, tag=Tag(Phase.ONLINE, 0).pack(), name="answer"),
    )
    (found,) = queries_of(Trace(events=events))
    assert (found.phase, found.query) == ("online", 7)
    assert [(s.kind, s.layer, s.began, s.ended) for s in found.programs["E1"]] == [
        ("compute", 2, 0.5, 1.0),
        ("take", 2, 1.0, 3.0),
        ("compute", 2, 3.0, 4.0),
        ("compute", 3, 4.0, 6.0),
        ("compute", 5, 6.0, 8.0),
        ("send", 5, 8.0, 9.0),
        ("compute", 5, 9.0, 9.5),
    ]


def test_a_replay_keeps_its_schema_and_a_trace_survives_json() -> None:
    trace = trace_of(exchange(1), exchange(2))
    assert RunTrace.from_json(trace.to_json()) == trace
    result = replay_result(trace, Settings(Network(0.02)), Settings(Network()))
    assert result.as_traced == 6.5
    document = result.to_json()
    assert schema.problems(document, schema.REPLAY) == ()
    assert [row["layer"] for row in document["by_layer"]] == ["0.input", "1.dense", "2.output", "2.output"]


@pytest.mark.parametrize("changed", [{"layers": ["0.input", "1.dense"]}, {"clock": "sun"}, {"queries": [{}]}])
def test_what_is_no_trace_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RunTrace.from_json({**trace_of(exchange()).to_json(), **changed})


def parsed(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg())  # noqa: S314  (our own text)


def test_pictures_are_whole_documents_that_need_nothing_else() -> None:
    done = replay([exchange()], Settings(SLOW, handling=0.1))[0]
    trace = trace_of(exchange())
    pictures: list[Picture] = [
        timeline(done, critical_path(done, 0.1), trace.parties, trace.layers, "<a & b>"),
        log_chart("growth", {"a": [(1, 1.0), (10, 200.0)], "b": [(1, 3.0)]}, x_label="x", y_label="y"),
    ]
    for picture in pictures:
        root = parsed(picture)
        assert root.tag.endswith("svg")
        assert "prefers-color-scheme:dark" in picture.svg()
        assert "href" not in picture.svg()
        assert not any(bad in picture.svg() for bad in ("nan", "inf"))
    notes = [e.text for e in parsed(pictures[0]).iter() if e.tag.endswith("title")]
    assert "E2 1.dense: 5 s" in notes
    assert "E2 to E1, 1.dense: 976 bytes, 1 s" in notes


def test_ticks_are_round_and_few() -> None:
    assert ticks(1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(len(ticks(end)) <= 9 for end in (1e-6, 0.037, 3.0, 999.0, 86400.0))
