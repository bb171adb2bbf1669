"""Readings from a file or a stream, a row after the other: CSV, NPY, or bare little-endian float32.

Everything here is a generator: a row is there as soon as its last byte has come. What is wrong is named by line and
column, and never by value: a reading is a patient's.
"""

from __future__ import annotations

import csv
import math
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pehealth.data.ranges import Floats
from pehealth.errors import ConfigError, RangeError

Format = Literal["csv", "npy", "f32"]
"""Of a file or a stream: lines of numbers, numpy's own format, or bare little-endian float32."""
STREAM = Path("-")
LINE_BYTES = 16 << 20
"""The longest line that is read; beyond it something else than a CSV file came."""
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".txt": "csv", ".npy": "npy", ".f32": "f32", ".raw": "f32"}
_READ_BYTES = 64 << 10
_NOT_NPY = (
    ValueError, TypeError, KeyError, OverflowError, SyntaxError, tokenize.TokenError, EOFError, OSError, MemoryError,
)  # fmt: skip
"""What numpy raises for a file that is none, or whose header is wrong in one of many ways."""


class Row(NamedTuple):
    """One row of readings.

    Attributes:
        number: which line of a CSV file, from 1; else which row, from 0.
        values: float64 (columns,), all of them finite.
    """

    number: int
    values: Floats


@dataclass(frozen=True)
class Source:
    """Rows, and what to call them in a message.

    Attributes:
        name: the file.
        unit: what `Row.number` counts: "line" or "row".
        rows: the rows; reading them raises ConfigError or RangeError.
        header: names of the columns; filled once the first row was read, empty if the file has none.
    """

    name: str
    unit: str
    rows: Iterator[Row]
    header: list[str]


def format_of(path: Path, named: Format | None) -> Format:
    """Return the format that was named, or else that of the file's ending; a stream holds CSV unless named.

    Raises:
        ConfigError: the ending tells nothing.
    """
    if named is not None:
        return named
    if path == STREAM:
        return "csv"
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ConfigError(f"{path}: the ending tells no format; give --format csv, npy or f32")
    return found


def open_rows(stream: BinaryIO, name: str, kind: Format, columns: int) -> Source:
    """Return the rows of an open file or stream.

    Args:
        stream: opened for bytes.
        name: of the file, for messages.
        kind: its format.
        columns: readings in a row; an array (n, a, b) has rows of a * b.
    """
    header: list[str] = []
    if kind == "csv":
        return Source(name, "line", _csv_rows(stream, name, columns, header), header)
    rows = _npy_rows(stream, name, columns) if kind == "npy" else _float_rows(stream, name, columns)
    return Source(name, "row", rows, header)


def _csv_rows(stream: BinaryIO, name: str, columns: int, header: list[str]) -> Iterator[Row]:
    number, begun = 0, False
    while line := stream.readline(LINE_BYTES + 1):
        number += 1
        if len(line) > LINE_BYTES:
            raise ConfigError(f"{name} line {number}: longer than {LINE_BYTES} bytes; is it CSV?")
        cells = _cells(line, f"{name} line {number}")
        if not cells:
            continue
        if not begun and all(_number(cell) is None for cell in cells):
            header.extend(cells)
            begun = True
            continue
        begun = True
        yield Row(number, _row(cells, columns, f"{name} line {number}"))


def _cells(line: bytes, where: str) -> list[str]:
    """Return the cells of a line; none for one that is empty or a comment."""
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not UTF-8; give --format f32 for bare float32") from error
    if not text or text.startswith("#"):
        return []
    try:
        return [cell.strip() for cell in next(csv.reader([text]), [])]
    except csv.Error as error:
        raise ConfigError(f"{where}: not CSV: {error}") from error


def _number(cell: str) -> float | None:
    """Return the number in a cell; Python's own underscores within numbers are none of CSV's."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _row(cells: list[str], columns: int, where: str) -> Floats:
    values = [_number(cell) for cell in cells]
    for place, value in enumerate(values, 1):
        if value is None:
            what = "is empty" if not cells[place - 1] else "is not a number"
            raise RangeError(f"{where}, column {place}: {what}")
        if not math.isfinite(value):
            raise RangeError(f"{where}, column {place}: is not a finite number")
    if len(values) != columns:
        raise ConfigError(f"{where}: expected {columns} columns, came {len(values)}")
    return np.array(values, np.float64)


def _npy_rows(stream: BinaryIO, name: str, columns: int) -> Iterator[Row]:
    try:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    except _NOT_NPY as error:
        raise ConfigError(f"{name} is no NPY file of numbers: {error}") from error
    for number, values in enumerate(_table(array, name, columns)):
        yield Row(number, _finite(values, f"{name} row {number}"))


def _table(array: NDArray[np.generic], name: str, columns: int) -> NDArray[np.generic]:
    """Return an array (n, ...) as (n, columns); an array that holds a single row may leave n out."""
    if array.dtype.kind not in "iufb":
        raise ConfigError(f"{name}: expected an array of real numbers, came {array.dtype}")
    if array.ndim > 0:
        width = math.prod(array.shape[1:])
        if width == columns:
            return array.reshape(len(array), width)
        if array.size == columns:
            return array.reshape(1, columns)
    raise ConfigError(f"{name}: expected an array of rows of {columns} readings, came the shape {array.shape}")


def _float_rows(stream: BinaryIO, name: str, columns: int) -> Iterator[Row]:
    size, number = 4 * columns, 0
    while raw := _exactly(stream, size):
        if len(raw) < size:
            raise ConfigError(f"{name} row {number}: ends after {len(raw)} of {size} bytes")
        yield Row(number, _finite(np.frombuffer(raw, "<f4"), f"{name} row {number}"))
        number += 1


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """Return the next `size` bytes, or fewer at the end; a pipe may hand them over in pieces."""
    parts, left = [], size
    while left and (part := stream.read(min(left, _READ_BYTES))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _finite(values: NDArray[np.generic], where: str) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):  # what is no number is told below, with its place
        wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        place = int(np.flatnonzero(~np.isfinite(wide))[0]) + 1
        raise RangeError(f"{where}, column {place}: is not a finite number")
    return wide
