"""Worker processes: what ends well, what fails is named, and nothing is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from parties.failure import PartyFailed
from parties.process import Crew, spawn

TINY = (str(Path(__file__).with_name("tiny_worker.py")),)
LAUNCHER = Path(__file__).with_name("tiny_launcher.py")
ROOT = LAUNCHER.parent.parent.parent

pytestmark = pytest.mark.slow


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child whose parent was killed may wait to be reaped by init.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


async def ready(crew: Crew) -> dict[str, int]:
    """Wait until every worker has said hello: name -> process id."""
    pids: dict[str, int] = {}
    while len(pids) < len(crew.names):
        name, event = await crew.event()
        pids[name] = event["pid"]
    return pids


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    """No test may hang: the alarm ends it with an error."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("a test of processes hangs"))
    signal.alarm(60)
    yield
    signal.alarm(0)


async def test_workers_answer_and_end_well() -> None:
    async with spawn(("E1", "E2"), worker=TINY) as crew:
        pids = await ready(crew)
        assert pids == {name: crew.pid(name) for name in crew.names}
        body = {"big": b"x" * 300_000, "nested": [1, 2.5, None, {"deep": True}]}
        await crew.send("E1", {"do": "echo", "body": body})
        assert await crew.event() == ("E1", {"echo": body})
        for name in crew.names:
            await crew.send(name, {"do": "finish"})
        assert [event async for event in crew.events()] == []
        with pytest.raises(PartyFailed, match="every process has ended"):
            await crew.event()
        with pytest.raises(PartyFailed, match="E1: has ended and takes no more"):
            await crew.send("E1", {"do": "echo", "body": 1})
    assert not any(alive(pid) for pid in pids.values())


async def test_a_worker_has_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    async with spawn(("E1",), worker=TINY) as crew:
        assert (await crew.event())[1]["threads"] == "1"
        await crew.send("E1", {"do": "finish"})
    async with spawn(("E1",), worker=TINY, env={"OMP_NUM_THREADS": "2"}) as crew:
        assert (await crew.event())[1]["threads"] == "2"
        await crew.send("E1", {"do": "finish"})


async def test_what_a_worker_prints_is_no_control_message() -> None:
    heard: list[tuple[str, str]] = []
    async with spawn(("E1",), worker=TINY, on_stderr=lambda *line: heard.append(line)) as crew:
        await ready(crew)
        await crew.send("E1", {"do": "print"})
        assert await crew.event() == ("E1", {"printed": True})
        await crew.send("E1", {"do": "finish"})
    assert heard == [("E1", "printed"), ("E1", "on stderr")]
    assert crew.stderr("E1") == ("printed", "on stderr")


async def test_a_killed_worker_is_named_and_the_others_are_ended() -> None:
    with pytest.raises(PartyFailed) as failed:
        async with spawn(("E1", "E2", "HC"), worker=TINY) as crew:
            pids = await ready(crew)
            os.kill(pids["E2"], signal.SIGKILL)
            await crew.event()
    assert str(failed.value).startswith("E2: the process was killed by SIGKILL")
    assert (failed.value.party, failed.value.exit_code) == ("E2", 3)
    assert not any(alive(pid) for pid in pids.values())


async def test_a_dead_worker_leaves_its_exit_code_and_last_words() -> None:
    with pytest.raises(PartyFailed) as failed:
        async with spawn(("E1", "E2"), worker=TINY) as crew:
            await crew.send("E1", {"do": "die"})
            await trio.sleep_forever()
    assert str(failed.value) == "E1: the process ended with exit code 7; its last words: my last words"
    assert failed.value.exit_code == 70


@pytest.mark.parametrize(
    ("order", "code", "words"),
    [
        ("settings", 2, "E1: this does not work; nor does that"),
        ("lost", 3, "E1: E2 closed the link"),
        ("bug", 70, "E1: ZeroDivisionError: nothing foreseen"),
    ],
)
async def test_a_worker_that_fails_says_of_what(order: str, code: int, words: str) -> None:
    with pytest.raises(PartyFailed) as failed:
        async with spawn(("E1", "E2"), worker=TINY) as crew:
            await crew.send("E1", {"do": order})
            await trio.sleep_forever()
    assert (str(failed.value), failed.value.exit_code) == (words, code)


