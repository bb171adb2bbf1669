"""The durable half of a material store: bodies of records, and which indices are spent.

An index is *available* (a row of `records`), then *spent* (in `spent`, and no longer a row), then its body is deleted.
Spending is durable before `spend` returns: in the database, and then in the epoch file beside it. A log, to which
the database itself lets nobody do anything but append, says what became of each index: `pehealth.store.audit` reads it.
"""

from __future__ import annotations

import enum
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from pehealth.codec.material_file import Header
from pehealth.config import Party
from pehealth.errors import MaterialError
from pehealth.store import leases
from pehealth.store.database import Database, Value
from pehealth.store.epoch import Epoch, EpochFile
from pehealth.store.ranges import Ranges

FORMAT = "pehealth-material-1"
_TABLES = (
    "CREATE TABLE records (idx INTEGER PRIMARY KEY, digest BLOB NOT NULL)",
    "CREATE TABLE bodies (idx INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE spent (first INTEGER PRIMARY KEY, until INTEGER NOT NULL)",
    leases.TABLE,
    """CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, first INTEGER NOT NULL,
       until INTEGER NOT NULL, session TEXT NOT NULL, peer TEXT NOT NULL)""",
    "CREATE TRIGGER kept BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
    "CREATE TRIGGER fixed BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
)
_COUNTERS: Mapping[str, Value] = {
    "generation": 0,
    "record_size": 0,
    "peer_store": "",
    "peer_generation": 0,
    "met": "[]",
}


class Happened(enum.StrEnum):
    """What the log says of indices."""

    STORED = "stored"
    RESERVED = "reserved"
    """For this session to use, and no other ever."""
    USED = "used"
    """Taken, and the body wiped afterwards."""
    BURNT = "burnt"
    """The peer had spent it, or it was reserved and perhaps not used; the body is wiped."""


