"""The real command line, whose parties are another worker script: `cli_with_worker.py WORKER run ...`."""

from __future__ import annotations

import functools
import sys

from parties import cli, launch
from parties.process import spawn

if __name__ == "__main__":
    launch.spawn = functools.partial(spawn, worker=(sys.argv[1],))
    sys.exit(cli.main(sys.argv[2:]))
