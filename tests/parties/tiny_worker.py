"""A worker that does what it is told, for the tests of the crew."""

from __future__ import annotations

import os
import signal
import sys
import time

import trio

from parties import worker_io
from pehealth.errors import ConfigError
from transport.errors import PeerLost


def compute_for_ever() -> None:
    while True:
        sum(range(10_000))


async def main(control: worker_io.Control) -> None:
    await control.send({"ready": control.name, "pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]})
    while True:
        order = await control.receive()
        match order["do"]:
            case "finish":
                return
            case "echo":
                await control.send({"echo": order["body"]})
            case "print":
                print("printed", flush=True)
                print("on stderr", file=sys.stderr, flush=True)
                await control.send({"printed": True})
            case "die":
                print("my last words", file=sys.stderr, flush=True)
                os._exit(7)
            case "bug":
                raise ZeroDivisionError("nothing foreseen")
            case "settings":
                raise ConfigError("this does not work", "nor does that")
            case "lost":
                raise PeerLost("E2 closed the link")
            case "compute":
                await control.send({"computing": True})
                await trio.to_thread.run_sync(compute_for_ever)
            case "block":  # the event loop itself is held up
                await control.send({"blocking": True})
                time.sleep(3600)  # noqa: ASYNC251 - on purpose
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    worker_io.run(main)