async def test_the_cause_is_told_from_its_echo() -> None:
    """E1 says that E2 is gone before the death of E2 is seen: E2 is the one to name."""
    with pytest.raises(PartyFailed, match="E2: the process was killed"):
        async with spawn(("E1", "E2"), worker=TINY) as crew:
            pids = await ready(crew)
            await crew.send("E1", {"do": "lost"})
            with trio.move_on_after(0.3):
                await crew.event()
            os.kill(pids["E2"], signal.SIGKILL)
            await trio.sleep_forever()


@pytest.mark.parametrize("order", ["compute", "block", "stop"])
async def test_a_worker_that_hangs_is_ended_with_the_block(order: str) -> None:
    """Whether it computes in a thread, holds up its event loop or is stopped altogether."""
    with trio.move_on_after(1.5) as limit:
        async with spawn(("E1", "E2"), worker=TINY) as crew:
            pids = await ready(crew)
            await crew.send("E1", {"do": order})
            await trio.sleep_forever()
    assert limit.cancelled_caught
    assert not any(alive(pid) for pid in pids.values())


async def test_a_failure_ends_workers_that_compute_for_ever() -> None:
    with pytest.raises(PartyFailed, match="E2: the process ended with exit code 7"):
        async with spawn(("E1", "E2"), worker=TINY) as crew:
            pids = await ready(crew)
            await crew.send("E1", {"do": "compute"})
            assert await crew.event() == ("E1", {"computing": True})
            await crew.send("E2", {"do": "die"})
            await trio.sleep_forever()
    assert not any(alive(pid) for pid in pids.values())


async def test_an_error_of_the_block_itself_comes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="ours"):
        async with spawn(("E1",), worker=TINY) as crew:
            pids = await ready(crew)
            raise ValueError("ours")
    assert not alive(pids["E1"])


@pytest.mark.parametrize(
    "script", ["print('hello, is this a log?')", "import os; os.write(1, b'\\0\\0\\0\\2\\xc1\\xc1')"]
)
async def test_garbage_on_standard_output_is_refused(script: str) -> None:
    with pytest.raises(PartyFailed, match=r"E1: (no control message starts with|a control message cannot be unpacked)"):
        async with spawn(
            ("E1",), worker=("-c", f"{script}; import time; time.sleep(60)"), env={"PYTHONUNBUFFERED": "1"}
        ):
            await trio.sleep_forever()


async def test_a_worker_that_does_not_start_shows_why() -> None:
    with pytest.raises(PartyFailed, match=r"No module named parties\.nothing"):
        async with spawn(("E1",), worker=("-m", "parties.nothing")):
            await trio.sleep_forever()


def launch() -> tuple[subprocess.Popen[str], list[int]]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    launcher = subprocess.Popen(
        [sys.executable, LAUNCHER], stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
    )
    assert launcher.stdout is not None
    return launcher, [int(pid) for pid in launcher.stdout.readline().split()]


async def wait_until_gone(pids: list[int]) -> None:
    with trio.fail_after(10):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - they are not our children: nothing to wait for
            await trio.sleep(0.02)


async def test_nothing_is_left_when_the_launcher_is_killed() -> None:
    launcher, pids = launch()
    with launcher:
        assert len(pids) == 3
        launcher.kill()
        launcher.wait()
        await wait_until_gone(pids)


async def test_ctrl_c_ends_everything_with_exit_code_130() -> None:
    """The terminal sends SIGINT to the launcher's whole process group."""
    launcher, pids = launch()
    with launcher:
        assert len(pids) == 3
        os.killpg(launcher.pid, signal.SIGINT)
        assert await trio.to_thread.run_sync(launcher.wait) == 130
        assert not any(alive(pid) for pid in pids)
