"""What a shaped network adds to a query: its depth times the latency, and the transfers. Nothing else, anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from parties.assemble import assemble
from parties.launch import perform_job
from parties.request import RunRequest, Transport
from parties.resolve import Job
from pehealth.config import Engine, GroupName, Parameters
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import masked_engine
from pehealth.nets.plan import Plan, sensor_names
from pehealth.nets.plan_literal import plan_literal
from pehealth.nets.plan_masked import plan_masked
from pehealth.nets.record import RunResult
from pehealth.nets.scales import Arithmetic
from pehealth.nets.zoo import load_model
from transport.network import Network, parse_network


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


def job_for(name: str, engine: Engine, batch: int, sensors: int, queries: int, **wanted: object) -> Job:
    """Random readings on the weights that are shipped; the paper's walk is short and its results wrong."""
    model = load_model(name)
    request = RunRequest(net=name, engine=engine, batch=batch, samples=batch * queries, sensors=sensors, **wanted)
    features = Prg.insecure_seed(1).below((request.samples, model.network.inputs), 1000) / 1000
    if engine is Engine.PAPER:
        p = Parameters(engine, 0, 32, GroupName.TOY32, walk=2, cap=64, batch=batch, sensors=sensors)
        quantised, plan = model.quantise(0, Arithmetic.LITERAL), plan_literal(model.network, p)
    else:
        p = Parameters(engine, 4, 48, batch=batch, sensors=sensors)
        quantised, plan = model.quantise(4, Arithmetic.MASKED), plan_masked(model.network, p, masked_engine(p))
    labels, indices = np.zeros(len(features), np.int64), np.arange(len(features))
    return Job(request, model, quantised, plan, features, quantised.encode_input(features), labels, indices, 1.0)


def network_seconds(plan: Plan, network: Network) -> float:
    """What the network alone takes for a query: sensors send side by side, each to one server after the other; servers
    exchange; both results travel at once."""
    links = {"->".join(link): traffic.total for link, traffic in plan.online.links.items()}
    uploads = [links[f"{name}->E1"] + links[f"{name}->E2"] for name in sensor_names(plan.parameters.sensors)]
    transfer = max(uploads) + links.get("E1->E2", 0) + links["E1->HC"]
    return plan.online.depth * network.latency + transfer / network.bandwidth


def online(result: RunResult) -> list[float]:
    return [sample.online_seconds for sample in result.samples]


@pytest.mark.parametrize("network", ["lan", "wan", "4g", "7ms,1mbit"])
@pytest.mark.parametrize(("batch", "sensors"), [(1, 1), (5, 3)])
@pytest.mark.parametrize(
    ("name", "engine"), [("clinic", Engine.DEALT), ("postop-a", Engine.DEALT), ("clinic", Engine.PAPER)]
)
def test_virtual_time_is_depth_times_latency_and_transfers(name, engine, batch, sensors, network, monkeypatch):
    """To the microsecond, if computing is free."""
    monkeypatch.setattr("parties.virtual.thread_time", lambda: 0.0)
    job = job_for(name, engine, batch, sensors, 2, transport=Transport.MEMORY, network=network)
    result = assemble(job, perform_job(job, quiet), "run")
    predicted = network_seconds(job.plan, parse_network(network))
    assert online(result) == pytest.approx([predicted] * len(result.samples), abs=1e-6, rel=0)
