"""A crew of worker processes, one a party: started, told what to do, heard, and never left behind.

    async with spawn(("E1", "E2", "HC", "HMS1")) as crew:
        await crew.send("E1", {"op": "setup"})
        async for name, event in crew.events():
            ...

The rules: a worker that dies or fails stops the whole crew, and the block raises one `PartyFailed` that names the
party which failed first, how it ended and its last words. When the block is left, whatever the reason, no worker
outlives it by more than a few seconds. When this process is killed, each worker sees its standard input end and
goes at once. Ctrl-C reaches this process alone, which then ends the workers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

import parties
from parties.control import Kind, Message
from parties.failure import PartyFailed
from parties.supervisor import GONE, GRACE_SECONDS, Event, Listener, Supervisor
from parties.threads import ONE_THREAD

WORKER = ("-m", "parties.worker")


class Crew:
    """The workers of a run. Made by `spawn`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.names = supervisor.names
        self._supervisor = supervisor

    async def send(self, name: str, command: Mapping[str, Any]) -> None:
        """Send a message to one worker.

        Raises:
            PartyFailed: the worker has ended.
        """
        worker = self._supervisor.workers[name]
        try:
            await worker.send(Message(Kind.MESSAGE, command))
        except GONE:
            await worker.ended.wait()
            if self._supervisor.failures:
                await trio.sleep_forever()  # the block is about to be cancelled, with the cause
            raise PartyFailed(name, "has ended and takes no more messages") from None

    async def event(self) -> Event:
        """Wait for the next message of any worker: (name, message).

        Raises:
            PartyFailed: every worker has ended.
        """
        try:
            return await self._supervisor.events.receive()
        except trio.EndOfChannel:
            raise PartyFailed(", ".join(self.names), "every process has ended; nothing more will come") from None

    async def events(self) -> AsyncIterator[Event]:
        """Yield (name, message) until every worker has ended."""
        async for event in self._supervisor.events:
            yield event

    def pid(self, name: str) -> int:
        """Return a worker's process id."""
        return self._supervisor.workers[name].process.pid

    def stderr(self, name: str) -> tuple[str, ...]:
        """Return the last lines that a worker wrote to standard error."""
        return tuple(self._supervisor.workers[name].lines)


@asynccontextmanager
async def spawn(
    names: Sequence[str],
    *,
    worker: Sequence[str] = WORKER,
    env: Mapping[str, str] | None = None,
    on_stderr: Listener | None = None,
) -> AsyncIterator[Crew]:
    """Start a worker process for each name; leave no worker behind.

    Args:
        names: the parties; each process gets its own as last argument.
        worker: arguments of the Python interpreter that start a worker.
        env: environment variables to set besides ours and `ONE_THREAD`.
        on_stderr: is told the party and each line that its worker writes to standard error.

    Raises:
        PartyFailed: a worker died, failed or wrote what is no control message; the one that failed first.
    """
    supervisor = Supervisor(tuple(names), on_stderr)
    error: Exception | None = None
    grace = 0.0
    async with trio.open_nursery() as nursery:
        try:
            await supervisor.start(nursery, (sys.executable, "-P", *worker), _environment(env))
            with supervisor.body:
                try:
                    yield Crew(supervisor)
                except Exception as raised:  # noqa: BLE001 - raised again below, outside the nursery
                    error = raised
            grace = GRACE_SECONDS if error is None or supervisor.failures else 0.0
        finally:
            with trio.CancelScope(shield=True):
                await supervisor.stop(grace)
            nursery.cancel_scope.cancel()
    if supervisor.failures:
        raise supervisor.verdict() from error
    if error is not None:
        raise error


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return a worker's environment: ours, one thread for numpy unless we were told another number."""
    env = {**ONE_THREAD, **os.environ, **(extra or {})}
    home = Path(parties.__file__).parent.parent
    if home.name != "site-packages":  # run from a source tree
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(home), env.get("PYTHONPATH"))))
    return env
