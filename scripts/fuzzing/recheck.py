"""Run corpus and findings of one target once more, with memory measured exactly, and make findings short.

    python -m fuzzing.recheck TARGET --corpus FOLDER --findings FOLDER --runs 0 --seconds 0 --seed 0

A finding that has been mended is forgotten.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from fuzzing.arguments import MEMORY, parse
from fuzzing.guard import limit_process, try_input
from fuzzing.minimise import minimise
from fuzzing.targets import TARGETS


def main(arguments: argparse.Namespace) -> None:
    """Run each input; keep what is wrong."""
    target = TARGETS[arguments.target]
    for seed in target.seeds():
        # What is made once for all inputs is not charged to the first.
        try_input(target, seed)
    limit_process(MEMORY)
    known = list(arguments.findings.glob("*.bin"))
    inputs = [path.read_bytes() for path in [*known, *arguments.corpus.iterdir()]]
    for path in known:
        path.unlink()
        path.with_suffix(".txt").unlink(missing_ok=True)
    found: set[str] = set()
    for data in inputs:
        finding = try_input(target, data, traced=True)
        if finding is not None and finding.what not in found:
            found.add(finding.what)
            replace(finding, data=minimise(target, finding, traced=True)).save(arguments.findings)


if __name__ == "__main__":
    main(parse(__doc__))
