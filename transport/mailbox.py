"""Messages that have arrived and wait to be taken: first in, first out, by query and phase."""

from __future__ import annotations

from collections import deque

from transport.framing import Frame
from transport.interfaces import Phase

FORGOTTEN = 4096
"""Queries that are remembered as forgotten; of more, the oldest are not."""
OVERHEAD = 1024
"""Bytes that a waiting message costs besides its payload: empty messages of many queries fill the buffer too."""


class Mailboxes:
    """The waiting messages of one channel. Keys are query and phase in one number: `key_of`."""

    def __init__(self, most: int) -> None:
        self.most = most
        """Bytes above which the channel stops reading."""
        self.size = 0
        self._boxes: dict[int, deque[Frame]] = {}
        self._forgotten: dict[int, None] = {}
        self._seen: dict[int, Frame] = {}
        """The oldest message of each box when it was last swept."""

    @property
    def full(self) -> bool:
        """True when no more should be read until something was taken."""
        return self.size > self.most

    def put(self, key: int, frame: Frame) -> None:
        """Add a message that nobody waits for yet, unless its query is forgotten."""
        if self._forgotten and key >> 2 in self._forgotten:
            return
        box = self._boxes.get(key)
        if box is None:
            box = self._boxes[key] = deque()
        box.append(frame)
        self.size += len(frame.payload) + OVERHEAD

    def take(self, key: int) -> Frame | None:
        """Return the oldest message of a key, or None."""
        box = self._boxes.get(key)
        if box is None:
            return None
        frame = box.popleft()
        if not box:
            del self._boxes[key]
        self.size -= len(frame.payload) + OVERHEAD
        return frame

    def forget(self, query: int) -> None:
        """Drop all messages of a query, those that are still to come too."""
        for phase in Phase:
            self._drop(query << 2 | phase)
        self._forgotten[query] = None
        if len(self._forgotten) > FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]

    def sweep(self) -> None:
        """Drop the online messages of every query of which one has waited since the last sweep."""
        seen, self._seen = self._seen, {}
        for key, box in list(self._boxes.items()):
            if key & 3 != Phase.ONLINE:
                continue
            if seen.get(key) is box[0]:
                self._drop(key)
            else:
                self._seen[key] = box[0]

    def _drop(self, key: int) -> None:
        for frame in self._boxes.pop(key, ()):
            self.size -= len(frame.payload) + OVERHEAD

    def clear(self) -> None:
        """Drop everything."""
        self._seen.clear()
        self._boxes.clear()
        self.size = 0

    def __str__(self) -> str:
        queries = sorted({key >> 2 for key in self._boxes})
        shown = ", ".join(map(str, queries[:5])) + (", ..." if len(queries) > 5 else "")
        return f"{self.size} bytes in {sum(map(len, self._boxes.values()))} messages of the queries {shown}"


def key_of(query: int, tag: int) -> int:
    """Return the mailbox of a message: its query and the phase in its packed tag."""
    return query << 2 | tag >> 30