class Shelf:
    """Records of one plan and one server. Its owner holds a lock.

    Attributes:
        party: E1 or E2.
        plan: 32 bytes.
        name: random, kept for life.
        generation: rises with every change of `spent`.
        spent: indices that were reserved, used or burnt.
        session: a random name of this opening, for the log.
        peer: the other server's session that this one has agreed with; "" before that.
    """

    def __init__(self, database: Database, epoch: EpochFile, plan: bytes, party: Party) -> None:
        self.session, self.peer = secrets.token_hex(16), ""
        self.party, self.plan = party, plan
        self.database, self._epoch = database, epoch
        self.name, self.generation = database.text("store"), database.number("generation")
        self.spent = Ranges.of((first, until) for first, until in database.run("SELECT first, until FROM spent"))

    @classmethod
    def create(cls, path: Path, epoch: EpochFile, plan: bytes, party: Party) -> Shelf:
        """Make an empty one.

        Raises:
            MaterialError: one is there, or its epoch file tells that one was.
        """
        before = epoch.read()
        if before is not None and before.generation:
            raise MaterialError(
                f"{epoch.path} belongs to a store whose material was used: put that store back at {path}, or remove "
                "the epoch file if the store is retired"
            )
        if path.exists():
            raise MaterialError(f"{path} is there already: open it, or retire it first")
        name = secrets.token_hex(16)
        # The file first: a database without one would look like a copy, and be refused.
        epoch.write(Epoch(name, 0))
        meta = {"format": FORMAT, "plan": plan.hex(), "party": party.value, "store": name, **_COUNTERS}
        return cls(Database.create(path, _TABLES, meta, ["spent", leases.TABLE_NAME]), epoch, plan, party)

    @classmethod
    def open(cls, path: Path, epoch: EpochFile, plan: bytes, party: Party) -> Shelf:
        """Open one, and delete the bodies of what an earlier session had spent.

        Raises:
            MaterialError: it is missing, damaged, readable by others, open elsewhere, of another plan or server, or
                an older copy of itself.
        """
        database = Database.open(path)
        try:
            _check_identity(database, plan, party)
            shelf = cls(database, epoch, plan, party)
            epoch.check(path, shelf.name, shelf.generation)
            # A crash between database and file leaves the file one behind.
            epoch.write(Epoch(shelf.name, shelf.generation))
            shelf.burn()
        except BaseException:
            database.abandon()
            raise
        return shelf

    def put(self, records: Iterable[tuple[int, bytes]]) -> int:
        """Add (index, record) pairs, all or none; return how many.

        Raises:
            MaterialError: an index was here before, or records differ in size.
        """
        stored: list[int] = []
        with self.database.transaction():
            size = self.database.number("record_size")
            for index, record in records:
                size = size or len(record)
                self._insert(index, record, size)
                stored.append(index)
            self.database.set("record_size", size)
            self._note(Happened.STORED, Ranges().with_indices(stored))
        self.database.checkpoint()
        return len(stored)

    def _note(self, what: Happened, indices: Ranges) -> None:
        """Append to the log, within a transaction."""
        rows = ((what.value, first, until, self.session, self.peer) for first, until in indices)
        self.database.run_many("INSERT INTO log (what, first, until, session, peer) VALUES (?, ?, ?, ?, ?)", rows)

    def _insert(self, index: int, record: bytes, size: int) -> None:
        if len(record) != size or not record:
            raise MaterialError(
                f"{self.party}: record {index} has {len(record)} bytes, the store's have {size}: "
                "the material was dealt for another plan; deal it again"
            )
        if index in self.spent or self.database.run("SELECT 1 FROM records WHERE idx = ?", index):
            raise MaterialError(f"{self.party}: a record {index} was here before: deal under indices not used yet")
        # A body may be left of an index that was spent and is unknown to `records`: never of this one.
        self.database.run("INSERT INTO bodies VALUES (?, ?)", index, record)
        self.database.run("INSERT INTO records VALUES (?, ?)", index, self._digest(index, record))

    def _digest(self, index: int, record: bytes) -> bytes:
        return Header(self.plan, self.party, 0, 0, len(record)).record_digest(index, record)

    def available(self, within: Ranges, limit: int) -> dict[int, bytes]:
        """Return the lowest available indices within some ranges, at most `limit`, with their digests."""
        out: dict[int, bytes] = {}
        query = "SELECT idx, digest FROM records WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
        for first, until in within:
            out.update(self.database.run(query, first, until, limit - len(out)))
            if len(out) >= limit:
                break
        return out

    @property
    def stock(self) -> Ranges:
        """All available indices."""
        return Ranges().with_indices(index for (index,) in self.database.run("SELECT idx FROM records"))

    @property
    def used(self) -> int:
        """How many indices the log says were used."""
        rows = self.database.run("SELECT TOTAL(until - first) FROM log WHERE what = ?", Happened.USED.value)
        return int(rows[0][0])

    def count(self, within: Ranges) -> int:
        """Return how many indices within some ranges are available."""
        query = "SELECT COUNT(*) FROM records WHERE idx >= ? AND idx < ?"
        return sum(int(self.database.run(query, first, until)[0][0]) for first, until in within)

    def spend(self, indices: Ranges, what: Happened, notes: Mapping[str, Value] | None = None) -> None:
        """Mark indices as spent, durably, and store named values with them; they need not be available."""
        spent = self.spent | indices
        generation = self.generation + (spent != self.spent)
        with self.database.transaction():
            for first, until in indices:
                self.database.run("DELETE FROM records WHERE idx >= ? AND idx < ?", first, until)
            self.database.run("DELETE FROM spent")
            self.database.run_many("INSERT INTO spent VALUES (?, ?)", spent)
            self._note(what, indices - self.spent)
            for name, value in {"generation": generation, **(notes or {})}.items():
                self.database.set(name, value)
        self.spent, self.generation = spent, generation
        self._epoch.write(Epoch(self.name, generation))

    def body(self, index: int, digest: bytes) -> bytes:
        """Return a spent record's body, checked against the digest it came with.

        Raises:
            MaterialError: it was changed on disk.
        """
        rows = self.database.run("SELECT body FROM bodies WHERE idx = ?", index)
        record = rows[0][0] if rows and isinstance(rows[0][0], bytes) else b""
        if self._digest(index, record) != digest:
            raise MaterialError(
                f"{self.party}: record {index} was changed on disk: check the disk and who can write "
                f"{self.database.path}; retire the store and deal fresh material"
            )
        return record

    def discard(self, indices: Iterable[int]) -> None:
        """Delete the bodies of used records from the file and its journal."""
        used = Ranges().with_indices(indices)
        with self.database.transaction():
            self.database.run_many("DELETE FROM bodies WHERE idx >= ? AND idx < ?", used)
            self._note(Happened.USED, used)
        self.database.checkpoint()

    @property
    def met(self) -> Ranges:
        """Indices that the peer's present store must know to be spent: it answered queries under them with us."""
        return Ranges.of((first, until) for first, until in json.loads(self.database.text("met")))

    def meet(self, indices: Iterable[int]) -> None:
        """Add to `met`, durably."""
        met = self.met.with_indices(indices)
        with self.database.transaction():
            self.database.set("met", json.dumps(met.spans))

    def burn(self) -> None:
        """Delete the bodies of everything that is spent."""
        left = self.database.run("SELECT idx FROM bodies WHERE idx NOT IN (SELECT idx FROM records)")
        with self.database.transaction():
            self.database.run("DELETE FROM bodies WHERE idx NOT IN (SELECT idx FROM records)")
            self._note(Happened.BURNT, Ranges().with_indices(index for (index,) in left))
        self.database.checkpoint()

    def close(self) -> None:
        """Burn what is left of reserved records, and let go of the file, in any case."""
        try:
            self.burn()
        finally:
            self.database.close()


def _check_identity(database: Database, plan: bytes, party: Party) -> None:
    found = database.text("format")
    if found != FORMAT:
        raise MaterialError(f"{database.path} has format {found!r}, this program {FORMAT!r}: deal fresh material")
    if database.text("party") != party:
        raise MaterialError(f"{database.path} is {database.text('party')}'s store, not {party}'s: mend the path")
    if database.text("plan") != plan.hex():
        raise MaterialError(
            f"{party}: {database.path} holds material for plan {database.text('plan')[:12]}, this run's plan is "
            f"{plan.hex()[:12]}: go back to the settings it was dealt for, or retire it and deal fresh material"
        )
