"""A file that only grows: one line at a time, for its owner alone, found again after somebody has moved it away."""

from __future__ import annotations

import os
from pathlib import Path

MODE = 0o600


class AppendFile:
    """Lines at the end of a file.

    A line that was written is safe from the death of this process; from the death of the machine only after `sync`.
    The file is made with mode 0600; one that is there keeps the mode that its owner gave it. If it was renamed or
    deleted since the last line (logrotate), the next line begins a new file of the old name.

    Raises:
        OSError: from the constructor and from every method, with the system's reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        self._rest = b""

    @property
    def descriptor(self) -> int:
        """The descriptor of the file as it is open now."""
        return self._file

    def moved(self) -> bool:
        """Say whether the file of our name is another one than that which we write to, or is gone."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def write(self, line: str) -> None:
        """Append a line; `line` has no line break of its own.

        If it raises, nothing of the line was written. If only a part could be (a full disk), the rest is kept, and is
        written before the next line.
        """
        if self.moved():
            fresh = _open(self.path)
            os.close(self._file)
            self._file, self._rest = fresh, b""
        self.finish()
        whole = line.encode() + b"\n"
        written = os.write(self._file, whole)
        self._rest = whole[written:]

    def finish(self) -> None:
        """Write the rest of a line that was begun."""
        while self._rest:
            self._rest = self._rest[os.write(self._file, self._rest) :]

    def sync(self) -> None:
        """Wait until the disk has all lines."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
