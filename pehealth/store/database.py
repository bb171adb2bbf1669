"""One SQLite file as the stores use it: private, durable at each commit, opened once at a time, wiped on delete.

WAL with synchronous=FULL: a commit that returned survives a crash of the machine. locking_mode=EXCLUSIVE: a second
process that opens the file is refused. secure_delete: what is deleted is overwritten in the file; `checkpoint` also
empties the log. (Neither reaches copies that a file system or a flash disk keeps.)

SQLite does not notice a value that changed on the disk. So a digest of the tables' definitions, the named values and
the small tables, the *seal*, is written with each transaction and checked when the file is opened. It is no signature:
whoever can write the file can write a seal.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pehealth.errors import MaterialError

_PRAGMAS = ("locking_mode=EXCLUSIVE", "secure_delete=ON", "journal_mode=WAL", "synchronous=FULL")
_SEAL, _SEALED = "seal", "sealed"
_META = "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL)"
_REST_OF_META = f"SELECT name, value FROM meta WHERE name <> '{_SEAL}' ORDER BY name"  # noqa: S608 - our own words
Value = int | str | bytes


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Database:
    """A file with tables and a few named values. Not safe for two threads at once: its owner holds a lock."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def create(
        cls, path: Path, tables: Iterable[str], meta: Mapping[str, Value], sealed: Sequence[str] = ()
    ) -> Database:
        """Make a new file of mode 0600: complete under its name, or not there at all.

        Args:
            path: of the file.
            tables: statements that make its tables.
            meta: named values.
            sealed: small tables whose rows are under the seal.

        Raises:
            MaterialError: there is one already.
        """
        if path.exists():
            raise MaterialError(f"{path} is there already: open it, or retire it first")
        draft = path.with_name(path.name + ".new")
        for left in (draft, draft.with_name(draft.name + "-wal")):
            left.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        made = cls(draft, _connect(draft))
        with made.transaction():
            for statement in (_META, *tables):
                made.run(statement)
            made.run_many("INSERT INTO meta VALUES (?, ?)", {**meta, _SEALED: json.dumps(list(sealed))}.items())
        made.close()
        draft.replace(path)
        sync_directory(path.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open a file made by `create`.

        Raises:
            MaterialError: it is missing, readable by others, in use by another process, or damaged.
        """
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError as error:
            raise MaterialError(f"there is no store at {path}: create it, or mend the path") from error
        if mode & 0o077:
            raise MaterialError(f"{path} has mode {mode:o}, so others may read secrets in it: chmod 600 it")
        found = cls(path, _connect(path))
        try:
            found._check_seal()
        except BaseException:
            found.abandon()
            raise
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the body as one transaction: durable when this returns, undone if the body raises."""
        with _mapped(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.set(_SEAL, self._digest())
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._commit()

    def _check_seal(self) -> None:
        if self.text(_SEAL) != self._digest():
            raise MaterialError(f"{self.path} is damaged (it was changed on disk): retire it and deal fresh material")

    def _digest(self) -> str:
        """Return the seal of what is in the file now."""
        out = hashlib.sha256()
        for statement in ("SELECT type, name, sql FROM sqlite_schema ORDER BY rowid", _REST_OF_META, *self._sealed()):
            rows = self.run(statement)
            out.update(f"{len(rows)} rows {rows!r}".encode(errors="backslashreplace"))
        return out.hexdigest()

    def _sealed(self) -> list[str]:
        try:
            names = json.loads(self.text(_SEALED))
            return [f"SELECT * FROM {name} ORDER BY rowid" for name in names if name.isidentifier()]  # noqa: S608
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise MaterialError(f"{self.path} is damaged: retire it and deal fresh material") from error

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    def run(self, statement: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with _mapped(self.path):
            return self._connection.execute(statement, values).fetchall()

    def run_many(self, statement: str, rows: Iterable[tuple[Value, ...]]) -> None:
        """Run one statement for each row of values."""
        with _mapped(self.path):
            self._connection.executemany(statement, rows)

    def text(self, name: str) -> str:
        """Return a named value.

        Raises:
            MaterialError: there is none: not a file of ours.
        """
        rows = self.run("SELECT value FROM meta WHERE name = ?", name)
        if not rows:
            raise MaterialError(f"{self.path} has no {name!r}: not a store of this version; deal fresh material")
        return str(rows[0][0])

    def number(self, name: str) -> int:
        """Return a named integer; errors as `text`, or it is none."""
        text = self.text(name)
        try:
            return int(text)
        except ValueError as error:
            raise MaterialError(f"{self.path} is damaged ({name} is no number): deal fresh material") from error

    def set(self, name: str, value: Value) -> None:
        """Store a named value, within a transaction."""
        self.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def checkpoint(self) -> None:
        """Move the log into the file and empty it, so that deleted secrets are in neither."""
        self.run("PRAGMA wal_checkpoint(TRUNCATE)")

    def abandon(self) -> None:
        """Let go of a file that turned out to be the wrong one."""
        self._connection.close()

    def close(self) -> None:
        """Empty the log and let go of the file, in any case."""
        try:
            self.checkpoint()
        finally:
            self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    with _mapped(path):
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            # Takes the lock now, not at the first write.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into errors that say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise MaterialError(f"{path} is open in another process: stop that one first") from error
        raise MaterialError(f"{path}: {error}: check the disk, then deal fresh material") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError) as error:
        raise MaterialError(f"{path} is damaged ({error}): retire it and deal fresh material") from error
