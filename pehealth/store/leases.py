"""Who may use which indices: ranges leased to submitters, and the centre's book of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pehealth.errors import MaterialError
from pehealth.store.database import Database
from pehealth.store.ranges import Ranges

FORMAT = "pehealth-leases-1"
TABLE = "CREATE TABLE leases (first INTEGER PRIMARY KEY, until INTEGER NOT NULL, submitter TEXT NOT NULL)"


@dataclass(frozen=True)
class Lease:
    """Indices first, first + 1, ... that one submitter (a sensor group, a client) may name in queries."""

    submitter: str
    first: int
    count: int

    @property
    def until(self) -> int:
        """The index behind the last."""
        return self.first + self.count

    @property
    def indices(self) -> range:
        """All of them, in the order in which they are to be used."""
        return range(self.first, self.until)


class LeaseTable:
    """The table `leases` of a database. Its owner holds a lock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        rows = database.run("SELECT submitter, first, until FROM leases ORDER BY first")
        self.leases = tuple(Lease(submitter, first, until - first) for submitter, first, until in rows)

    def add(self, lease: Lease) -> None:
        """Store a lease, durably; the same lease twice is one.

        Raises:
            MaterialError: it overlaps another.
        """
        if lease in self.leases:
            return
        for other in self.leases:
            if max(lease.first, other.first) < min(lease.until, other.until):
                raise MaterialError(
                    f"indices {lease.first} to {lease.until - 1} cannot be leased to {lease.submitter}: {other.first} "
                    f"to {other.until - 1} are {other.submitter}'s; take the centre's next lease"
                )
        with self._database.transaction():
            self._database.run("INSERT INTO leases VALUES (?, ?, ?)", lease.first, lease.until, lease.submitter)
        self.leases = tuple(sorted((*self.leases, lease), key=lambda each: each.first))

    def of(self, submitter: str) -> Ranges:
        """Return all indices of a submitter."""
        return Ranges.of((each.first, each.until) for each in self.leases if each.submitter == submitter)

    def holder(self, index: int) -> str | None:
        """Return who may use an index."""
        return next((each.submitter for each in self.leases if index in each.indices), None)


class LeaseBook:
    """The centre's book, on disk: which indices were dealt, and to whom they are leased. No index is given twice.

    It holds no secrets. Put back from an older copy it may lease a range again; the servers then refuse the indices
    that were used, and leases that overlap those they know.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._lock = database, Lock()
        self._table = LeaseTable(database)

    @classmethod
    def open(cls, path: Path, plan: bytes) -> LeaseBook:
        """Open the book of a plan, or begin it.

        Raises:
            MaterialError: it is damaged, open elsewhere, or of another plan.
        """
        if not path.exists():
            return cls(Database.create(path, [TABLE], {"format": FORMAT, "plan": plan.hex(), "dealt": 0}))
        database = Database.open(path)
        if database.text("format") != FORMAT or database.text("plan") != plan.hex():
            database.abandon()
            raise MaterialError(
                f"{path} is not the lease book of plan {plan.hex()[:12]}: mend the path or the settings"
            )
        return cls(database)

    def allot(self, count: int) -> range:
        """Return the next `count` indices for the dealer to deal; never the same again."""
        with self._lock, self._database.transaction():
            first = self._database.number("dealt")
            self._database.set("dealt", first + count)
        return range(first, first + count)

    def lease(self, submitter: str, count: int) -> Lease:
        """Lease the next `count` dealt indices; both servers must be told (`MaterialStore.grant`).

        Raises:
            MaterialError: fewer are left.
        """
        with self._lock:
            left = self._left()
            if not 0 < count <= left:
                raise MaterialError(
                    f"{submitter} asks for {count} queries; material for {left} is dealt and not leased: deal more"
                )
            lease = Lease(submitter, self._next(), count)
            self._table.add(lease)
            return lease

    def _next(self) -> int:
        return max((each.until for each in self._table.leases), default=0)

    def _left(self) -> int:
        return self._database.number("dealt") - self._next()

    def remaining(self) -> int:
        """Return how many dealt indices are not leased yet."""
        with self._lock:
            return self._left()

    @property
    def leases(self) -> tuple[Lease, ...]:
        """All leases, by index."""
        return self._table.leases

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()
