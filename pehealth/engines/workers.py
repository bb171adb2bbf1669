"""Plain functions run on many tasks: here, or in processes of their own that are started once and kept.

A worker process waits on a pipe whose other end this process alone holds, so it ends when this process does, however
that happens. What crosses the pipe never left this machine: our own functions and arrays.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self, TypeVar

from pehealth.errors import PehealthError

T = TypeVar("T")
R = TypeVar("R")

Tell = Callable[[int, int], None]
"""Called with how many tasks are done, and of how many. What it raises ends the work."""

LOOK_SECONDS = 0.1
"""How often `Tell` is called while processes compute, so that an abort is heard."""


class Workers:
    """Runs tasks in `count` processes; in this one, if it is 1. Give it back with `close`, or use it as a context."""

    def __init__(self, count: int = 1) -> None:
        if count < 1:
            raise ValueError(f"at least one worker is needed, not {count}")
        self.count = count
        self._crew: list[tuple[BaseProcess, Connection]] = []

    def __repr__(self) -> str:
        return f"<Workers {self.count}{', started' if self._crew else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map(self, function: Callable[[T], R], tasks: Sequence[T], tell: Tell) -> list[R]:
        """Return function(task) for each task, in order.

        `function` must be importable by name if `count` > 1.

        Raises:
            Exception: whatever a task or `tell` raised; what was under way is thrown away.
        """
        if self.count == 1:
            return _here(function, tasks, tell)
        self._start()
        try:
            return self._share_out(function, tasks, tell)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes, whatever they do; a later `map` starts new ones."""
        for process, pipe in self._crew:
            pipe.close()
            process.terminate()
        for process, _ in self._crew:
            process.join()
        self._crew.clear()

    def _start(self) -> None:
        if self._crew:
            return
        context = multiprocessing.get_context("spawn")
        for _ in range(self.count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._crew.append((process, ours))

    def _share_out(self, function: Callable[[T], R], tasks: Sequence[T], tell: Tell) -> list[R]:
        """Keep every process busy with one task at a time until all are done."""
        out: list[Any] = [None] * len(tasks)
        waiting = iter(enumerate(tasks))
        under_way: dict[Connection, int] = {}
        idle = [pipe for _, pipe in self._crew]
        done = 0
        while done < len(tasks):
            while idle and (job := next(waiting, None)) is not None:
                pipe = idle.pop()
                under_way[pipe], task = job
                pipe.send((function, task))
            for ready in wait(list(under_way), LOOK_SECONDS):
                pipe = next(p for p in under_way if p is ready)
                out[under_way.pop(pipe)] = _received(pipe)
                idle.append(pipe)
                done += 1
            tell(done, len(tasks))
        return out


def _here(function: Callable[[T], R], tasks: Sequence[T], tell: Tell) -> list[R]:
    out = []
    for task in tasks:
        out.append(function(task))
        tell(len(out), len(tasks))
    return out


def _received(pipe: Connection) -> Any:  # noqa: ANN401 - whatever the task returned
    try:
        result, error = pipe.recv()
    except EOFError:
        raise PehealthError("a worker process ended in the middle of a task: out of memory, or killed") from None
    if error is not None:
        raise error
    return result


def _serve(pipe: Connection) -> None:
    """Be a worker process: tasks in, results out, until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's to handle
    while True:
        try:
            function, task = pipe.recv()
            pipe.send(_attempt(function, task))
        except (EOFError, BrokenPipeError):
            return


def _attempt(function: Callable[[Any], Any], task: object) -> tuple[Any, Exception | None]:
    try:
        return function(task), None
    except Exception as error:  # noqa: BLE001 - raised again where the task came from
        return None, error
