"""Prove from both servers' stores that no index served twice: `python scripts/audit_stores.py DIR` of `--state DIR`.

Ends with 0 if all is well, with 1 if anything is found. Nothing may have the stores open.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pehealth.store.audit import problems, read_marks
from pehealth.store.shelf import Happened


def main(directory: Path) -> int:
    """Print what became of every index, server by server, and what is wrong."""
    one, two = (read_marks(directory / server / "material.db") for server in ("E1", "E2"))
    for marks in (one, two):
        counts = ", ".join(f"{what} {len(marks.of(what))}" for what in Happened)
        sessions = len({entry.session for entry in marks.log})
        print(f"{marks.party}: {counts}, in stock {len(marks.stock)}; {sessions} sessions wrote the log")
    found = problems(one, two)
    print("\n".join(found) or "no index served twice")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
