"""Proof, from the stores of both servers, that no index served twice: what their append-only logs say, compared.

A server uses an index only in the session for which it reserved it, and gives it once in a session. So it is enough
that no index was reserved twice by a server, and that where both reserved one they did so in the same pair of
sessions: then one query at most was masked with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pehealth.config import Party
from pehealth.errors import MaterialError
from pehealth.store.database import Database
from pehealth.store.ranges import Ranges
from pehealth.store.shelf import Happened


@dataclass(frozen=True)
class Entry:
    """One line of a store's log: what happened to indices first, ..., until - 1, and in which pair of sessions."""

    what: Happened
    first: int
    until: int
    session: str
    peer: str


@dataclass(frozen=True)
class Marks:
    """What one store says.

    Attributes:
        party: whose it is.
        log: every line, in the order in which it was written.
        stock: indices that are there and unused.
        spent: indices that may never be used again.
    """

    party: Party
    log: tuple[Entry, ...]
    stock: Ranges
    spent: Ranges

    def of(self, what: Happened) -> Ranges:
        """Return all indices to which it happened."""
        return Ranges.of((e.first, e.until) for e in self.log if e.what is what)


def read_marks(path: Path) -> Marks:
    """Return the marks in the store at `path`, which nobody may have open.

    Raises:
        MaterialError: it is missing, damaged, or open.
    """
    database = Database.open(path)
    try:
        rows = database.run("SELECT what, first, until, session, peer FROM log ORDER BY n")
        spent = Ranges.of((a, b) for a, b in database.run("SELECT first, until FROM spent"))
        stock = Ranges().with_indices(index for (index,) in database.run("SELECT idx FROM records"))
        return Marks(
            Party(database.text("party")), tuple(Entry(Happened(what), *rest) for what, *rest in rows), stock, spent
        )
    except (ValueError, TypeError) as error:
        raise MaterialError(f"{path} is damaged: its log holds what nobody writes there") from error
    finally:
        database.abandon()


def problems(one: Marks, two: Marks) -> tuple[str, ...]:
    """Return every sign that an index was, or could be, used twice: none, if all is well."""
    return (*_alone(one), *_alone(two), *_together(one, two))


def _alone(marks: Marks) -> Iterator[str]:
    for what in (Happened.STORED, Happened.RESERVED, Happened.USED):
        for index in _repeated((e.first, e.until) for e in marks.log if e.what is what):
            yield f"{marks.party}: {index} was {what} twice"
    reserved = marks.of(Happened.RESERVED)
    for text, wrong in (
        ("used and never reserved", marks.of(Happened.USED) - reserved),
        ("reserved and not marked as spent", reserved - marks.spent),
        ("spent and still in stock", marks.spent & marks.stock),
    ):
        if wrong:
            yield f"{marks.party}: {wrong} {text}"


def _together(one: Marks, two: Marks) -> Iterator[str]:
    for mine in _reserved(one):
        for theirs in _reserved(two):
            both = Ranges.of([(mine.first, mine.until)]) & Ranges.of([(theirs.first, theirs.until)])
            if both and (mine.session, mine.peer) != (theirs.peer, theirs.session):
                yield f"{both} were reserved by {one.party} and {two.party} in sessions that had not met"


def _reserved(marks: Marks) -> list[Entry]:
    return [e for e in marks.log if e.what is Happened.RESERVED]


def _repeated(spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    seen = Ranges()
    for span in spans:
        again = seen & Ranges.of([span])
        if again:
            yield str(again)
        seen |= Ranges.of([span])
