"""What one party keeps of a deployed model: one private file, written whole, used only once everyone has theirs.

A deployment is *pending* in a party's folder until every party has its part, then it is committed. A crash before
that leaves nothing that is used; a crash while commits are under way leaves parts that all belong together, so that
the rest can be committed later.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from pehealth.errors import ConfigError, MaterialError
from pehealth.store.database import Database, Value, sync_directory

FILE_NAME = "deployment.db"
FORMAT = "pehealth-deployment-1"
_WIPED = 2**20
FIRST_INDEX = 1
"""Index of the first query; 0 is what set-up messages are sent under."""
_TABLES = ("CREATE TABLE parts (name TEXT PRIMARY KEY, digest BLOB NOT NULL, body BLOB NOT NULL)",)

Settings = Mapping[str, str]
"""The public settings of a deployment as text: the network, the parameters, who deals."""


def private_folder(path: Path) -> Path:
    """Return the folder at `path`, made with mode 0700 if there is none.

    Raises:
        ConfigError: it cannot be made, is no folder, or others may look into it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be a state folder: {error.strerror}") from error
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(f"{path} has mode {mode:o}, so others may look into it: chmod 700 it")
    return path


def wipe_folder(path: Path) -> None:
    """Overwrite and remove every file in a party's folder, and the folder; nothing happens if it is not there.

    A crash in the middle leaves a part: do it again. What was overwritten may live on in copies that flash disks and
    snapshotting file systems keep.
    """
    if not path.is_dir():
        return
    # The deployment last: without it nobody would know what the rest belongs to.
    for file in sorted(path.iterdir(), key=lambda each: each.name.startswith(FILE_NAME)):
        with file.open("r+b") as out:
            for start in range(0, file.stat().st_size, _WIPED):
                out.write(bytes(min(_WIPED, file.stat().st_size - start)))
            out.flush()
            os.fsync(out.fileno())
        file.unlink()
    path.rmdir()
    sync_directory(path.parent)


class Deployment:
    """One party's part of a deployment. Methods wait for the disk: call them from threads.

    Attributes:
        party: whose part it is: "E1", "E2", "HC" or "DEALER".
        name: random, the same at every party; material is bound to it.
        settings: see `Settings`.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._lock = database, Lock()
        if database.text("format") != FORMAT:
            database.abandon()
            raise MaterialError(f"{database.path} is not a deployment in format {FORMAT}: deploy again elsewhere")
        self.party, self.name = database.text("party"), database.text("deployment")
        self.settings: Settings = json.loads(database.text("settings"))

    @classmethod
    def create(cls, folder: Path, party: str, name: str, settings: Settings, parts: Mapping[str, bytes]) -> Deployment:
        """Write a pending deployment, in place of one that was never committed.

        Raises:
            ConfigError: one was committed here.
        """
        standing = cls.find(folder, party)
        if standing is not None:
            committed = standing.committed
            standing.close()
            if committed:
                raise ConfigError(f"{folder} holds a deployment of {party}: take another --state directory")
            (folder / FILE_NAME).unlink()
        meta: dict[str, Value] = {
            "format": FORMAT, "party": party, "deployment": name, "settings": json.dumps(dict(settings)),
            "committed": 0, "next": FIRST_INDEX,
        }  # fmt: skip
        database = Database.create(folder / FILE_NAME, _TABLES, meta)
        with database.transaction():
            rows = ((part, _digest(name, part, body), body) for part, body in parts.items())
            database.run_many("INSERT INTO parts VALUES (?, ?, ?)", rows)
            database.set("parts", len(parts))
        return cls(database)

    @classmethod
    def find(cls, folder: Path, party: str) -> Deployment | None:
        """Return the deployment in `folder`; None if there is none.

        Raises:
            MaterialError: it is damaged, open elsewhere, readable by others, or another party's.
        """
        path = folder / FILE_NAME
        if not path.exists():
            return None
        database = Database.open(path)
        found = cls(database)
        if found.party != party:
            found.close()
            raise MaterialError(f"{path} is {found.party}'s, not {party}'s: mend the path")
        return found

    @property
    def digest(self) -> bytes:
        """32 bytes to which material is bound: of this deployment's name and its settings."""
        text = json.dumps([FORMAT, self.name, sorted(self.settings.items())])
        return hashlib.sha256(text.encode()).digest()

    @property
    def committed(self) -> bool:
        """True once every party was known to have its part."""
        with self._lock:
            return bool(self._database.number("committed"))

    @property
    def whole(self) -> bool:
        """True unless a crash came before the last part was written."""
        with self._lock:
            return bool(self._database.run("SELECT 1 FROM meta WHERE name = 'parts'"))

    def commit(self) -> None:
        """Note that every party has its part."""
        with self._lock, self._database.transaction():
            self._database.set("committed", 1)

    def part(self, name: str) -> bytes:
        """Return what was kept under a name.

        Raises:
            MaterialError: it is not there, or was changed on disk.
        """
        with self._lock:
            rows = self._database.run("SELECT digest, body FROM parts WHERE name = ?", name)
        digest, body = rows[0] if rows else (b"", None)
        if not isinstance(body, bytes) or _digest(self.name, name, body) != digest:
            raise MaterialError(
                f"{self.party}: {name} in {self._database.path} is missing or was changed on disk: put the folder "
                "back, or deploy again into another --state directory"
            )
        return body

    def allot(self, count: int) -> range:
        """Return the next `count` indices for the dealer to deal, durably: never the same again."""
        with self._lock, self._database.transaction():
            first = self._database.number("next")
            self._database.set("next", first + count)
        return range(first, first + count)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()


def _digest(deployment: str, part: str, body: bytes) -> bytes:
    """Return what ties a part to its name and deployment: SQLite's index, too, can change on the disk."""
    return hashlib.sha256(json.dumps([FORMAT, deployment, part]).encode() + body).digest()


def differences(wanted: Settings, found: Settings) -> tuple[str, ...]:
    """Return in words every setting in which a run differs from a deployment; layers only of one network."""
    names = [*found, *(name for name in wanted if name not in found)]
    differing = [name for name in names if found.get(name) != wanted.get(name)]
    if "network" in differing:
        differing = [name for name in differing if not name.startswith("layer ")]
    return tuple(
        f"{name}: deployed {found.get(name, 'none')}, asked for {wanted.get(name, 'none')}" for name in differing
    )
