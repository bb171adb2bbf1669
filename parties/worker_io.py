"""The worker's side of the control plumbing: what `python -m parties.worker NAME` runs in.

Standard input and output carry control messages and nothing else; whatever is printed goes to standard error, where
the launcher collects it. A thread of its own reads standard input, so a launcher that is gone, even killed, ends
this process at once, whatever it is computing.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

import trio

from parties.control import ControlError, Decoder, Kind, Message, encode
from parties.failure import EXIT_OUR_BUG, EXIT_PEER_LOST, distance, exit_code, first_cause, sentence
from pehealth.errors import PeerAborted

READ_BYTES = 2**16


class Control:
    """This worker's line to the launcher."""

    def __init__(
        self, name: str, out: trio.abc.SendStream, inbox: trio.MemoryReceiveChannel[Mapping[str, Any]]
    ) -> None:
        self.name = name
        self._out = out
        self._inbox = inbox
        self._lock = trio.Lock()
        self._where: Callable[[], str] = str
        self._reported = False

    def locate(self, where: Callable[[], str]) -> None:
        """Take what says where this party is: the launcher is told when it ends."""
        self._where = where

    async def send(self, event: Mapping[str, Any]) -> None:
        """Send a message: what msgpack knows, at most `parties.control.MOST_BYTES`."""
        await self._send(Message(Kind.MESSAGE, event))

    async def receive(self) -> Mapping[str, Any]:
        """Wait for the launcher's next message. A launcher that is gone ends the process instead."""
        return await self._inbox.receive()

    async def _send(self, message: Message) -> None:
        async with self._lock:
            await self._out.send_all(encode(message))

    async def report(self, error: BaseException) -> None:
        """Tell the launcher what this worker failed of, once."""
        if self._reported:
            return
        self._reported = True
        fields = {
            "error": type(error).__name__,
            "message": sentence(error),
            "exit_code": exit_code(error),
            "distance": distance(error),
            "at": self._where(),
        }
        with trio.CancelScope(shield=True), trio.move_on_after(1.0):
            await self._send(Message(Kind.FAILED, fields))


Main = Callable[[Control], Awaitable[None]]


def run(main: Main) -> NoReturn:
    """Run `main` as a worker and end the process: with 0 when it returns, else with the code of what it raised.

    An abort from the launcher (another party failed) cancels `main` and counts as `PeerAborted`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's to handle
    read_fd, write_fd = _take_standard_streams()
    code = trio.run(_worker, main, sys.argv[1] if len(sys.argv) > 1 else "worker", read_fd, write_fd)
    sys.stderr.flush()
    # A compute thread may still be under way; the interpreter's own exit would wait for it.
    os._exit(code)


def _take_standard_streams() -> tuple[int, int]:
    """Keep stdin and stdout for control alone: what else reads finds the end, what else prints goes to stderr."""
    read_fd, write_fd = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return read_fd, write_fd


async def _worker(main: Main, name: str, read_fd: int, write_fd: int) -> int:
    """Run `main` beside the watchdog; returns the exit code."""
    to_main, inbox = trio.open_memory_channel[Mapping[str, Any]](math.inf)  # filled by our own launcher alone
    aborts, abort = trio.open_memory_channel[Mapping[str, Any]](math.inf)

    def arrived(message: Message) -> None:
        (aborts if message.kind is Kind.ABORT else to_main).send_nowait(message.body)

    token = trio.lowlevel.current_trio_token()
    threading.Thread(target=_watch, args=(read_fd, token, arrived), name="watchdog", daemon=True).start()
    control = Control(name, trio.lowlevel.FdStream(write_fd), inbox)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey_abort, control, abort)
            await main(control)
            nursery.cancel_scope.cancel()
    except BaseException as group:  # noqa: BLE001 - the process ends here and must say of what
        error = first_cause(group)
        if exit_code(error) == EXIT_OUR_BUG:
            traceback.print_exception(group)
        await control.report(error)
        return exit_code(error)
    return 0


async def _obey_abort(control: Control, abort: trio.MemoryReceiveChannel[Mapping[str, Any]]) -> None:
    """Raise when the launcher says that another party failed; this cancels what this one does.

    Where this one was is said first: what it does may take a while to end.
    """
    fields = await abort.receive()
    error = PeerAborted(str(fields.get("origin")), str(fields.get("reason")))
    await control.report(error)
    raise error


def _watch(read_fd: int, token: trio.lowlevel.TrioToken, arrived: Callable[[Message], None]) -> None:
    """Hand on what the launcher sends; end the process when the launcher is gone."""
    decoder = Decoder()
    while data := os.read(read_fd, READ_BYTES):
        try:
            for message in decoder.feed(data):
                token.run_sync_soon(arrived, message)
        except (ControlError, trio.RunFinishedError) as error:
            print(f"the launcher's messages cannot be taken: {error}", file=sys.stderr, flush=True)  # noqa: T201
            break
    os._exit(EXIT_PEER_LOST)
