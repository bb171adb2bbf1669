"""The fields of a request: every one is looked at before it is used, and none may be left over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pehealth.errors import PeerProtocolError
from pehealth.store.ranges import Ranges

MOST_INDEX = 2**62 - 1
MOST_SPANS = 4096


class Fields:
    """What a peer sent with a request. Each method takes one field out; `finish` refuses what is left.

    Args:
        op: what was asked for, for messages.
        given: the fields; nothing about them is known.
    """

    def __init__(self, op: str, given: Mapping[str, Any]) -> None:
        self._op, self._left = op, dict(given)

    def number(self, name: str, least: int, most: int) -> int:
        """Return an integer within bounds.

        Raises:
            PeerProtocolError: it is not there, or is none. So do the others.
        """
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(name, f"a number from {least} to {most}")
        return value

    def index(self, name: str = "index") -> int:
        """Return the index of a query."""
        return self.number(name, 1, MOST_INDEX)

    def text(self, name: str, most: int = 256, *, default: str | None = None) -> str:
        """Return a text of at most `most` characters."""
        if default is not None and name not in self._left:
            return default
        value = self._take(name)
        if not isinstance(value, str) or len(value) > most:
            raise self._wrong(name, f"a text of at most {most} characters")
        return value

    def octets(self, name: str, most: int) -> bytes:
        """Return at most `most` bytes."""
        value = self._take(name)
        if not isinstance(value, bytes) or len(value) > most:
            raise self._wrong(name, f"at most {most} bytes")
        return value

    def table(self, name: str) -> Mapping[str, Any]:
        """Return a map whose keys are texts."""
        value = self._take(name)
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self._wrong(name, "a map")
        return value

    def spans(self, name: str) -> Ranges:
        """Return half-open ranges of indices."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) > MOST_SPANS or not all(map(_is_span, value)):
            raise self._wrong(name, f"at most {MOST_SPANS} ranges of indices")
        return Ranges.of((first, until) for first, until in value)

    def finish(self) -> None:
        """Refuse fields that nobody asked for."""
        if self._left:
            raise PeerProtocolError(f"request {self._op!r} has fields that it does not take: {_names(self._left)}")

    def _take(self, name: str) -> object:
        return self._left.pop(name, None)

    def _wrong(self, name: str, expected: str) -> PeerProtocolError:
        return PeerProtocolError(f"request {self._op!r}: {name} must be {expected}")


def _is_span(item: object) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 2
        and all(type(end) is int and 0 <= end <= MOST_INDEX + 1 for end in item)
        and item[0] < item[1]
    )


def _names(given: Mapping[str, Any]) -> str:
    return ", ".join(repr(name)[:40] for name in list(given)[:5])
