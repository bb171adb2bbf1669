"""A small run whose parties can be made to misbehave, and what became of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import trio
import trio.testing

from parties.conduct import Crew, Outcome, Progress
from parties.failure import exit_code, first_cause, sentence
from parties.launch import conduct, in_process, queries_of, start_all
from parties.request import RunRequest, Transport
from parties.resolve import SETTLE, Job, settle_masked
from parties.start import Start
from pehealth.config import Engine, GroupName
from pehealth.crypto.prg import Prg
from pehealth.data.dataset import Dataset
from pehealth.data.ranges import Ranges
from pehealth.nets.describe import Dense, Network, Relu
from pehealth.nets.weights import Model
from transport.meddling import Meddle, MeddlingCarrier
from transport.mesh import Carrier

SEED = 11
READINGS = ("pulse", "temperature", "pressure", "oxygen", "glucose")
NETWORK = Network("tiny", (5,), (Dense(3), Relu(), Dense(2)), ("well", "ill"))
SAMPLES = 2


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


def made_up_model(network: Network = NETWORK) -> Model:
    """Weights and biases of three decimals in -1..1."""
    rng = Prg.insecure_seed(SEED)
    thousandths = [
        rng.below(shape, 2001).astype(np.float64) - 1000
        for placed in network.linear_layers
        for shape in (placed.linear.weight_shape, placed.linear.weight_shape[:1])
    ]
    arrays = [values / 1000 for values in thousandths]
    zeros, ones = (0.0,) * network.inputs, (1.0,) * network.inputs
    return Model(network, tuple(arrays[::2]), tuple(arrays[1::2]), Ranges(READINGS, zeros, ones))


@cache
def build_job(engine: Engine, sensors: int = 1, batch: int = 1, ring: int | None = None) -> Job:
    """Two queries on a made-up network; the paper's walk is so short that its results are wrong, which changes nothing
    else."""
    paper = engine is Engine.PAPER
    request = RunRequest(
        net="tiny", engine=engine, group=GroupName.TOY32 if paper else None, digits=2 if paper else 4,
        walk=5 if paper else "right", samples=SAMPLES * batch, batch=batch, sensors=sensors, ring=ring,
        insecure_seed=SEED,
    ).checked()  # fmt: skip
    features = Prg.insecure_seed(SEED + 1).below((SAMPLES * batch, 5), 10_000) / 10_000
    indices = np.arange(len(features))
    labels = np.zeros(len(features), np.int64)
    model = made_up_model()
    data = Dataset("tiny", features, labels, NETWORK.classes, indices[:0], indices, model.ranges, "made up")
    quantised, plan = SETTLE.get(engine, settle_masked)(request, model, data)
    return Job(request, model, quantised, plan, features, quantised.encode_input(features), labels, indices, 1.0)


@dataclass
class Ended:
    """How a run ended: the sentence that a user reads, the exit code, and everything that was raised."""

    text: str
    code: int
    raised: BaseException
    seconds: float

    def says(self, words: str) -> bool:
        """True if the sentence is `words`, in which a star stands for anything."""
        return re.fullmatch(".+".join(map(re.escape, words.split("*"))), self.text) is not None


Change = Callable[[Start], Start]
Drive = Callable[[Job, Crew, Callable[[], float], Progress], Awaitable[Outcome]]


def run_well(job: Job, *, carrier: str = "memory", meddle: Mapping[str, Meddle] | None = None) -> Outcome:
    """Run all parties, each a task, to the end."""
    return run_all(job, carrier, meddle or {}, {}, (), None)


def run_badly(
    job: Job,
    *,
    carrier: str = "memory",
    meddle: Mapping[str, Meddle] | None = None,
    change: Mapping[str, Change] | None = None,
    absent: Collection[str] = (),
    drive: Drive | None = None,
) -> Ended:
    """Run all parties, each a task, until they fail; when this returns none of them is left.

    Args:
        job: what is run.
        carrier: "memory", which lives in virtual time, or "tcp".
        meddle: party -> what happens to its messages.
        change: party -> what it is told otherwise at its start.
        absent: parties that never come.
        drive: gives the orders; by default as a launcher does.
    """
    clock: list[float] = []
    try:
        run_all(job, carrier, meddle or {}, change or {}, absent, drive, clock)
    except BaseException as error:  # noqa: BLE001 - it is what the test looks at
        cause = first_cause(error)
        return Ended(sentence(cause), exit_code(cause), error, clock[0])
    raise AssertionError("the run went well")


def run_all(
    job: Job,
    carrier: str,
    meddle: Mapping[str, Meddle],
    change: Mapping[str, Change],
    absent: Collection[str],
    drive: Drive | None,
    clock: list[float] | None = None,
) -> Outcome:
    virtual = carrier == "memory"
    request = dataclasses.replace(
        job.request, transport=Transport(carrier), tls=False, network="none" if virtual else None
    )
    job = dataclasses.replace(job, request=request)
    session = dataclasses.replace(queries_of(job), drive=drive) if drive else queries_of(job)
    starts = {name: change.get(name, lambda s: s)(s) for name, s in start_all(job).items() if name not in absent}

    def wrap(name: str, network: Carrier) -> Carrier:
        return MeddlingCarrier(network, meddle[name]) if name in meddle else network

    async def main() -> Outcome:
        began = trio.current_time()
        try:
            with trio.fail_after(3600 if virtual else 30):
                async with in_process(starts, job, wrap) as crew:
                    return await conduct(crew, trio.current_time, quiet, job, session)
        finally:
            if clock is not None:
                clock.append(trio.current_time() - began)

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0) if virtual else None)


@pytest.fixture
def job_of() -> Callable[..., Job]:
    return build_job


@pytest.fixture
def ends() -> Callable[..., Ended]:
    return run_badly


@pytest.fixture
def runs() -> Callable[..., Outcome]:
    return run_well
