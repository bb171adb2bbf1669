"""`python -m parties.worker NAME`: one party as a process of its own, started and heard by the launcher."""

from __future__ import annotations

import time

from parties.links import carrier_of
from parties.perform import perform
from parties.start import Start
from parties.worker_io import Control, run


async def main(control: Control) -> None:
    """Be the party that the launcher's first message describes."""
    start = Start.from_wire(await control.receive())
    await perform(start, control, carrier_of(start), time.monotonic)


if __name__ == "__main__":
    run(main)
