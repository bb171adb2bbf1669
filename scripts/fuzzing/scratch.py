"""A file for readers that take a path; in memory where the machine has such a folder."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

VARIABLE = "PEHEALTH_FUZZ_SCRATCH"
"""Names the folder in which all folders are made."""
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def memory_folder() -> Path | None:
    """Return a folder in memory, if the machine has one."""
    return _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None


@cache
def _folder(process: int) -> Path:
    """Make the folder of a process, which removes it at its end; where libFuzzer ends it, its caller does."""
    within = os.environ.get(VARIABLE) or memory_folder()
    made = Path(tempfile.mkdtemp(prefix=f"pehealth-fuzz-{process}-", dir=within))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@contextmanager
def scratch_file(content: bytes, name: str = "input") -> Iterator[Path]:
    """Give the path of a file of mode 0600 that holds `content`, in an empty folder of this process."""
    path = _folder(os.getpid()) / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
