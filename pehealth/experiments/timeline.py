"""A picture of a query: a lane for each party, its computing and sending, messages from lane to lane."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pehealth.experiments.critical import Piece
from pehealth.experiments.picture import Box, Picture, Stroke, Words
from pehealth.experiments.replay import Done, Replayed
from pehealth.experiments.units import duration

LANE, BAR, LEFT, RIGHT, TOP, BOTTOM = 64.0, 22.0, 80.0, 24.0, 64.0, 56.0
WIDTH = 1000.0
LEAST = 0.75
"""Pixels that the shortest bar is wide."""


def timeline(
    query: Replayed, path: Sequence[Piece], parties: Sequence[str], layers: Sequence[str], title: str
) -> Picture:
    """Return the picture; `path` is drawn over it, `layers` are names by index."""
    parties = [p for p in parties if p in query.programs]
    end = max([query.seconds, *(s[-1].ended for s in query.programs.values() if s), 1e-9])
    drawing = _Timeline(query, parties, layers, end, title)
    drawing.axis()
    drawing.bars()
    drawing.messages()
    for piece in path:
        drawing.emphasise(piece)
    drawing.legend()
    return drawing.picture


class _Timeline:
    def __init__(self, query: Replayed, parties: Sequence[str], layers: Sequence[str], end: float, title: str) -> None:
        height = TOP + LANE * len(parties) + BOTTOM
        words = f"A lane for each of {', '.join(parties)}; {duration(query.seconds)} from start to result."
        self.picture = Picture(WIDTH, height, title, words)
        self._query, self._parties, self._layers, self._end = query, parties, layers, end
        self.picture.add(Words(LEFT, 24, title, bold=True))

    def _x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / self._end

    def _y(self, party: str) -> float:
        """Return the middle of a party's lane."""
        return TOP + LANE * (self._parties.index(party) + 0.5)

    def axis(self) -> None:
        """Draw times and the lanes' names."""
        foot = TOP + LANE * len(self._parties)
        for tick in ticks(self._end):
            x = self._x(tick)
            self.picture.add(
                Stroke(((x, TOP), (x, foot)), "grid"), Words(x, foot + 18, duration(tick), "faint", "middle")
            )
        for party in self._parties:
            y = self._y(party)
            self.picture.add(Stroke(((LEFT, y), (WIDTH - RIGHT, y)), "grid"))
            self.picture.add(Words(LEFT - 10, y + 4, party, anchor="end", bold=True))

    def bars(self) -> None:
        """Draw what each party computed and sent."""
        for party in self._parties:
            for done in self._query.programs[party]:
                if done.step.kind == "compute":
                    self._bar(party, done, done.began, "compute", BAR)
                elif done.step.kind == "send":
                    self._bar(party, done, done.starts, "transfer", BAR / 2)

    def _bar(self, party: str, done: Done, began: float, ink: str, height: float) -> None:
        x, width = self._x(began), max(self._x(done.ended) - self._x(began), LEAST)
        name = self._layers[done.step.layer]
        took = duration(done.ended - began)
        if ink == "compute":
            self.picture.add(Box(x, self._y(party) - height / 2, width, height, "compute", f"{party} {name}: {took}"))
            if width > 7 * len(name):
                self.picture.add(Words(x + width / 2, self._y(party) + 4, name, "paper", "middle"))
        else:
            note = f"{party} to {done.step.peer}, {name}: {done.step.size:,} bytes, {took}"
            self.picture.add(Box(x, self._y(party) - height / 2, width, height, "transfer", note))

    def messages(self) -> None:
        """Draw a line from where a message left its sender to where it arrived."""
        for receiver in self._parties:
            for done in self._query.programs[receiver]:
                if done.step.kind == "take" and done.cause is not None and done.cause[0] == self._query.trace.query:
                    sent = self._query.done(done.cause)
                    name = self._layers[done.step.layer]
                    note = f"{done.step.peer} to {receiver}, {name}: {done.step.size:,} bytes"
                    self._line(done.step.peer, sent.ended, receiver, done.arrives, note)

    def _line(self, sender: str, leaves: float, receiver: str, arrives: float, note: str) -> None:
        points = ((self._x(leaves), self._y(sender)), (self._x(arrives), self._y(receiver)))
        self.picture.add(Stroke(points, "message", 1, note))

    def emphasise(self, piece: Piece) -> None:
        """Draw a piece of the critical path."""
        begin, end = self._x(piece.began), self._x(piece.ended)
        if piece.cause != "latency":
            where = piece.peer if piece.cause == "handling" else piece.party
            y = self._y(where) + BAR / 2 + 4
            self.picture.add(Stroke(((begin, y), (max(end, begin + LEAST), y)), "path", 3))
        else:
            self.picture.add(Stroke(((begin, self._y(piece.party)), (end, self._y(piece.peer))), "path", 2))

    def legend(self) -> None:
        """Say what the inks mean."""
        y = self.picture.height - 14
        self.picture.add(Box(LEFT, y - 9, 16, 10, "compute"), Words(LEFT + 22, y, "computes", "faint"))
        self.picture.add(
            Box(LEFT + 120, y - 9, 16, 10, "transfer"), Words(LEFT + 142, y, "puts a message on its line", "faint")
        )
        self.picture.add(
            Stroke(((LEFT + 320, y - 4), (LEFT + 336, y - 4)), "message"), Words(LEFT + 342, y, "message", "faint")
        )
        self.picture.add(
            Stroke(((LEFT + 430, y - 4), (LEFT + 446, y - 4)), "path", 3),
            Words(LEFT + 452, y, "critical path", "faint"),
        )


def ticks(end: float, most: int = 8) -> list[float]:
    """Return round numbers from 0 to `end`, at most about `most`."""
    raw = end / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    return [i * step for i in range(int(end / step) + 1)]
