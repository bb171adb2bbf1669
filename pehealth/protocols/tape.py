"""A query's bit triples, each given out once and in order."""

from __future__ import annotations

from pehealth.errors import MaterialError
from pehealth.protocols.opening import Bits


class TripleTape:
    """Bit triples a, b, c with c = a & b, one server's XOR shares; `take` hands out the next ones.

    Raises:
        MaterialError: more is taken than was dealt.
    """

    __slots__ = ("_a", "_at", "_b", "_c")

    def __init__(self, a: Bits, b: Bits, c: Bits) -> None:
        self._a, self._b, self._c = a, b, c
        self._at = 0

    def __repr__(self) -> str:
        return f"<TripleTape {self.left} of {self._a.size} left>"

    @property
    def left(self) -> int:
        """Triples not yet taken."""
        return int(self._a.size) - self._at

    def take(self, rows: int, columns: int) -> tuple[Bits, Bits, Bits]:
        """Return three (rows, columns) arrays of bits that nobody was given before."""
        count = rows * columns
        if count > self.left:
            raise MaterialError(f"{count} bit triples are wanted, {self.left} are left: deal material for this plan")
        part = slice(self._at, self._at + count)
        self._at += count
        a, b, c = (bits[part].reshape(rows, columns) for bits in (self._a, self._b, self._c))
        return a, b, c
