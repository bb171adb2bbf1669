"""Reading a table of a TOML file: every value checked, every problem kept, unknown keys named with what was meant."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping


class TomlReader:
    """One table; `problems` is shared by all tables of a file.

    Args:
        table: what was read.
        where: name of the table for messages, empty for the top.
        problems: every problem found so far.
    """

    def __init__(self, table: Mapping[str, object], where: str, problems: list[str]) -> None:
        self._table, self._where, self.problems = table, where, problems
        self._known: list[str] = []

    def name(self, key: str) -> str:
        """Return what to call a key in a message."""
        return f"[{self._where}] {key}" if self._where else key

    def complain(self, key: str, problem: str) -> None:
        """Keep a problem with the value of `key`."""
        self.problems.append(f"{self.name(key)}{problem}")

    def text(self, key: str, default: str | None = None, *, example: str = "") -> str:
        """Return a text that is not empty; without a default the key must be there. A problem gives an empty text."""
        value = self._take(key)
        if value is None:
            if default is None:
                self.complain(key, f" is missing: for instance {key} = {example}")
            return default or ""
        if not isinstance(value, str) or not value.strip():
            self.complain(key, f" = {_shown(value)}: expected a text in quotes")
            return ""
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """Return a number within bounds; a problem gives the default."""
        value = self._take(key)
        if value is None:
            return default
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not least <= float(str(value)) <= most:
            self.complain(key, f" = {_shown(value)}: expected a number from {least:g} to {most:g}")
            return default
        return float(str(value))

    def flag(self, key: str) -> bool:
        """Return whether a key is there and true."""
        value = self._take(key)
        if value is not None and not isinstance(value, bool):
            self.complain(key, f" = {_shown(value)}: expected true or false")
        return value is True

    def texts(self) -> dict[str, str]:
        """Return all of the table, whose keys are free and whose values are texts."""
        return {key: self.text(key) for key in self._table}

    def table(self, key: str, *, required: bool = False) -> TomlReader:
        """Return the reader of a table within this one; empty if it is not there."""
        value = self._take(key)
        where = f"{self._where}.{key}" if self._where else key
        if value is None and required:
            self.problems.append(f"[{where}] is missing")
        if value is not None and not isinstance(value, dict):
            self.complain(key, f" = {_shown(value)}: expected a table, [{where}]")
        return TomlReader(value if isinstance(value, dict) else {}, where, self.problems)

    def has(self, key: str) -> bool:
        """Say whether a key is there."""
        return key in self._table

    def finish(self) -> None:
        """Complain of keys that nobody asked for."""
        for key in self._table:
            if key not in self._known:
                close = difflib.get_close_matches(key, self._known, 1)
                meant = f"did you mean {close[0]}?" if close else f"expected {', '.join(self._known)}"
                self.complain(key, f" is not known: {meant}")

    def _take(self, key: str) -> object:
        self._known.append(key)
        return self._table.get(key)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
