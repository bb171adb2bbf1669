"""Results, as the centre keeps them for its operator: a line of JSON each, in a file that its owner alone can read."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "results.jsonl"
REMEMBERED = 4096
_TAIL = 2**20


class Spool:
    """Appends results. A request that is answered again, after its answer was lost, is kept once.

    A line is in the file before its query counts as answered, so it survives the process. Call `sync` now and then:
    then it survives the machine too.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._dirty = False
        self._recall()

    def add(self, client: str, request: str, line: Mapping[str, Any]) -> bool:
        """Keep a result; False if that request's was kept before. Raises OSError if it cannot be written."""
        key = (client, request)
        if request and key in self._known:
            return False
        data = json.dumps({**line, "client": client, "request": request}, separators=(",", ":")).encode() + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError(f"{self.path}: the disk is full")
        self._dirty = True
        self._remember(key)
        return True

    def sync(self) -> None:
        """Make durable what was added."""
        if self._dirty:
            self._dirty = False
            os.fsync(self._file)

    def close(self) -> None:
        """Make all durable, and let go of the file."""
        self.sync()
        os.close(self._file)

    def _remember(self, key: tuple[str, str]) -> None:
        self._known[key] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _recall(self) -> None:
        """Learn from the end of the file what was kept before; a line that a crash cut is ended."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, _TAIL, max(0, size - _TAIL))
        if tail and not tail.endswith(b"\n"):
            os.write(self._file, b"\n")
        for line in tail.split(b"\n")[-REMEMBERED:]:
            try:
                kept = json.loads(line)
                self._remember((str(kept["client"]), str(kept["request"])))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
