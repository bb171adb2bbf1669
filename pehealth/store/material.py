"""A server's one-time material: every record is used at most once, whatever crashes or is copied back.

`reserve` makes a block of indices spent, durably, before any of it is used, and hands it to this session. So a crash
loses what was left of the block and repeats nothing, and neither a commit nor a read from disk need lie on a query's
path. `take` gives a record once, to prepare ahead; `accept` admits a query once. Both know reserved indices only.

Against a store put back from an older copy stand the epoch file beside it, and the peer: `agree` makes everything
spent that either server has spent, unless both stores have been open since they last agreed. What nobody notices is
a database and its epoch file both put back after material was used that the peer had not reserved.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import RLock
from typing import BinaryIO

from pehealth.codec.material_file import read_header, read_records
from pehealth.config import Party
from pehealth.errors import MaterialError
from pehealth.store.database import Value
from pehealth.store.epoch import EpochFile
from pehealth.store.leases import Lease, LeaseTable
from pehealth.store.ranges import Ranges
from pehealth.store.shelf import Happened, Shelf
from pehealth.store.state import StoreState

DEFAULT_BLOCK = 64
_MANY_LEASES = 64
"""With more, those of which nothing is left are looked for."""
_SWEEP = 4
"""Records deleted in one go."""
_EVERYTHING = Ranges(((0, 2**63 - 1),))


class MaterialStore:
    """Make one with `create`, `open` or `open_or_create`; close it when done.

    Methods wait for the disk: call them from threads, as many as you like (`accept` of a reserved index does not wait).
    Two processes may not open one store.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._disk, self._memory = RLock(), RLock()
        """For what may wait for the disk, and for what must not; taken in this order."""
        self._leases = LeaseTable(shelf.database)
        self._waiting: dict[int, bytes] = {}
        """Reserved in this session and not taken: index -> digest."""
        self._open: set[int] = set()
        """Reserved in this session and not accepted."""
        self._taken: list[int] = []
        """Taken, and the body not deleted yet."""
        self._met: set[int] = set()
        """Answered together with the peer, and not written down yet."""

    @classmethod
    def create(cls, path: Path, plan: bytes, party: Party, epoch_path: Path | None = None) -> MaterialStore:
        """Make an empty store.

        Args:
            path: of the database; the file gets mode 0600.
            plan: 32 bytes, the digest of everything the parties must agree on.
            party: E1 or E2.
            epoch_path: of the epoch file, best where backups of `path` do not reach; by default `path`.epoch.

        Raises:
            MaterialError: a store is, or was, there.
        """
        return cls(Shelf.create(path, _epoch_file(path, epoch_path), plan, party))

    @classmethod
    def open(cls, path: Path, plan: bytes, party: Party, epoch_path: Path | None = None) -> MaterialStore:
        """Open a store and burn what an earlier session had reserved; arguments as `create`.

        Raises:
            MaterialError: it is missing, damaged, readable by others, open elsewhere, of another plan or server, or
                an older copy of itself.
        """
        return cls(Shelf.open(path, _epoch_file(path, epoch_path), plan, party))

    @classmethod
    def open_or_create(cls, path: Path, plan: bytes, party: Party, epoch_path: Path | None = None) -> MaterialStore:
        """Open the store at `path`, or make it if there is none; arguments and errors as both."""
        return (cls.open if path.exists() else cls.create)(path, plan, party, epoch_path)

    @property
    def party(self) -> Party:
        """E1 or E2."""
        return self._shelf.party

    # ---- filling

    def put(self, first: int, records: Iterable[bytes]) -> int:
        """Add records first, first + 1, ...; all of them or, if anything is wrong, none. Return how many.

        Raises:
            MaterialError: an index was here before, or records differ in size.
        """
        return self.add(enumerate(records, first))

    def add(self, records: Iterable[tuple[int, bytes]]) -> int:
        """Add records with their indices, all or none; return how many. Errors as `put`."""
        with self._disk:
            return self._shelf.put(records)

    def import_file(self, source: BinaryIO) -> int:
        """Add the records of a file of material, all or none. Return how many.

        Raises:
            MaterialError: it is for another plan or server, cut short, damaged, or holds indices seen before.
        """
        header = read_header(source)
        if header.plan != self._shelf.plan:
            raise MaterialError(
                f"{self.party}: this material is for plan {header.plan.hex()[:12]}, the store for "
                f"{self._shelf.plan.hex()[:12]}: deal material for this plan"
            )
        if header.party is not self.party:
            raise MaterialError(f"{self.party}: this material is {header.party}'s: give each server its own file")
        with self._disk:
            return self._shelf.put(read_records(source, header))

    # ---- using

    def reserve(
        self, block: int = DEFAULT_BLOCK, submitter: str | None = None, within: Ranges | None = None
    ) -> tuple[int, ...]:
        """Make the lowest `block` available indices spent, durably, for this session to use; fewer if fewer are left.

        Args:
            block: how many.
            submitter: only indices leased to it.
            within: only these indices.
        """
        leased = _EVERYTHING if submitter is None else self._leases.of(submitter)
        with self._disk:
            reserved = self._reserve(self._shelf.available(leased if within is None else leased & within, block))
        self.sweep()
        return reserved

    def _reserve(self, digests: dict[int, bytes]) -> tuple[int, ...]:
        """Reserve available indices; the caller holds the disk."""
        if digests:
            self._shelf.spend(Ranges().with_indices(digests), Happened.RESERVED)
            with self._memory:
                self._waiting.update(digests)
                self._open.update(digests)
        return tuple(digests)

    def accept(self, index: int, submitter: str) -> None:
        """Admit a query under `index`: once. It waits for the disk only if nobody reserved the index ahead.

        Raises:
            MaterialError: it is not leased to the submitter, or used, burnt, or not there.
        """
        self.check_lease(index, submitter)
        if self._admit(index):
            return
        with self._disk:
            self._reserve(self._shelf.available(_only(index), 1))
        if not self._admit(index):
            raise self._refusal(index)

    def check_lease(self, index: int, submitter: str) -> None:
        """Raise MaterialError unless the index is leased to the submitter."""
        holder = self._leases.holder(index)
        if holder is None and index in self._shelf.spent:
            raise self._refusal(index)
        if holder != submitter:
            whose = f"leased to {holder}" if holder else "not leased"
            raise MaterialError(
                f"{self.party}: {submitter} names index {index}, which is {whose}: ask the centre for a lease"
            )

    def is_open(self, index: int) -> bool:
        """True for an index that is reserved in this session and not admitted."""
        with self._memory:
            return index in self._open

    def _admit(self, index: int) -> bool:
        with self._memory:
            known = index in self._open
            self._open.discard(index)
            return known

    def take(self, index: int) -> bytes:
        """Return the record of a reserved index: once.

        Raises:
            MaterialError: it is not reserved in this session, or was taken, or was changed on disk.
        """
        with self._memory:
            digest = self._waiting.pop(index, None)
        if digest is None:
            raise self._refusal(index)
        with self._disk:
            record = self._shelf.body(index, digest)
        with self._memory:
            self._taken.append(index)
        return record

    def drop(self, indices: Iterable[int]) -> None:
        """Give up indices that are reserved in this session and not admitted: nobody may use them any more."""
        with self._memory:
            for index in indices:
                if index in self._open:
                    self._open.discard(index)
                    if self._waiting.pop(index, None) is not None:
                        self._taken.append(index)

    def met(self, index: int) -> None:
        """Note that the peer has used the index too; it is written down when records are next swept."""
        with self._memory:
            self._met.add(index)

    def _refusal(self, index: int) -> MaterialError:
        if index in self._shelf.spent:
            return MaterialError(
                f"{self.party}: the material of index {index} was used or burnt before: retry under a fresh index"
            )
        with self._disk:
            available = self._shelf.count(_only(index))
        if available:
            return MaterialError(f"{self.party}: index {index} is not reserved: reserve a block before taking from it")
        return MaterialError(f"{self.party}: there is no material for index {index}: deal more")

    def sweep(self) -> None:
        """Delete taken records from the disk, a few at a time, so that queries are not held up.

        `reserve` and `close` do it too.
        """
        with self._memory:
            met, self._met = self._met, set()
        if met:
            with self._disk:
                self._shelf.meet(met)
        while True:
            with self._memory:
                batch, self._taken = self._taken[:_SWEEP], self._taken[_SWEEP:]
            if not batch:
                return
            with self._disk:
                self._shelf.discard(batch)

    @property
    def stock(self) -> Ranges:
        """Indices that are there and not spent."""
        with self._disk:
            return self._shelf.stock

    @property
    def usable(self) -> Ranges:
        """Indices that can still serve a query: in stock, or reserved in this session and not admitted."""
        with self._disk, self._memory:
            return self._shelf.stock.with_indices(self._open)

    @property
    def used(self) -> int:
        """How many records were taken for queries, ever."""
        with self._disk:
            return self._shelf.used

    def remaining(self, submitter: str | None = None) -> int:
        """Return how many more queries can be admitted; with `submitter`, of its leases."""
        within = _EVERYTHING if submitter is None else self._leases.of(submitter)
        with self._disk, self._memory:
            return self._shelf.count(within) + sum(index in within for index in self._open)

    # ---- leases

    def grant(self, lease: Lease) -> None:
        """Note, durably, what the centre leased; the same lease twice is one.

        Raises:
            MaterialError: it overlaps another lease.
        """
        with self._disk:
            self._leases.add(lease)
            if len(self._leases.leases) > _MANY_LEASES:
                self._leases.prune(self.usable)

    @property
    def leases(self) -> tuple[Lease, ...]:
        """All leases, by index."""
        return self._leases.leases

    # ---- the other server

    @property
    def epoch(self) -> int:
        """The store's generation: it rises whenever something is spent, and never falls."""
        return self._shelf.generation

    def state(self) -> StoreState:
        """Return what the peer must know before both use their stores."""
        with self._disk:
            shelf = self._shelf
            return StoreState(
                shelf.plan.hex(), shelf.party, shelf.name, shelf.session, shelf.peer, shelf.generation, shelf.spent
            )

    def agree(self, peer: StoreState, ours: StoreState | None = None) -> int:
        """Take the peer's state: what either has spent is spent for both. Return how many reserved indices that burnt.

        Reserve afterwards: what was reserved before is burnt, unless both stores have been open since they last
        agreed, when only the link broke.

        Args:
            peer: what the peer's `state` returned.
            ours: what we sent it, if that was not a moment ago.

        Raises:
            MaterialError: another plan, the same server, or a peer's store that has gone back in time.
        """
        with self._disk:
            database, ours = self._shelf.database, ours or self.state()
            last = database.text("peer_store")
            ours.check(peer, last, database.number("peer_generation"), self._shelf.met)
            lost = Ranges() if ours.resumes(peer) else peer.spent | ours.spent
            notes: dict[str, Value] = {"peer_store": peer.store, "peer_generation": peer.generation}
            if peer.store != last:
                notes["met"] = "[]"
            self._shelf.spend(lost, Happened.BURNT, notes)
            self._shelf.peer = peer.session
        with self._memory:
            burnt = [index for index in self._waiting.keys() | self._open if index in lost]
            self._open.difference_update(burnt)
            self._taken += [index for index in burnt if self._waiting.pop(index, None) is not None]
        return len(burnt)

    def close(self) -> None:
        """Burn what is left of reserved blocks, and let go of the file, in any case."""
        try:
            self.sweep()
        finally:
            with self._disk:
                self._shelf.close()


def _only(index: int) -> Ranges:
    return Ranges(((index, index + 1),))


def _epoch_file(path: Path, epoch_path: Path | None) -> EpochFile:
    return EpochFile(epoch_path or path.with_name(path.name + ".epoch"))
