"""A party killed at any step: a clear error with exit code 3, no index used twice, and the next run works."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doom import Doom, KilledError, install

from parties import custody, launch
from parties.actor import Actor
from parties.assemble import assemble
from parties.failure import exit_code, first_cause
from parties.launch import perform_job
from parties.process import spawn
from parties.progress import silent
from parties.request import RunRequest, Transport
from parties.resolve import Job, resolve
from pehealth.config import Engine
from pehealth.crypto.prg import Prg
from pehealth.errors import PehealthError
from pehealth.nets.describe import Dense, Network, Relu
from pehealth.nets.weights import Model, save
from pehealth.nets.zoo import load_model
from pehealth.store.audit import problems, read_marks
from pehealth.store.leases import LeaseBook
from pehealth.store.shelf import Happened

PARTIES = ("E1", "E2", "HC", "DEALER")
DOOMED = str(Path(__file__).parent / "doomed_worker.py")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Three queries of a tiny network, resolved once."""
    clinic = load_model("clinic")
    network = Network("tiny", (30,), (Dense(3), Relu(), Dense(2)), clinic.network.classes)
    rng = Prg.insecure_seed(2)
    weights = tuple(rng.ring(shape, 20).astype(float) / 2**20 - 0.5 for shape in ((3, 30), (2, 3)))
    biases = tuple(rng.ring(size, 20).astype(float) / 2**20 for size in (3, 2))
    path = tmp_path_factory.mktemp("model") / "tiny.npz"
    save(Model(network, weights, biases, clinic.ranges, "clinic"), path)
    return resolve(RunRequest(net=str(path), engine=Engine.DEALT, samples=3, dealer=True))


def session(job: Job, state: Path) -> None:
    """Run the job on what is there, and check its results."""
    job = dataclasses.replace(job, request=dataclasses.replace(job.request, state=state))
    result = assemble(job, perform_job(job, silent), "run")
    for s in result.samples:
        assert max(abs(a - b) for a, b in zip(s.logits_int, s.ideal_int, strict=True)) <= result.error_bound


def audit(state: Path) -> int:
    """Prove that no index served twice; return how many served."""
    one, two = (read_marks(state / server / "material.db") for server in ("E1", "E2"))
    assert problems(one, two) == ()
    return len(one.of(Happened.USED) | two.of(Happened.USED))


@pytest.fixture
def doomed(monkeypatch: pytest.MonkeyPatch) -> Iterator[functools.partial[Doom]]:
    """Make a party die in this process: from then on its files are dropped, not closed."""

    def prepare(party: str, moment: str, nth: int) -> Doom:
        def kill() -> None:
            raise KilledError(f"{party} at {moment} {nth}")

        doom = Doom(party, moment, nth, kill)
        monkeypatch.setattr(Actor, "__post_init__", install(doom))
        monkeypatch.setattr(custody, "_quietly", functools.partial(drop_or_close, doom))
        return doom

    close = custody._quietly

    def drop_or_close(doom: Doom, kept: object) -> None:
        owner = "HC" if isinstance(kept, LeaseBook) else str(kept.party)
        if not (doom.dead and owner == doom.party):
            close(kept)
            return
        database = kept._shelf.database if hasattr(kept, "_shelf") else kept._database
        database.abandon()

    yield prepare
    monkeypatch.undo()


@pytest.fixture(scope="module")
def moments(job: Job, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How many moments each party has in the first run of all, which deploys, deals and answers three queries."""
    with pytest.MonkeyPatch.context() as patch:
        dooms = [Doom(party, "", 0, lambda: None) for party in PARTIES]
        for doom in dooms:
            patch.setattr(Actor, "__post_init__", install(doom))
        session(job, tmp_path_factory.mktemp("whole"))
    return {doom.party: len(doom.seen) for doom in dooms}


@pytest.mark.parametrize("stride", [17, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("party", PARTIES)
def test_killed_at_any_moment_of_the_first_run_the_next_works(
    job, moments, party, stride, doomed, state_path, monkeypatch
):
    """Moments at a stride, and the last; each on a directory of its own. A stride of 1 has been run, too."""
    total = moments[party]
    assert total > 12
    for nth in sorted({*range(stride // 2, total, stride), total}):
        doomed(party, "any", nth)
        with pytest.raises(ExceptionGroup) as caught:
            session(job, state_path / str(nth))
        assert isinstance(first_cause(caught.value), KilledError)
        monkeypatch.undo()
        session(job, state_path / str(nth))
        audit(state_path / str(nth))


@pytest.mark.parametrize("party", ["E1", "E2"])
def test_killed_again_and_again_on_one_directory_nothing_is_used_twice(job, party, doomed, state_path, monkeypatch):
    """Six lives, each ended a few moments later than the one before."""
    session(job, state_path)
    for life in range(6):
        doomed(party, "any", 4 + 9 * life)
        with pytest.raises(ExceptionGroup):
            session(job, state_path)
        monkeypatch.undo()
        audit(state_path)
    session(job, state_path)
    assert audit(state_path) >= 6


# ---- real processes, SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    "doom",
    [
        "E1:taken setup 1:1",
        "E2:before commit:1",
        "DEALER:sent offline 0:3",
        "HC:after lease:1",
        "E1:after reserve:1",
        "E2:before load_query:2",
        "E1:taken online 2:2",
        "E1:sent online 4:1",
        "HC:taken online 4:1",
    ],
)
def test_a_process_that_is_killed_is_named_and_the_next_run_works(job, doom, state_path, monkeypatch):
    party = doom.split(":")[0]
    processes = dataclasses.replace(job.request, transport=Transport.PROCESSES)
    job = dataclasses.replace(job, request=processes)
    monkeypatch.setattr(launch, "spawn", functools.partial(spawn, worker=(DOOMED,), env={"PEHEALTH_TEST_DOOM": doom}))
    with pytest.raises((PehealthError, ExceptionGroup)) as caught:
        session(job, state_path)
    cause = first_cause(caught.value)
    assert exit_code(cause) == 3
    assert f"{party}: the process was killed by SIGKILL" in str(cause)
    monkeypatch.undo()
    session(job, state_path)
    audit(state_path)
