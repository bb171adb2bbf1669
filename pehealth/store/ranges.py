"""Sets of indices as few disjoint half-open ranges: which material is gone, in a form that two servers can compare."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

MOST = 2**63 - 1
"""Greatest end of a range: SQLite's numbers end there."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Disjoint, ascending, never touching: two equal sets are equal objects. Build one with `of`."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> Ranges:
        """Return the union of half-open ranges in any order."""
        merged: list[tuple[int, int]] = []
        for first, end in sorted(span for span in spans if span[0] < span[1]):
            if merged and first <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], end)
            else:
                merged.append((first, end))
        return cls(tuple(merged))

    @classmethod
    def read(cls, spans: object) -> Ranges:
        """Return the union of half-open ranges that somebody else names as a list of pairs.

        Raises:
            ValueError: it is something else, or a number that no store can hold.
        """
        if not isinstance(spans, list | tuple):
            raise ValueError("expected a list of ranges")  # noqa: TRY004 - bytes of a peer, not a caller's mistake
        for span in spans:
            whole = isinstance(span, list | tuple) and len(span) == 2 and all(type(number) is int for number in span)
            if not (whole and 0 <= span[0] < span[1] <= MOST):
                raise ValueError(f"expected ranges of two numbers, ascending, from 0 to {MOST}")
        return cls.of((first, end) for first, end in spans)

    def __contains__(self, index: int) -> bool:
        place = bisect_right(self.spans, index, key=lambda span: span[0]) - 1
        return place >= 0 and index < self.spans[place][1]

    def __or__(self, other: Ranges) -> Ranges:
        return Ranges.of((*self.spans, *other.spans))

    def __and__(self, other: Ranges) -> Ranges:
        """Both at once, in one pass: a peer may name thousands of ranges."""
        both: list[tuple[int, int]] = []
        mine, theirs = 0, 0
        while mine < len(self.spans) and theirs < len(other.spans):
            (a, b), (c, d) = self.spans[mine], other.spans[theirs]
            if max(a, c) < min(b, d):
                both.append((max(a, c), min(b, d)))
            mine, theirs = mine + (b <= d), theirs + (d <= b)
        return Ranges(tuple(both))

    def __sub__(self, other: Ranges) -> Ranges:
        if not self.spans:
            return self
        first, last = self.spans[0][0], self.spans[-1][1]
        ends = [first, *(end for a, b in other.spans if b > first and a < last for end in (a, b)), last]
        return self & Ranges.of(zip(ends[::2], ends[1::2], strict=True))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.spans)

    def __len__(self) -> int:
        return sum(end - first for first, end in self.spans)

    @property
    def indices(self) -> Iterator[int]:
        """All members, ascending."""
        return (index for first, end in self.spans for index in range(first, end))

    def lowest(self, count: int) -> Ranges:
        """Return the `count` lowest members; all if there are fewer."""
        out: list[tuple[int, int]] = []
        for first, end in self.spans:
            end = min(end, first + count)
            out.append((first, end))
            count -= end - first
        return Ranges.of(out)

    def closed(self, most: int) -> Ranges:
        """Return the set with its narrowest gaps filled, so that at most `most` spans are left."""
        gaps = sorted((after[0] - before[1], before[1], after[0]) for before, after in pairwise(self.spans))
        return self | Ranges.of((first, end) for _, first, end in gaps[: max(0, len(self.spans) - most)])

    def with_indices(self, indices: Iterable[int]) -> Ranges:
        """Return the set with single indices added."""
        return self | Ranges.of((i, i + 1) for i in indices)

    def __str__(self) -> str:
        return ", ".join(str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in self.spans) or "none"
