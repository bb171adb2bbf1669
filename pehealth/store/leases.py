"""Who may use which indices: ranges leased to submitters, and the centre's book of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pehealth.errors import MaterialError
from pehealth.store.database import Database
from pehealth.store.ranges import Ranges

FORMAT = "pehealth-leases-1"
TABLE_NAME = "leases"
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
        """Store a lease, durably; the same lease twice is one, and leases of one submitter that touch become one.

        Raises:
            MaterialError: it overlaps another submitter's.
        """
        joined = []
        for other in self.leases:
            if other.first <= lease.first and lease.until <= other.until and other.submitter == lease.submitter:
                return
            if other.submitter != lease.submitter and max(lease.first, other.first) < min(lease.until, other.until):
                raise MaterialError(
                    f"indices {lease.first} to {lease.until - 1} cannot be leased to {lease.submitter}: {other.first} "
                    f"to {other.until - 1} are {other.submitter}'s; take the centre's next lease"
                )
            if other.submitter == lease.submitter and lease.first <= other.until and other.first <= lease.until:
                joined.append(other)
        first, until = min(each.first for each in (lease, *joined)), max(each.until for each in (lease, *joined))
        with self._database.transaction():
            self._database.run_many("DELETE FROM leases WHERE first = ?", ((each.first,) for each in joined))
            self._database.run("INSERT INTO leases VALUES (?, ?, ?)", first, until, lease.submitter)
        kept = (each for each in self.leases if each not in joined)
        self.leases = tuple(sorted((*kept, Lease(lease.submitter, first, until - first)), key=lambda each: each.first))

    def prune(self, living: Ranges) -> None:
        """Remove leases none of whose indices are among `living`, so that a service can run for months."""
        dead = [each for each in self.leases if not living & Ranges.of([(each.first, each.until)])]
        if dead:
            with self._database.transaction():
                self._database.run_many("DELETE FROM leases WHERE first = ?", ((each.first,) for each in dead))
            self.leases = tuple(each for each in self.leases if each not in dead)

    def of(self, submitter: str) -> Ranges:
        """Return all indices of a submitter."""
        return Ranges.of((each.first, each.until) for each in self.leases if each.submitter == submitter)

    def holder(self, index: int) -> str | None:
        """Return who may use an index."""
        return next((each.submitter for each in self.leases if index in each.indices), None)


class LeaseBook:
    """The centre's book, on disk: to whom indices are leased. No index is leased to two submitters.

    It holds no secrets. Put back from an older copy it may lease a range again; the servers then refuse leases that
    overlap those they know.
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
            return cls(Database.create(path, [TABLE], {"format": FORMAT, "plan": plan.hex()}, [TABLE_NAME]))
        database = Database.open(path)
        if database.text("format") != FORMAT or database.text("plan") != plan.hex():
            database.abandon()
            raise MaterialError(
                f"{path} is not the lease book of plan {plan.hex()[:12]}: mend the path or the settings"
            )
        return cls(database)

    def usable(self, submitter: str, stock: Ranges) -> Ranges:
        """Return which indices of `stock` the submitter has leased already, or may still lease."""
        with self._lock:
            return self._usable(submitter, stock)

    def _usable(self, submitter: str, stock: Ranges) -> Ranges:
        others = Ranges.of((each.first, each.until) for each in self._table.leases if each.submitter != submitter)
        return stock - others

    def lease(self, submitter: str, count: int, stock: Ranges) -> Ranges:
        """Return `count` indices of `stock` for the submitter: what is left of its leases, then new leases.

        Both servers must be told (`MaterialStore.grant`) the leases that hold them: `covering`.

        Args:
            submitter: a sensor group, a client.
            count: how many queries it wants to make.
            stock: indices that are in both servers' stores and not spent.

        Raises:
            MaterialError: there are fewer.
        """
        with self._lock:
            usable = self._usable(submitter, stock)
            if not 0 < count <= len(usable):
                raise MaterialError(
                    f"{submitter} asks for {count} queries; both servers have material for {len(usable)} that is not "
                    f"leased to others: deal {max(0, count - len(usable))} more"
                )
            own = (usable & self._table.of(submitter)).lowest(count)
            new = (usable - self._table.of(submitter)).lowest(count - len(own))
            for first, until in new:
                self._table.add(Lease(submitter, first, until - first))
            return own | new

    def holder(self, index: int) -> str | None:
        """Return to whom an index is leased."""
        return self._table.holder(index)

    def prune(self, stock: Ranges) -> None:
        """Remove leases of which nothing is in `stock`, the indices that both servers can still use."""
        with self._lock:
            self._table.prune(stock)

    def covering(self, indices: Ranges) -> tuple[Lease, ...]:
        """Return the leases that hold any of these indices."""
        return tuple(each for each in self._table.leases if indices & Ranges.of([(each.first, each.until)]))

    @property
    def leases(self) -> tuple[Lease, ...]:
        """All leases, by index."""
        return self._table.leases

    @property
    def leased(self) -> Ranges:
        """All indices that are leased to anybody."""
        return Ranges.of((each.first, each.until) for each in self._table.leases)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()
