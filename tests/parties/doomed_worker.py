"""A party as a process that kills itself, by SIGKILL, at the moment that PEHEALTH_TEST_DOOM names."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from doom import Doom, install

from parties.actor import Actor
from parties.worker import main
from parties.worker_io import run

if __name__ == "__main__":
    party, moment, nth = os.environ["PEHEALTH_TEST_DOOM"].split(":")
    if sys.argv[1] == party:
        Actor.__post_init__ = install(Doom(party, moment, int(nth), lambda: os.kill(os.getpid(), signal.SIGKILL)))
    run(main)
