"""The coverage-guided engine: one chunk of one target with atheris, in a process of its own.

    python -m fuzzing.guided TARGET --runs N --seconds S --corpus FOLDER --findings FOLDER --seed N

A finding is written down and fuzzing goes on; libFuzzer itself stops only at an input that hangs or kills the process.
What libFuzzer says on standard error has the figures: `fuzzing.chunks` reads it.
"""

from __future__ import annotations

import argparse
import sys

import atheris

from fuzzing.arguments import MEMORY, parse

HANG_SECONDS = 20
"""Of real time, after which libFuzzer ends the process and keeps the input."""
_PACKAGES = ["pehealth", "transport", "parties", "tomllib", "zipfile"]


def main(arguments: argparse.Namespace) -> None:
    """Fuzz until the runs or the seconds are over. Does not return: libFuzzer ends the process."""
    with atheris.instrument_imports(include=_PACKAGES):
        from fuzzing.targets import TARGETS
    from fuzzing.guard import Refusals, limit_process, try_input

    target = Refusals(TARGETS[arguments.target]).target
    found: set[str] = set()

    def one(data: bytes) -> None:
        finding = try_input(target, data)
        if finding is not None and finding.what not in found:
            found.add(finding.what)
            finding.save(arguments.findings)

    limit_process(MEMORY)
    atheris.Setup([sys.argv[0], *libfuzzer_flags(arguments, target.most_bytes)], one)
    atheris.Fuzz()


def libfuzzer_flags(arguments: argparse.Namespace, most_bytes: int) -> list[str]:
    """Return what libFuzzer is told."""
    return [
        str(arguments.corpus),
        f"-runs={arguments.runs}",
        f"-max_total_time={arguments.seconds}",
        f"-max_len={most_bytes}",
        f"-timeout={HANG_SECONDS}",
        f"-artifact_prefix={arguments.findings}/",
        f"-seed={arguments.seed}",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]


if __name__ == "__main__":
    main(parse(__doc__))
