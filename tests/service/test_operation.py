"""What operators are told of real services: metrics, health, logs and audit logs, and no secret in any of them."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from secret_search import HOLDERS, Secrets, Seen, collect
from service_clinic import Clinic, samples

from parties.failure import sentence
from parties.operation.audit_verify import verify
from parties.operation.metrics import Metrics
from parties.operation.opening import open_operation
from parties.operation.operator import Operator
from parties.operation.settings import OperationSettings
from parties.service.party import open_party
from parties.settings import Settings
from pehealth import __version__
from pehealth.config import Engine
from pehealth.errors import PehealthError
from transport.errors import TransportError


@dataclasses.dataclass
class ToldClinic(Clinic):
    """A clinic each of whose parties has an operator who is told everything, in files of the party's own."""

    operators: dict[str, Operator] = dataclasses.field(default_factory=dict)

    def settings(self, name: str) -> Settings:
        operation = OperationSettings("", self.folder / f"{name}.log", self.folder / f"{name}.audit")
        return dataclasses.replace(super().settings(name), operation=operation)

    async def _run(self, name: str, task_status: trio.TaskStatus[None]) -> None:
        stop, gone = self._stops[name], self._gone[name] = trio.Event(), trio.Event()
        settings = self.settings(name)
        try:
            with trio.CancelScope() as scope:
                self._scopes[name] = scope
                async with (
                    open_operation(settings) as operator,
                    open_party(
                        settings, carrier=self.hub, operation=operator, report=self.said.append, inline=True
                    ) as party,
                ):
                    self.operators[name], self.parties[name] = operator, party
                    task_status.started()
                    await stop.wait()
                    await party.drain()
        finally:
            self.parties.pop(name, None)
            gone.set()

    def log(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.folder / f"{name}.log").read_text().splitlines()]

    def metrics(self, name: str) -> str:
        """What a reading of the metrics says, without the counters of queries; nothing without the extra [serve]."""
        if importlib.util.find_spec("prometheus_client") is None:
            return ""
        operator = self.operators[name]
        return Metrics(name, __version__, operator._health, operator._traffic).text().decode()

    def lacking(self, name: str) -> list[str]:
        return json.loads(self.operators[name].respond("/readyz").body)["reasons"]


@pytest.fixture
async def told(folder: Path) -> AsyncIterator[ToldClinic]:
    made = ToldClinic(folder)
    async with trio.open_nursery() as made.nursery:
        yield made
        made.nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait in virtual time."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - what it waits for is no event of ours
            await trio.sleep(0.5)


async def test_operators_are_told_of_a_life(told: ToldClinic, autojump_clock) -> None:
    """A deployment, queries of two clients, one that fails, a retirement and a stop, as each party tells them."""
    await told.start()
    for name in told.names:
        await until(lambda name=name: told.lacking(name) == ["no deployment is committed here"])
    room = await told.deploy()
    for name in told.names:
        await until(lambda name=name: told.lacking(name) == [])
    async with told.client("HMS1") as one, told.client("HMS2") as two:
        await one.infer(samples(3))
        await two.infer(samples(2))
        await told.stop("E2")
        await until(lambda: any("E2" in reason for reason in told.lacking("E1")))
        with pytest.raises((PehealthError, TransportError)):
            await one.infer(samples(1))
    await told.start("E2")
    await until(lambda: told.lacking("E1") == [] == told.lacking("HC"))
    await told.parties["HC"].centre.retire("tiny", None, told.said.append)
    for name in told.names:
        await told.stop(name)
    for name in ("E1", "E2", "HC"):
        summary = verify([told.folder / f"{name}.audit"])
        assert summary.queries["tiny", 1, "ok"] == 5
        assert {who: count for who, count in summary.submitters.items() if who == "HMS2"} == {"HMS2": 2}
        assert (summary.events["deployed"] >= 1, summary.events["retired"]) == (True, 1)
        events = Counter(row["event"] for row in told.log(name))
        assert events["query"] == 5
        assert events["started"] == events["stopping"] == events["stopped"] == (2 if name == "E2" else 1)
        assert events["retired"] == 1
        assert [r["rounds"] for r in told.log(name) if r["event"] == "query"] == [0 if name == "HC" else 3] * 5
    assert {row["deployment"] for row in told.log("HC") if row["event"] == "retired"} == {room.spec.id}
    told.audit()


