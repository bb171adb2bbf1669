"""Starts three tiny workers that compute for ever, writes their process ids, and waits: to be killed or interrupted."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from parties.failure import exit_code, first_cause
from parties.process import spawn

TINY = (str(Path(__file__).with_name("tiny_worker.py")),)


async def main() -> None:
    async with spawn(("E1", "E2", "HC"), worker=TINY) as crew:
        for name in crew.names:
            await crew.send(name, {"do": "compute"})
        computing = 0
        async for _name, event in crew.events():
            computing += "computing" in event
            if computing == 3:
                print(*(crew.pid(n) for n in crew.names), flush=True)
                computing = 0


if __name__ == "__main__":
    try:
        trio.run(main)
    except BaseException as error:  # noqa: BLE001
        sys.exit(exit_code(first_cause(error)))
