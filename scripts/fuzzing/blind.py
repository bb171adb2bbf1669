"""The engine for a Python that atheris does not know: seeds changed at random. It is NOT guided by coverage.

Inputs that take another path than all before, as far as the errors that they end with tell, join the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Sequence

from fuzzing.arguments import MEMORY, parse
from fuzzing.guard import Refusals, limit_process, try_input
from fuzzing.target import Target

_MOST_CHANGES = 4
_SAY_EVERY = 1000
_WORDS = (b"\xff" * 8, bytes(8), b"\x80\0\0\0", b"\x7f\xff\xff\xff", b"[[[[[[[[", b"NaN", b"Infinity", b"-1", b"1e999")


def main(arguments: argparse.Namespace) -> None:
    """Fuzz until the runs or the seconds are over, and say what libFuzzer would say."""
    from fuzzing.targets import TARGETS

    target, source = Refusals(TARGETS[arguments.target]).target, random.Random(arguments.seed)  # noqa: S311 - no secret depends on it
    pool = [path.read_bytes() for path in sorted(arguments.corpus.iterdir())] or [b""]
    limit_process(MEMORY)
    ends, found = set[str](), set[str]()
    began, runs = time.monotonic(), 0
    while runs < arguments.runs and time.monotonic() - began < arguments.seconds:
        data = pool[runs] if runs < len(pool) else mutate(source, pool, target.most_bytes)
        runs += 1
        finding = try_input(target, data)
        if finding is not None and finding.what not in found:
            found.add(finding.what)
            finding.save(arguments.findings)
        end = how_it_ends(target, data) if runs % 8 == 0 else ""
        if end and end not in ends:
            ends.add(end)
            pool.append(data)
            (arguments.corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)  # noqa: S324 - a name, as libFuzzer's
        if runs % _SAY_EVERY == 0:
            sys.stderr.write(f"#{runs} pulse cov: {len(ends)} ft: {len(ends)}\n")
    sys.stderr.write(f"#{runs} DONE cov: {len(ends)} ft: {len(ends)}\nstat::number_of_executed_units: {runs}\n")


def how_it_ends(target: Target, data: bytes) -> str:
    """Return the place where an input is refused: the best that can be known without coverage."""
    try:
        target.run(data)
    except target.documented as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        return f"{type(error).__name__}:{trace.tb_lineno if trace else 0}"
    except Exception as error:  # noqa: BLE001 - it was kept as a finding
        return type(error).__name__
    return "read"


def mutate(source: random.Random, pool: Sequence[bytes], most: int) -> bytes:
    """Return an input of the pool with a few changes."""
    data = bytearray(source.choice(pool))
    for _ in range(1 + source.randrange(_MOST_CHANGES)):
        at, kind = source.randrange(len(data) + 1), source.randrange(7)
        if kind == 0:
            data[at:at] = source.randbytes(1 + source.randrange(8))
        elif kind == 1:
            del data[at : at + 1 + source.randrange(16)]
        elif kind == 2:
            word = source.choice(_WORDS)
            data[at : at + len(word)] = word
        elif kind == 3:
            other = source.choice(pool)
            start = source.randrange(len(other) + 1)
            data[at:at] = other[start : start + source.randrange(64)]
        elif at < len(data):
            data[at] = source.randrange(256) if kind < 6 else data[at] ^ 1 << source.randrange(8)
    return bytes(data[:most])


if __name__ == "__main__":
    main(parse(__doc__))
