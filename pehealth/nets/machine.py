"""The machine that a figure was measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Machine:
    """Processor, cores that this process may use, and the versions that the figures depend on."""

    cpu: str
    cores: int
    python: str
    numpy: str
    gmpy2: str
    trio: str

    @classmethod
    def here(cls) -> Self:
        """Return this machine, without importing what it names."""
        versions = {name: metadata.version(name) for name in ("numpy", "gmpy2", "trio")}
        return cls(cpu=_cpu(), cores=_cores(), python=platform.python_version(), **versions)


def _cpu() -> str:
    """Return the processor's name as Linux gives it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Hardware")))
    return next(names, "") or platform.processor() or platform.machine() or "unknown"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
