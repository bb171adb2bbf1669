"""What keeps worker processes in order: hears them, finds out who failed first, and lets none outlive the run.

`parties.process` is the part that others use.
"""

from __future__ import annotations

import math
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from parties.control import ControlError, Decoder, Kind, Message, encode
from parties.failure import EXIT_OUR_BUG, EXIT_PEER_LOST, OWN, SETTLE_SECONDS, PartyFailed

GRACE_SECONDS = 3.0
"""How long workers may take to end by themselves."""

KILL_SECONDS = 1.0
"""How long they may take once their standard input is closed."""

KEPT_LINES = 30
KEPT_CHARACTERS = 500
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)

Event = tuple[str, Mapping[str, Any]]
Listener = Callable[[str, str], None]


@dataclass
class Worker:
    """One process and what is known of it."""

    name: str
    process: trio.Process
    lock: trio.Lock = field(default_factory=trio.Lock)
    ended: trio.Event = field(default_factory=trio.Event)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    @classmethod
    async def start(cls, name: str, command: Sequence[str], env: Mapping[str, str]) -> Worker:
        """Start the process, in a process group of its own so that Ctrl-C does not reach it."""
        pipe = subprocess.PIPE
        return cls(
            name,
            await trio.lowlevel.open_process(
                [*command, name], stdin=pipe, stdout=pipe, stderr=pipe, env=env, process_group=0
            ),
        )

    async def send(self, message: Message) -> None:
        """Send one message. Raises `GONE` when nobody is left to take it."""
        async with self.lock:
            assert self.process.stdin is not None  # noqa: S101 - opened with a pipe
            await self.process.stdin.send_all(encode(message))

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the worker sends, until it closes its standard output."""
        assert self.process.stdout is not None  # noqa: S101 - opened with a pipe
        decoder = Decoder()
        async for chunk in self.process.stdout:
            for message in decoder.feed(chunk):
                yield message

    async def collect_stderr(self, listener: Listener | None) -> None:
        """Keep the last lines of standard error, each cut to `KEPT_CHARACTERS`, and tell the listener."""
        assert self.process.stderr is not None  # noqa: S101 - opened with a pipe
        rest = b""
        async for chunk in self.process.stderr:
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[:KEPT_CHARACTERS]
            for line in lines:
                self._heard(line, listener)
        if rest:
            self._heard(rest, listener)

    def _heard(self, line: bytes, listener: Listener | None) -> None:
        text = line[:KEPT_CHARACTERS].decode(errors="replace").rstrip()
        self.lines.append(text)
        if listener is not None:
            listener(self.name, text)

    def death(self) -> PartyFailed:
        """Say how the process ended, and its last words."""
        code = self.process.returncode or 0
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}, by somebody or by the system (out of memory?)"
        words = " | ".join(line.strip() for line in list(self.lines)[-3:])
        reason = f"the process {how}" + (f"; its last words: {words}" if words else "")
        return PartyFailed(self.name, reason, exit_code=EXIT_PEER_LOST if code < 0 else EXIT_OUR_BUG, killed=code < 0)


class Supervisor:
    """All workers of a run, and the block of code that uses them (`body`)."""

    def __init__(self, names: tuple[str, ...], listener: Listener | None) -> None:
        self.names = names
        self.workers: dict[str, Worker] = {}
        self.failures: list[PartyFailed] = []
        self.body = trio.CancelScope()
        self.to_body, self.events = trio.open_memory_channel[Event](math.inf)  # from our own workers
        self._listener = listener
        self._trouble, self._cause_known = trio.Event(), trio.Event()
        self._closing = False

    @property
    def cause(self) -> PartyFailed:
        """The failure that the others follow from; a process that was killed is nobody's consequence."""
        return min(self.failures, key=lambda failure: 0 if failure.killed else failure.distance)

    def verdict(self) -> PartyFailed:
        """Return the cause; of a party that could not say where it was, with where the others were."""
        cause = self.cause
        places: dict[str, list[str]] = {}
        for name in self.names:
            for failure in self.failures:
                if failure.party == name != cause.party and failure.at:
                    places.setdefault(failure.at, []).append(name)
        if cause.at or not places:
            return cause
        others = [f"{_listed(who)} {'was' if len(who) == 1 else 'were'} {at}" for at, who in places.items()]
        return PartyFailed(cause.party, f"{cause.reason}; {', '.join(others)}", exit_code=cause.exit_code)

    async def start(self, nursery: trio.Nursery, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start every worker and listen to it."""
        nursery.start_soon(self._stop_on_trouble)
        for name in self.names:
            self.workers[name] = worker = await Worker.start(name, command, env)
            nursery.start_soon(self._tend, worker)

    async def _tend(self, worker: Worker) -> None:
        """Hear one worker out, then see how it ended; whoever else is cancelled, this goes on to the end."""
        reported = False
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.shield = True
            nursery.start_soon(worker.collect_stderr, self._listener)
            try:
                async for message in worker.messages():
                    if message.kind is Kind.FAILED:
                        reported = True
                        self._fail(_failure(worker.name, message.body))
                    else:
                        self.to_body.send_nowait((worker.name, message.body))
            except ControlError as error:
                reported = True
                self._fail(PartyFailed(worker.name, str(error)))
                worker.process.kill()
            code = await worker.process.wait()
            nursery.cancel_scope.deadline = trio.current_time() + KILL_SECONDS  # a grandchild may hold stderr open
        if code != 0 and not reported:
            self._fail(worker.death())
        worker.ended.set()
        if len(self.workers) == len(self.names) and not self._living():
            self.to_body.close()

    def _fail(self, failure: PartyFailed) -> None:
        if self._closing:
            return  # we ended it
        self.failures.append(failure)
        self._trouble.set()
        if failure.distance <= OWN:
            self._cause_known.set()

    async def _stop_on_trouble(self) -> None:
        """When one fails: find the cause, tell the others, leave the body."""
        await self._trouble.wait()
        with trio.move_on_after(SETTLE_SECONDS):
            await self._cause_known.wait()
        cause = self.cause
        abort = Message(Kind.ABORT, {"origin": cause.party, "reason": cause.reason[:KEPT_CHARACTERS]})
        for worker in self._living():
            with trio.move_on_after(KILL_SECONDS):
                try:
                    await worker.send(abort)
                except GONE:
                    continue  # it has just ended too
        self.body.cancel()

    def _living(self) -> list[Worker]:
        return [w for w in self.workers.values() if not w.ended.is_set()]

    async def _all_end_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds) as limit:
            for worker in self._living():
                await worker.ended.wait()
        return not limit.cancelled_caught

    async def stop(self, grace: float) -> None:
        """Let workers end by themselves for `grace` seconds; then close their input; then kill."""
        if await self._all_end_within(grace):
            return
        self._closing = True
        for worker in self._living():
            assert worker.process.stdin is not None  # noqa: S101 - opened with a pipe
            await worker.process.stdin.aclose()
        if await self._all_end_within(KILL_SECONDS):
            return
        for worker in self._living():
            worker.process.kill()
        await self._all_end_within(math.inf)


def _listed(names: Sequence[str]) -> str:
    """Return "E1, E2 and HC"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _failure(name: str, fields: Mapping[str, Any]) -> PartyFailed:
    """Return what a worker said that it failed of."""
    reason = str(fields.get("message", "failed without a word")).removeprefix(f"{name}: ")
    code, far, at = fields.get("exit_code"), fields.get("distance"), str(fields.get("at", ""))
    return PartyFailed(
        name,
        reason,
        exit_code=code if isinstance(code, int) else EXIT_OUR_BUG,
        distance=far if isinstance(far, int) else OWN,
        at=at,
    )
