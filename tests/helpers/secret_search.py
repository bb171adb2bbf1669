"""The secrets of real runs, collected where they are made, and a search for them in whatever the program has written.

Collected are windows of 8 bytes of everything that a generator gave out or was keyed with (seeds, the common key,
masks, pads, shares), of every message of set-up, offline and online phase (ciphertexts, model shares, material,
uploads, result shares), and the numbers of shares, weights and readings. Searched for is every window in every form in
which a program shows bytes: as they are, in hex, base64, lists of decimals, escapes; numbers by themselves if they are
large, else in their order. Left out are windows that public text can hold by chance or by design: all printable, or of
few values.
"""

from __future__ import annotations

import base64
import gc
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from pehealth.codec import packing
from pehealth.crypto.prg import Prg
from pehealth.engines.interface import Record
from pehealth.nets.weights import QuantizedModel
from transport.channel import Channel
from transport.interfaces import Phase, Tag

WINDOW = 8
KEPT_HEAD, KEPT_TAIL = 2048, 256
"""Of a long secret its beginning and its end are kept: what a program shows of a long array is one of them."""
LEAST_VALUES = 5
"""A window of fewer different bytes may be a counter or a padded number."""
LARGE = 10**8
"""Numbers from here on are searched for by themselves, if nothing else is said. Sizes and places are smaller."""
REQUEST_STEPS = (16, 17)
"""SETUP messages of layer 0 that carry requests and replies of services: names and counts."""
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")


class Secrets:
    """What must not be told; numbers from `large` on are searched for by themselves."""

    def __init__(self, large: int = LARGE) -> None:
        self._least = large
        self._pieces: list[bytes] = []
        self._index: np.ndarray | None = None
        self._large: set[int] = set()
        self._triples: set[tuple[float, float, float]] = set()

    def __repr__(self) -> str:
        return f"<Secrets of {len(self._pieces)} pieces>"

    def add_bytes(self, data: bytes) -> None:
        """Keep a secret string of bytes."""
        pieces = [data] if len(data) <= KEPT_HEAD + KEPT_TAIL else [data[:KEPT_HEAD], data[-KEPT_TAIL:]]
        self._pieces += pieces
        self._index = None

    def add_numbers(self, values: Any) -> None:
        """Keep an array of secret numbers."""
        flat = np.asarray(values, None if isinstance(values, np.ndarray) else object).ravel()
        row = [v.item() if isinstance(v, np.generic) else v for v in (*flat[:1000], *flat[-100:])]
        self._large.update(abs(int(v)) for v in row if abs(v) >= self._least)
        row = [abs(float(v)) for v in row]
        telling = [v >= 100 or not v.is_integer() for v in row]
        for at in range(len(row) - 2):
            if all(telling[at : at + 3]):
                self._triples.add(tuple(map(_rounded, row[at : at + 3])))

    @property
    def size(self) -> int:
        """Number of different windows."""
        return len(self._windows())

    def _windows(self) -> np.ndarray:
        if self._index is None:
            found = [_windows_of(piece) for piece in self._pieces]
            self._index = np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)
        return self._index

    def found_in(self, told: str | bytes) -> list[str]:
        """Return what gives something away in a text or in the content of a file."""
        raw = told.encode("utf-8", "surrogateescape") if isinstance(told, str) else told
        text = raw.decode("utf-8", "replace")
        return [*self._bytes_in(raw, text), *self._numbers_in(text)]

    def _bytes_in(self, raw: bytes, text: str) -> Iterator[str]:
        index = self._windows()
        for form, data in (("raw", raw), *_decoded(text)):
            windows = _windows_of(data)
            if not windows.size or not index.size:
                continue
            places = np.searchsorted(index, windows).clip(max=len(index) - 1)
            for hit in windows[index[places] == windows][:3]:
                yield f"{form}: {int(hit).to_bytes(WINDOW, 'little').hex()}"

    def _numbers_in(self, text: str) -> Iterator[str]:
        numbers = [(word, abs(float(word))) for word in NUMBER.findall(text)]
        for word, _ in numbers:
            if word.lstrip("-").isdecimal() and int(word.lstrip("-")) in self._large:
                yield f"number: {word}"
        values = [_rounded(value) for _, value in numbers]
        for triple in zip(values, values[1:], values[2:], strict=False):
            if triple in self._triples:
                yield f"numbers: {triple}"


def _rounded(value: float) -> float:
    """Return a number as far as numpy shows it."""
    return float(f"{value:.8g}")


def _windows_of(data: bytes) -> np.ndarray:
    """Return the telling windows of a string, each as one number."""
    if len(data) < WINDOW:
        return np.empty(0, np.uint64)
    rows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), WINDOW)
    printable = ((rows >= 32) & (rows < 127)).all(axis=1)
    values = (np.diff(np.sort(rows, axis=1), axis=1) != 0).sum(axis=1) + 1
    telling = rows[~printable & (values >= LEAST_VALUES)]
    return np.ascontiguousarray(telling).view("<u8").ravel()


