"""Windows over a time series: also what `pehealth.data.windows` cuts with, so that both cut alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def windows(items: Iterable[T], size: int, stride: int) -> Iterator[list[T]]:
    """Yield items 0 to size - 1, then those from `stride` on, and so forth, each when its last item is there."""
    held: deque[T] = deque()
    skip = 0
    for item in items:
        if skip:
            skip -= 1
            continue
        held.append(item)
        if len(held) == size:
            yield list(held)
            for _ in range(min(stride, size)):
                held.popleft()
            skip = max(0, stride - size)


def channels_first(rows: Sequence[Sequence[T]]) -> list[T]:
    """Return the sample in a window of rows, a channel a column: all of the first channel, then of the second, ..."""
    return [value for channel in zip(*rows, strict=True) for value in channel]
