"""One party of a run inside its namespace: the project's own worker, called at the namespace's address.

`parties.process.spawn` starts it in the place of `parties.worker`, with `PEHEALTH_TESTBED` in the environment: a JSON
object with `enter` (party -> the command that enters its namespace), `listen` (party -> address) and `folder` (where
each party leaves what its meter counted to the very end).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transport.meter import MeterReport

VARIABLE = "PEHEALTH_TESTBED"
ENTERED = "PEHEALTH_TESTBED_ENTERED"


def main() -> None:
    """Enter the namespace, then be the party."""
    told = json.loads(os.environ[VARIABLE])
    name = sys.argv[1]
    if ENTERED not in os.environ:
        command = [*told["enter"][name], sys.executable, "-P", *sys.argv]
        os.execvpe(command[0], command, {**os.environ, ENTERED: "1"})  # noqa: S606 - the same program, elsewhere

    # The first of the two processes goes without these.
    from parties.perform import perform
    from parties.start import Start
    from parties.worker_io import Control, run
    from transport.meter import Meter
    from transport.tcp import Tcp

    async def be_party(control: Control) -> None:
        meter = Meter(name)
        start = Start.from_wire(await control.receive())
        try:
            await perform(start, control, Tcp(), time.monotonic, listen=told["listen"][name], meter=meter)
        finally:
            leave(Path(told["folder"], f"{name}.json"), meter.report())

    run(be_party)


def leave(file: Path, report: MeterReport) -> None:
    """Write what was counted to a file."""
    file.write_text(json.dumps(report.to_wire()))


if __name__ == "__main__":
    main()
