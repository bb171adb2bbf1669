"""The critical path of a replayed query: the chain of computations and messages that decided when it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pehealth.experiments.replay import Done, Key, Replayed

Cause = Literal["compute", "transfer", "latency", "handling"]
CAUSES: tuple[Cause, ...] = ("compute", "transfer", "latency", "handling")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the path.

    Attributes:
        cause: "compute"; "transfer", while a message goes onto its line; "latency", while it travels, jitter included;
            "handling", what a message costs beside its network.
        party: who computed or sent.
        peer: to whom, of a message.
        layer: which layer it served.
        began, ended: seconds since the query began.
    """

    cause: Cause
    party: str
    peer: str
    layer: int
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ended - self.began


def critical_path(query: Replayed, handling: float = 0.0) -> tuple[Piece, ...]:
    """Return the path from the query's start to its end, without a gap; the pieces add up to `query.seconds`.

    Where two things end at the same time, the party's own computing goes before a message.
    """
    pieces = [piece for piece in _backwards(query, handling) if piece.seconds > 0]
    return tuple(reversed(pieces))


def _backwards(query: Replayed, handling: float) -> Iterator[Piece]:
    key = _last(query)
    while key[2] >= 0:
        done, party = query.done(key), key[1]
        before = (key[0], party, key[2] - 1)
        layer = done.step.layer
        if done.step.kind == "compute":
            yield Piece("compute", party, "", layer, done.began, done.ended)
            key = before
        elif done.step.kind == "send":
            yield Piece("transfer", party, done.step.peer, layer, done.starts, done.ended)
            key = done.cause or before
        elif done.cause is not None and done.arrives > done.began:
            yield from _travel(query.done(done.cause), done.cause[1], handling)
            key = done.cause
        else:
            key = before


def _travel(sent: Done, sender: str, handling: float) -> Iterator[Piece]:
    """Return, last first, what lies between a message's leaving and its being taken."""
    there = max(sent.arrives - handling, sent.leaves)
    layer, peer = sent.step.layer, sent.step.peer
    yield Piece("handling", sender, peer, layer, there, sent.arrives)
    yield Piece("latency", sender, peer, layer, sent.leaves, there)
    yield Piece("transfer", sender, peer, layer, max(sent.ended, sent.starts), sent.leaves)


def _last(query: Replayed) -> Key:
    """Return the step with which the query ended."""
    parties = [p for p, steps in query.programs.items() if steps and steps[-1].ended == query.seconds]
    party = parties[0]
    return query.trace.query, party, len(query.programs[party]) - 1


def totals(path: tuple[Piece, ...]) -> dict[Cause, float]:
    """Return the seconds of each cause."""
    return {cause: sum(p.seconds for p in path if p.cause == cause) for cause in CAUSES}


def by_layer(path: tuple[Piece, ...]) -> dict[tuple[str, int], dict[Cause, float]]:
    """Return the seconds of each cause, by party and layer in the order of the path."""
    out: dict[tuple[str, int], dict[Cause, float]] = {}
    for piece in path:
        row = out.setdefault((piece.party, piece.layer), dict.fromkeys(CAUSES, 0.0))
        row[piece.cause] += piece.seconds
    return out
