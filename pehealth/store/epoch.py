"""A counter beside the database that only rises: it tells a store from an older copy of itself.

Every change of what is spent raises the store's generation; first in the database, then here, and only then is the
material used. So the database is never behind this file unless it was put back from a copy. Keep the file where
backups of the database do not reach.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pehealth.errors import MaterialError
from pehealth.store.database import sync_directory
from pehealth.store.ranges import MOST

_MAGIC = "pehealth-epoch-1"
_MOST_DIGITS = 20


@dataclass(frozen=True)
class Epoch:
    """What the file says: which store, and the generation that store had at least."""

    store: str
    generation: int


class EpochFile:
    """The file; `path` may lie on another disk than the database."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Epoch | None:
        """Return what the file says; None if there is none.

        Raises:
            MaterialError: it cannot be understood.
        """
        try:
            words = self.path.read_text().split()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            words = []
        except OSError as error:
            raise MaterialError(f"{self.path} cannot be read: {error.strerror}") from error
        if len(words) != 3 or words[0] != _MAGIC or not _is_generation(words[2]):
            raise MaterialError(f"{self.path} is damaged: retire the store and deal fresh material")
        return Epoch(words[1], int(words[2]))

    def write(self, epoch: Epoch) -> None:
        """Replace the file, durably: after a crash it says the old or the new, never neither."""
        draft = self.path.with_name(self.path.name + ".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(f"{_MAGIC} {epoch.store} {epoch.generation}\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self.path)
        sync_directory(self.path.parent)

    def check(self, database: Path, store: str, generation: int) -> None:
        """Refuse a database that is not the one this file belongs to, or is older than it.

        Raises:
            MaterialError: with the remedy.
        """
        seen = self.read()
        remedy = "used material may look unused in it: retire it and deal fresh material"
        if seen is None:
            raise MaterialError(f"{database} is a copy: its epoch file {self.path} is not there; {remedy}")
        if seen.store != store:
            raise MaterialError(f"{database} is not the store that {self.path} belongs to; {remedy}")
        if generation < seen.generation:
            raise MaterialError(
                f"{database} was put back from an older copy: generation {generation}, {self.path} has seen "
                f"{seen.generation}; {remedy}"
            )


def _is_generation(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < _MOST_DIGITS and int(word) <= MOST
