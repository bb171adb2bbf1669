"""Windows over a time series: also what `pehealth.data.windows` cuts with, so that both cut alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Cutter(Generic[T]):
    """Cuts windows from items that are pushed in: the first `size`, then those from `stride` on, and so forth."""

    def __init__(self, size: int, stride: int) -> None:
        self._size, self._stride = size, stride
        self._held: deque[T] = deque()
        self._skip = 0

    def push(self, item: T) -> list[T] | None:
        """Take one item; return the window that it completes, if it does."""
        if self._skip:
            self._skip -= 1
            return None
        held = self._held
        held.append(item)
        if len(held) < self._size:
            return None
        window = list(held)
        for _ in range(min(self._stride, self._size)):
            held.popleft()
        self._skip = max(0, self._stride - self._size)
        return window


def windows(items: Iterable[T], size: int, stride: int) -> Iterator[list[T]]:
    """Yield the windows of items, each when its last item is there: see `Cutter`."""
    cutter = Cutter[T](size, stride)
    for item in items:
        window = cutter.push(item)
        if window is not None:
            yield window


def channels_first(rows: Sequence[Sequence[T]]) -> list[T]:
    """Return the sample in a window of rows, a channel a column: all of the first channel, then of the second, ..."""
    return [value for channel in zip(*rows, strict=True) for value in channel]