def _decoded(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield (form, bytes) for all that a text may show of bytes."""
    for run in re.findall(r"[0-9a-fA-F]{16,}", text):
        for shift in (0, 1):
            part = run[shift:]
            yield "hex", bytes.fromhex(part[: len(part) // 2 * 2])
    for run in re.findall(r"(?:[0-9a-fA-F]{2}[: ]){7,}[0-9a-fA-F]{2}", text):
        yield "hex", bytes.fromhex(re.sub("[: ]", "", run))
    for run in re.findall(r"[A-Za-z0-9+/_-]{11,}", text):
        plain = run.replace("-", "+").replace("_", "/")
        for shift in range(4):
            part = plain[shift:]
            yield "base64", base64.b64decode(part[: len(part) // 4 * 4])
            yield "base64", base64.b64decode(part + "A" * (-len(part) % 4))
    for run in re.findall(r"\d{1,3}(?:[\s,;]{1,4}\d{1,3}){7,}", text):
        numbers = [int(number) for number in re.findall(r"\d+", run)]
        yield "decimals", bytes(number & 255 for number in numbers)
    if "\\" in text:
        yield "escapes", _unescaped(text)
    yield from _strings_of_json(text)


ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u00([0-9a-fA-F]{2})|(.))", re.DOTALL)
SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}


def _unescaped(text: str) -> bytes:
    """Return a text with its escapes resolved, as in the repr of bytes or in JSON."""

    def byte(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else SHORT.get(match[3], match[3])

    return ESCAPE.sub(byte, text).encode("latin-1", "replace")


def _strings_of_json(text: str) -> Iterator[tuple[str, bytes]]:
    for part in (text, *text.splitlines()):
        if part.lstrip()[:1] in ("{", "["):
            try:
                value = json.loads(part)
            except ValueError:
                continue
            for string in _strings(value):
                yield "json", string.encode("utf-8", "replace")
                yield "json", string.encode("latin-1", "replace")


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_strings(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


OURS = ("pehealth.", "parties.", "transport.")
EACH = 12
"""Objects of one type that are looked at."""
HOLDERS = {"Prg", "RingWeights", "ReadyQuery", "QuantizedModel"}
"""Types that hold secrets: shown field by field, they would tell them."""


class Seen:
    """What the objects of ours that are alive would tell of themselves, and what they hold."""

    def __init__(self) -> None:
        self.told: dict[str, set[str]] = {}
        self.held: dict[str, set[str]] = {}

    def look(self) -> None:
        """Look at what is alive now."""
        for value in gc.get_objects():
            name = type(value).__name__
            told = self.told.setdefault(name, set())
            if f"{type(value).__module__}.".startswith(OURS) and len(told) < EACH:
                told.add(f"{value!r} {value}")
                if name in HOLDERS:
                    self.held.setdefault(name, set()).add(str(fields_of(value)))


def fields_of(value: object, depth: int = 3) -> list[object]:
    """What an object of ours holds, and what that holds."""
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif f"{type(value).__module__}.".startswith(OURS):
        slots = [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
        parts = [*getattr(value, "__dict__", {}).values(), *slots]
    else:
        return [value]
    return [value] if depth == 0 else [inner for part in parts for inner in fields_of(part, depth - 1)]


def collect(monkeypatch: pytest.MonkeyPatch, large: int = LARGE) -> Secrets:
    """Collect secrets from now on, in this process."""
    kept = Secrets(large)

    def after(owner: type, name: str, take: Callable[..., None]) -> None:
        real = getattr(owner, name)

        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = real(self, *args, **kwargs)
            take(result, *args)
            return result

        monkeypatch.setattr(owner, name, wrapped)

    after(Prg, "__init__", lambda _, key: kept.add_bytes(bytes(key)))
    after(Prg, "_take", lambda result, _: kept.add_bytes(result.tobytes()))
    after(Prg, "ring", lambda result, *_: kept.add_numbers(result))
    after(Prg, "below", lambda result, *_: kept.add_numbers(result))
    after(
        QuantizedModel, "encode_input", lambda result, readings: (kept.add_numbers(readings), kept.add_numbers(result))
    )
    real_send, real_pack = Channel.send, packing.pack

    async def send(self: Channel, tag: Tag, payload: Any, *args: Any) -> None:
        if tag.phase is not Phase.SETUP or tag.layer or tag.step not in REQUEST_STEPS:
            kept.add_bytes(bytes(payload))
        await real_send(self, tag, payload, *args)

    def pack(words: Any, bits: int) -> bytes:
        kept.add_numbers(words)
        return real_pack(words, bits)

    real_record, real_model = Record.__init__, QuantizedModel.__init__

    def record(self: Record, *args: Any, **kwargs: Any) -> None:
        real_record(self, *args, **kwargs)
        for array in self.arrays.values():
            kept.add_bytes(array.tobytes())
            kept.add_numbers(array)

    def model(self: QuantizedModel, *args: Any, **kwargs: Any) -> None:
        real_model(self, *args, **kwargs)
        for array in (*self.weights, *self.biases):
            kept.add_numbers(array)

    monkeypatch.setattr(Record, "__init__", record)
    monkeypatch.setattr(QuantizedModel, "__init__", model)
    monkeypatch.setattr(Channel, "send", send)
    for module in list(sys.modules.values()):
        if getattr(module, "pack", None) is real_pack:
            monkeypatch.setattr(module, "pack", pack)
    return kept
