"""A shorter input that fails in the same way."""

from __future__ import annotations

from collections.abc import Iterator

from fuzzing.guard import Finding, try_input
from fuzzing.target import Target

MOST_TRIES = 2000


def minimise(target: Target, finding: Finding, *, traced: bool = False) -> bytes:
    """Return the shortest input that was found within some tries: pieces are cut out, then bytes are set to zero."""
    best, tries = finding.data, 0
    shorter = True
    while shorter and tries < MOST_TRIES:
        shorter = False
        for data in _smaller(best):
            tries += 1
            if _fails_alike(target, finding, data, traced=traced):
                best, shorter = data, True
                break
            if tries >= MOST_TRIES:
                break
    return best


def _smaller(data: bytes) -> Iterator[bytes]:
    size = len(data) // 2
    while size:
        for at in range(0, len(data), size):
            yield data[:at] + data[at + size :]
        size //= 2
    for at, octet in enumerate(data):
        if octet:
            yield data[:at] + b"\0" + data[at + 1 :]


def _fails_alike(target: Target, finding: Finding, data: bytes, *, traced: bool) -> bool:
    found = try_input(target, data, traced=traced)
    return found is not None and found.what == finding.what
