"""Finding the files of a data set in a folder, in whatever packing they came, and checking what they hold.

Hashes are of the unpacked files, so it does not matter who packed them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pehealth.errors import ConfigError

ENVIRONMENT = "PEHEALTH_DATA"
_UNPACKED_LIMIT = 256 << 20
_PACKED = (".gz", ".zip")
_NESTING = 2  # UCI packs the wearable data as a zip in a zip


@dataclass(frozen=True)
class Part:
    """Files that are fetched and checked together.

    Attributes:
        label: the file as a mirror names it.
        pattern: full match of each file's name, unpacked.
        count: how many files match.
        sha256: of the files' contents, concatenated in the order of their names.
    """

    label: str
    pattern: str
    count: int
    sha256: str

    def matches(self, name: str) -> bool:
        """True if a file of this name belongs to the part."""
        return re.fullmatch(self.pattern, name) is not None

    def check(self, files: Mapping[str, bytes], where: str, remedy: str) -> None:
        """Check that `files` are the part's, complete and unchanged.

        Raises:
            ConfigError: it names what was expected, what was found and `remedy`.
        """
        if len(files) != self.count:
            raise ConfigError(f"{where}: {self.count} file(s) {self.pattern} expected, {len(files)} found; {remedy}")
        whole = hashlib.sha256()
        for name in sorted(files):
            whole.update(files[name])
        check_sha256(f"{self.label} in {where}", self.sha256, whole.hexdigest(), remedy)


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        name: as `load` and `fetch` take it.
        folder: its folder in the data directory.
        parts: what it is made of.
        mirrors: addresses, best first. One that ends in "/" is followed by each part's label.
    """

    name: str
    folder: str
    parts: tuple[Part, ...]
    mirrors: tuple[str, ...]


def data_directory(given: Path | None) -> Path | None:
    """Return `given`, or else what PEHEALTH_DATA names, or None."""
    if given is not None:
        return given
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else None


def read_part(source: Source, part: Part, directory: Path | None) -> dict[str, bytes]:
    """Return the checked files of `part`, by name, from the data directory.

    Raises:
        ConfigError: no directory is known, files are missing, or their hash is not the pinned one.
    """
    remedy = f"`pehealth data fetch {source.name}` gets it, or --data-dir / {ENVIRONMENT} names the folder that has it"
    if directory is None:
        raise ConfigError(f"the {source.name} data is not here: {remedy}")
    folder = directory / source.folder
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not there: {remedy}")
    files: dict[str, bytes] = {}
    # Packed files first, so that a plain one of the same name wins: it is what `fetch` writes.
    for path in sorted(folder.rglob("*"), key=lambda p: (p.suffix not in _PACKED, p)):
        if path.is_file() and (path.suffix == ".zip" or part.matches(path.name.removesuffix(".gz"))):
            files |= unpack(path.name, path.read_bytes(), [part])
    part.check(files, str(folder), f"remove it; {remedy}")
    return files


def unpack(name: str, data: bytes, parts: Iterable[Part], depth: int = 0) -> dict[str, bytes]:
    """Return the files of `parts` that `data` holds, by name: a plain file, a .gz, or a zip of any of them.

    Raises:
        ConfigError: the packing is damaged, or what it holds is too large to be one of our data sets.
    """
    wanted = list(parts)
    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as stream:
                name, data = name.removesuffix(".gz"), stream.read(_UNPACKED_LIMIT + 1)
        elif data[:4] == b"PK\x03\x04" and depth < _NESTING:
            return _unzip(data, wanted, depth)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ConfigError(f"{name} is damaged: {error}") from error
    if len(data) > _UNPACKED_LIMIT:
        raise ConfigError(f"{name} holds more than {_UNPACKED_LIMIT} bytes: it is none of our data sets")
    return {name: data} if any(p.matches(name) for p in wanted) else {}


def _unzip(data: bytes, wanted: list[Part], depth: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(m.file_size for m in archive.infolist()) > _UNPACKED_LIMIT:
            raise ConfigError(f"the zip holds more than {_UNPACKED_LIMIT} bytes: it is none of our data sets")
        for member in archive.infolist():
            base = member.filename.rsplit("/", 1)[-1]
            if base.endswith(".zip") or any(p.matches(base.removesuffix(".gz")) for p in wanted):
                files |= unpack(base, archive.read(member), wanted, depth + 1)
    return files


def check_sha256(what: str, expected: str, found: str, remedy: str) -> None:
    """Check a hash.

    Raises:
        ConfigError: it names both hashes and the remedy.
    """
    if found != expected:
        raise ConfigError(f"{what} has changed: sha256 {expected} expected, {found} found; {remedy}")
