"""Fuzz the readers of bytes that others have made: frames, handshake, codec, files, settings.

    scripts/fuzz [--target T[,T...]|all] [--runs N] [--seconds S] [--jobs J] [--cache FOLDER] [--engine guided|blind]

Each target runs until it has had N executions in this call, or S seconds. Corpus, findings and counts are kept in the
cache folder, so that the next call goes on from there. Exit code 1 if there is a finding: its input and traceback are
in the target's folder, and `--show FILE --target T` runs one input again.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzzing.chunks import Fuzzing, has_atheris
from fuzzing.guard import try_input
from fuzzing.target import Target
from fuzzing.targets import TARGETS

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pehealth-fuzz"
_COLUMNS = "{:<12} {:>12} {:>12} {:>12} {:>9} {:>9} {:>9}"


def main() -> int:
    """Return 0 without a finding, 1 with one, 2 when told something that makes no sense."""
    arguments = parse()
    try:
        targets = chosen(arguments.target)
    except KeyError as error:
        print(f"no target {error}: expected all, or some of {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    if arguments.show is not None:
        return show(targets[0], arguments.show.read_bytes())
    engine = arguments.engine or ("guided" if has_atheris() else "blind")
    if engine == "blind":
        print("engine: blind. Inputs are changed at random and NOT guided by coverage: atheris is not there")
    every = [Fuzzing(target, arguments.cache, engine) for target in targets]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        calls = [pool.submit(fuzz, each, arguments.runs, arguments.seconds) for each in every]
    runs = [call.result() for call in calls]
    return report(every, runs)


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="all", help=f"all, or some of {', '.join(TARGETS)}")
    parser.add_argument("--runs", type=int, default=100_000, help="executions of each target in this call")
    parser.add_argument("--seconds", type=float, default=3600.0, help="longest time of each target in this call")
    parser.add_argument("--jobs", type=int, default=1, help="targets at the same time")
    parser.add_argument("--cache", type=Path, default=_CACHE, help="where corpus, findings and counts are kept")
    parser.add_argument("--engine", choices=("guided", "blind"), default=None)
    parser.add_argument("--show", type=Path, default=None, help="run the input in this file once")
    return parser.parse_args()


def chosen(names: str) -> list[Target]:
    """Return the targets of these names. Raises KeyError."""
    return list(TARGETS.values()) if names == "all" else [TARGETS[name] for name in names.split(",")]


_SAYING = threading.Lock()


def fuzz(each: Fuzzing, runs: int, seconds: float) -> int:
    """Fuzz one target; say how it goes after each chunk. Return the executions of this call."""
    before = each.progress.executions
    for progress in each.run(runs, seconds):
        with _SAYING:
            print(
                f"{each.target.name}: {progress.executions - before} of {runs}, coverage {progress.coverage}",
                flush=True,
            )
    each.recheck()
    return each.progress.executions - before


def report(every: list[Fuzzing], runs: list[int]) -> int:
    """Print a line for each target; return the exit code."""
    print(_COLUMNS.format("target", "this call", "in all", "refused", "coverage", "a second", "findings"))
    found = 0
    for each, now in zip(every, runs, strict=True):
        p = each.progress
        found += len(p.findings)
        print(
            _COLUMNS.format(each.target.name, now, p.executions, p.refused, p.coverage, round(p.rate), len(p.findings))
        )
        for name in p.findings:
            told = (each.findings / name).with_suffix(".txt").read_text().splitlines()
            print(f"    {each.findings / name}: {told[0]}")
    return 1 if found else 0


def show(target: Target, data: bytes) -> int:
    """Run one input and print what comes of it."""
    finding = try_input(target, data, traced=True)
    print(f"{target.name}, {len(data)} bytes: {finding.what if finding else 'as documented'}")
    if finding is not None:
        print(finding.told)
        return 1
    try:
        target.run(data)
    except target.documented:
        traceback.print_exc(limit=-1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
