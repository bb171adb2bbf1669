"""Arrays from an .npz that somebody else has made: nothing is unpickled, and nothing takes memory that is not there.

An .npz is a zip of .npy files. Both announce sizes, so both are checked against each other, and the sum of all
against a limit, before an array is made.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 2**30
"""Greatest sum of all arrays of a file, unpacked: a zip unpacks to a thousand times its size."""
MOST_ARRAYS = 4096
_SUFFIX = ".npy"
_KINDS = "biuf"


def read_arrays(stream: IO[bytes], most: int = MOST_BYTES) -> dict[str, NDArray[Any]]:
    """Return the arrays of numbers in an .npz by name.

    Raises:
        ValueError: it is none, is damaged, unpacks to more than `most` bytes, or holds anything but arrays of numbers.
        OSError: it cannot be read.
    """
    try:
        if not zipfile.is_zipfile(stream):
            raise ValueError("it is no .npz")
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            return {entry.filename[: -len(_SUFFIX)]: _read(archive, entry) for entry in _entries(archive, most)}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OverflowError) as error:
        # RuntimeError: a password is asked for; OverflowError: a place in the file that no file has.
        raise ValueError(f"it is a damaged .npz: {error}") from error


def _entries(archive: zipfile.ZipFile, most: int) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    if len(names) != len(entries) or len(entries) > MOST_ARRAYS:
        raise ValueError(f"{len(entries)} entries under {len(names)} names; expected one each, {MOST_ARRAYS} at most")
    if not all(name.endswith(_SUFFIX) for name in names):
        raise ValueError(f"expected entries that end in {_SUFFIX}, came {sorted(names)[:5]}")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        # An LZMA stream says itself how many gigabytes its reader must set aside.
        raise ValueError("expected entries that are stored or deflated")
    total = sum(entry.file_size for entry in entries)
    if total > most:
        raise ValueError(f"it unpacks to {total} bytes; {most} are allowed")
    return entries


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as source:
        return _read_array(source, entry)


def _read_array(source: IO[bytes], entry: zipfile.ZipInfo) -> NDArray[Any]:
    version = np.lib.format.read_magic(source)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{entry.filename} has .npy format {version}; expected 1.0 or 2.0")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran_order, dtype = read(source)
    except (TypeError, RecursionError, MemoryError, SyntaxError, tokenize.TokenError) as error:
        # The header is a Python literal, and these are how a crafted one can end.
        raise ValueError(f"{entry.filename} has no .npy header") from error
    if dtype.kind not in _KINDS or dtype.hasobject:
        raise ValueError(f"{entry.filename} holds {dtype}, not numbers")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{entry.filename} has shape {shape}")
    size, there = math.prod(shape) * dtype.itemsize, entry.file_size - source.tell()
    if size != there:
        raise ValueError(f"{entry.filename} of shape {shape} takes {size} bytes; {there} are there")
    body = source.read(size)
    if len(body) != size or source.read(1):
        raise ValueError(f"{entry.filename} has {len(body)} bytes of {size}")
    flat = np.frombuffer(body, dtype)
    return flat.reshape(shape[::-1]).T if fortran_order else flat.reshape(shape)