async def test_metrics_of_real_services(told: ToldClinic, autojump_clock) -> None:
    """Both ends count the same bytes; material is what the stores have."""
    parser = pytest.importorskip("prometheus_client.parser", reason="the extra [serve] is not installed")
    await told.start()
    await told.deploy()
    async with told.client() as client:
        await client.infer(samples(4))
    await trio.testing.wait_all_tasks_blocked()
    found = {}
    for name in told.names:
        for family in parser.text_string_to_metric_families(told.metrics(name)):
            for sample in family.samples:
                found[name, sample.name, *sorted(sample.labels.values())] = sample.value
    for kind in ("payload", "framing"):
        for one, other in (("E1", "E2"), ("E1", "HC"), ("E2", "HC"), ("DEALER", "E1")):
            sent = found[one, "pehealth_link_bytes_total", *sorted((other, "sent", kind))]
            assert sent == found[other, "pehealth_link_bytes_total", *sorted((one, "received", kind))]
            assert sent > 0
    assert found["E1", "pehealth_links_up", "E2"] == 2
    assert found["HC", "pehealth_deployments"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Engine.DEALT, Engine.RLWE])
async def test_no_operator_is_told_a_secret(
    told: ToldClinic, engine: Engine, autojump_clock, monkeypatch, capfd
) -> None:
    """Queries that are answered, and one after each fault; then every text and file that is not a store is searched."""
    secrets, seen = collect(monkeypatch), Seen()
    readings = samples(12)
    secrets.add_numbers(readings)
    raised: list[BaseException] = []
    await told.start()
    room = await told.deploy(engine=engine)
    async with told.client() as client:
        answers = await client.infer(readings[:6])
        seen.look()
    for fault in ("E1", "E2", "HC", "DEALER"):
        told._scopes[fault].cancel()
        await told._gone[fault].wait()
        with trio.move_on_after(30):
            try:
                async with told.client() as client:
                    await client.infer(readings[6:8])
            except* (PehealthError, TransportError) as group:
                raised += group.exceptions
        await told.start(fault)
    texts = {"stdout and stderr": "".join(capfd.readouterr()), "reports": "\n".join(told.said)}
    texts |= {"answers": repr(answers), "room": repr(room), "parties": repr(told.parties)}
    texts |= {path.name: path.read_text() for path in told.folder.iterdir() if path.is_file()}
    texts |= {f"{path}": told.operators[name].respond(path).body.decode() for name in told.names for path in PATHS}
    texts |= {f"metrics of {name}": told.metrics(name) for name in told.names}
    texts |= {f"error {n}": told_by(error) for n, error in enumerate(raised)}
    texts |= {f"repr of {kind}": "\n".join(shown) for kind, shown in seen.told.items()}
    assert raised
    assert {"repr of ServerRoom", "repr of CentreRoom", "repr of Client", "repr of Answer", "repr of Spec"} <= set(
        texts
    )
    assert secrets.size > 5000
    assert {where: found for where, text in texts.items() if (found := secrets.found_in(text))} == {}
    held = {kind for kind, shown in seen.held.items() if secrets.found_in("\n".join(shown))}
    assert {"Prg", "RingWeights", "QuantizedModel"} <= held <= HOLDERS
    check_that_it_could_fail(secrets, told.folder)


PATHS = ("/healthz", "/readyz")


def told_by(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + f"{error!r} {error} {sentence(error)}"


def check_that_it_could_fail(secrets: Secrets, folder: Path) -> None:
    """The stores, which hold shares and material, are full of what is searched for."""
    for store in ("E1", "E2", "HC"):
        parts = [path.read_bytes() for path in (folder / store).rglob("*") if path.is_file()]
        assert any(secrets.found_in(part) for part in parts), store
