"""What both engines are told."""

from __future__ import annotations

import argparse
from pathlib import Path

MEMORY = 512 * 2**20
"""What all inputs together may take beyond what the process has at its start: asking for more is a finding."""


def parse(description: str | None) -> argparse.Namespace:
    """Return the arguments of an engine."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    return parser.parse_args()
