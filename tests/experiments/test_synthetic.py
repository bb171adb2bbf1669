"""A trace made from a plan has the plan's messages, no more and no less; nothing large is made on the way."""

from __future__ import annotations

import math

import pytest

from pehealth import schema
from pehealth.config import Engine, GroupName, Parameters, Party
from pehealth.experiments.replay import Settings, replay
from pehealth.experiments.scale import plan_for
from pehealth.experiments.scale_networks import plain_chain, resnet_chain
from pehealth.experiments.steps import RunTrace
from pehealth.experiments.synthetic import trace_of_plan
from pehealth.experiments.work import walk_of, work_of
from pehealth.nets import zoo
from pehealth.nets.describe import Add, Dense, Network, Relu, Rescale
from pehealth.nets.plan import Plan
from transport.network import Network as Links

GRAPH = Network(  # one value for two linear layers, a rescale that is not followed by one, sums
    "graph", (6,), (Dense(4), Relu(), Dense(4), Dense(4), Add(), Rescale(), Add(), Dense(3)), ("a", "b", "c"),
    ((0,), (1,), (2,), (2,), (3, 4), (5,), (2, 6), (7,)),
)  # fmt: skip
MASKED = Parameters(Engine.RLWE, 4, 40, sensors=2, batch=3)
LITERAL = Parameters(Engine.PAPER, 1, 32, GroupName.TOY32, walk=4, cap=1000, sensors=2, batch=3)
SETTINGS = (MASKED, LITERAL, Parameters(Engine.DEALT, 4, 40, reveal="class"))


def plans() -> list[Plan]:
    networks = [zoo.reference(name).network for name in zoo.NAMES]
    chains = [plan_for(network, base, base.batch) for network in networks for base in SETTINGS]
    return chains + [plan_for(GRAPH, base, base.batch) for base in SETTINGS if base.engine is not Engine.PAPER]


def test_the_trace_of_a_plan_sends_what_the_plan_says_on_every_link() -> None:
    for plan in plans():
        trace = trace_of_plan(plan)
        trace.check()
        for phase, cost in (("online", plan.online), ("offline", plan.offline)):
            (query,) = trace.phase(phase)
            found = {(party, s.peer): 0 for party, steps in query.programs.items() for s in steps if s.kind == "send"}
            for party, steps in query.programs.items():
                for s in steps:
                    if s.kind == "send":
                        found[party, s.peer] += s.size
            assert found == {link: traffic.payload for link, traffic in cost.links.items()}, plan.network.name


def test_a_plan_knows_the_size_of_every_round() -> None:
    for plan in plans():
        for layer in plan.layers:
            cost = layer.cost
            assert len(cost.exchanges) == cost.server_rounds
            if cost.exchanges:
                assert sum(cost.exchanges) == cost.links[Party.E1, Party.E2].payload


def test_with_no_bandwidth_limit_a_query_takes_depth_times_latency() -> None:
    for plan in plans():
        (done,) = replay(trace_of_plan(plan).phase("online"), Settings(Links(latency=0.5)))
        assert done.seconds == pytest.approx(plan.online.depth * 0.5, rel=1e-12)


@pytest.mark.parametrize("network", [zoo.reference("mnist-e").network, GRAPH], ids=lambda n: n.name)
def test_computing_at_every_place_adds_to_the_time(network: Network) -> None:
    plan = plan_for(network, MASKED)
    seconds = dict.fromkeys(work_of(plan), 1.0)
    trace = trace_of_plan(plan, seconds)
    (online,), (offline,) = (replay(trace.phase(name), Settings(Links())) for name in ("online", "offline"))
    layers = len(plan.layers)
    assert online.seconds == pytest.approx(0.5 + layers + 1)  # two sensors at once
    assert offline.seconds == 2.0
    assert schema.problems(trace.to_json(), schema.TRACE) == ()
    assert RunTrace.from_json(trace.to_json()) == trace


def test_max_pools_are_walked_before_the_relu_that_they_follow() -> None:
    plan = plan_for(zoo.reference("postop-a").network, MASKED)
    assert [plan.layers[i].kind for i in walk_of(plan)[:3]] == ["dense", "maxpool", "relu"]


def test_resnet_s_shapes_are_those_of_the_paper() -> None:
    network = resnet_chain()
    linear = network.linear_layers
    assert len(linear) == 18
    assert [p.out_shape for p in linear[::4]] == [
        (64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7),
    ]  # fmt: skip
    assert linear[-1].in_shape == (512, 1, 1)
    products = sum(p.linear.outputs * p.linear.fan_in for p in linear)
    assert products == pytest.approx(1.79e9, rel=0.01)
    assert plain_chain(3).placed[-1].in_shape == (16, 4, 4)


@pytest.mark.parametrize("base", [MASKED, LITERAL])
def test_the_plan_of_a_large_network_makes_no_index_of_its_windows(base: Parameters) -> None:
    plan = plan_for(resnet_chain(), base)
    assert all("window" not in vars(p.linear) for p in plan.network.linear_layers)
    if base.engine is Engine.RLWE:
        assert plan.online.server_rounds == 2 * 18 - 1 + 2
    assert math.prod(plan.network.input_shape) == 150_528
