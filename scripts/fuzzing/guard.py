"""Running one input: what is a finding, and where it is kept."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
import traceback
import tracemalloc
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from fuzzing.target import Target, demand

MOST_SECONDS = 1.0
"""Of processor time, for one input."""
SAY_EVERY = 1000
REFUSED = "stat::refused_units: "
_OURS = ("/pehealth/", "/parties/", "/transport/", "/fuzzing/")


@dataclass(frozen=True)
class Finding:
    """One way in which a target fails.

    Attributes:
        target: its name.
        what: kind, error and place; two inputs with the same `what` are one finding.
        data: the input.
        told: the traceback, or the figure.
    """

    target: str
    what: str
    data: bytes = field(repr=False)
    told: str = field(repr=False, default="")

    @property
    def name(self) -> str:
        """A short name for files."""
        return hashlib.sha256(f"{self.target} {self.what}".encode()).hexdigest()[:12]

    def save(self, folder: Path) -> Path:
        """Write input and traceback; the shortest input of a finding stays. Return the input's file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.bin"
        if not path.exists() or path.stat().st_size > len(self.data):
            path.write_bytes(self.data)
            path.with_suffix(".txt").write_text(f"{self.target}: {self.what}\n\n{self.told}\n")
        return path


def try_input(target: Target, data: bytes, *, traced: bool = False) -> Finding | None:
    """Run one input; return what is wrong, if anything is.

    Args:
        target: what to run.
        data: the input.
        traced: measure memory exactly, with tracemalloc: some five times slower. Else the growth of the process counts.
    """
    if traced:
        tracemalloc.start()
    before, began = _resident(), time.process_time()
    try:
        target.run(data)
    except target.documented:
        pass
    except Exception as error:  # noqa: BLE001 - everything else is a finding
        return Finding(target.name, _signature(error), data, traceback.format_exc())
    finally:
        seconds = time.process_time() - began
        grown = _resident() - before
        if traced:
            grown = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    if seconds > MOST_SECONDS:
        return Finding(target.name, "slow", data, f"{seconds:.1f} s of processor time")
    if grown > target.memory:
        return Finding(target.name, "memory", data, f"{grown} bytes; {target.memory} are allowed")
    return None


class Refusals:
    """Counts how many inputs a target refuses with a documented error, and says so now and then on standard error.

    Attributes:
        target: the target, with the count taken.
        count: so many.
    """

    def __init__(self, target: Target) -> None:
        self._target, self._runs, self.count = target, 0, 0
        self.target = replace(target, run=self._run)

    def _run(self, data: bytes) -> None:
        self._runs += 1
        if self._runs % SAY_EVERY == 0:
            sys.stderr.write(f"{REFUSED}{self.count}\n")
            sys.stderr.flush()
        try:
            self._target.run(data)
        except self._target.documented:
            self.count += 1
            raise


def limit_process(extra: int) -> None:
    """Let this process have `extra` bytes more than now: who asks for more gets a MemoryError. Warnings raise."""
    warnings.simplefilter("error")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _resident() -> int:
    """Return the most memory that this process ever had in use, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _signature(error: Exception) -> str:
    """Return the error's type, the last place in our own code that it went through, and what was demanded there."""
    if isinstance(error, AssertionError):
        return f"{error} at {_place(error.__traceback__)}"
    return f"{type(error).__name__} at {_place(error.__traceback__)}"


def _place(trace: TracebackType | None) -> str:
    place = "?"
    for frame in traceback.extract_tb(trace):
        if any(part in frame.filename for part in _OURS) and frame.name != demand.__name__:
            place = f"{Path(frame.filename).name}:{frame.name}:{frame.lineno}"
    return place
