"""Getting a data set from its public address, checked before anything is put in place. Standard library only."""

from __future__ import annotations

import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from pehealth.data.catalog import SOURCES
from pehealth.data.files import Part, Source, unpack
from pehealth.errors import ConfigError

Progress = Callable[[str, int, int | None], None]
"""Called with an address, the bytes received so far, and the total if the server said it."""

_BLOCK = 64 << 10
_LARGEST = 64 << 20


def fetch(
    name: str,
    directory: Path,
    *,
    mirrors: Sequence[str] | None = None,
    from_file: Path | None = None,
    timeout: float = 30.0,
    deadline: float = 600.0,
    progress: Progress | None = None,
) -> Path:
    """Put the data set `name` into `directory` and return its folder there.

    Args:
        name: a key of `SOURCES`.
        directory: the data directory; made if it is not there.
        mirrors: addresses to try, in order, instead of the public ones of `SOURCES`. One that ends in "/" is followed
            by each file's name.
        from_file: a file or folder to take it from instead of the network, packed or not.
        timeout: seconds that a server may be silent.
        deadline: seconds that one file may take.
        progress: told how far a download is.

    Files are checked against their pinned SHA-256 after unpacking, written beside their place, and renamed into it:
    whoever reads the folder sees the old files or the right ones.

    Raises:
        ConfigError: the name is unknown, or no mirror had the right files; it says what was wrong with each.
    """
    if name not in SOURCES:
        raise ConfigError(f"no data set {name!r} to fetch; known: {', '.join(SOURCES)}")
    source = SOURCES[name]
    if from_file is not None:
        files = _local(source, from_file)
    else:
        tried = source.mirrors if mirrors is None else mirrors
        limits = (timeout, deadline)
        files = {}
        for part in source.parts:
            files |= _from_mirrors(source, part, tried, limits, progress)
    return _place(files, directory / source.folder)


def _local(source: Source, origin: Path) -> dict[str, bytes]:
    if not origin.exists():
        raise ConfigError(f"{origin} is not there; --from takes the downloaded file, or a folder that holds it")
    paths = [p for p in sorted(origin.rglob("*")) if p.is_file()] if origin.is_dir() else [origin]
    found: dict[str, bytes] = {}
    for path in paths:
        if path.stat().st_size <= _LARGEST:
            found |= unpack(path.name, path.read_bytes(), source.parts)
    for part in source.parts:
        part.check({n: d for n, d in found.items() if part.matches(n)}, str(origin), "download it again")
    return found


def _from_mirrors(
    source: Source, part: Part, mirrors: Sequence[str], limits: tuple[float, float], progress: Progress | None
) -> dict[str, bytes]:
    problems: list[str] = []
    for mirror in mirrors:
        address = mirror + part.label if mirror.endswith("/") else mirror
        try:
            files = unpack(part.label, _download(address, *limits, progress), [part])
            part.check(files, address, "another mirror may have the right one")
        except (ConfigError, OSError, HTTPException, ValueError) as error:
            # URLError and time-outs are OSErrors; whatever a mirror does wrong, the next one is tried.
            problems.append(str(error) if address in str(error) else f"{address}: {error!r}")
        else:
            return files
    raise ConfigError(
        f"{part.label} could not be fetched; download {source.mirrors[0]} by other means and give it with --from",
        *problems,
    )


def _download(address: str, timeout: float, deadline: float, progress: Progress | None) -> bytes:
    if urlsplit(address).scheme not in ("http", "https"):
        raise ConfigError(f"{address} is not an http or https address")
    until = time.monotonic() + deadline
    request = urllib.request.Request(address, headers={"User-Agent": "pehealth"})  # noqa: S310 - scheme checked above
    with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
        said = reply.headers.get("Content-Length", "")
        total = int(said) if said.isdecimal() else None
        received = bytearray()
        while block := reply.read1(_BLOCK):
            received += block
            if len(received) > _LARGEST:
                raise ConfigError(f"{address} sends more than {_LARGEST} bytes: it is none of our data sets")
            if time.monotonic() > until:
                raise ConfigError(f"{address} took longer than {deadline:g} s; {len(received)} of {said or '?'} bytes")
            if progress is not None:
                progress(address, len(received), total)
    if total is not None and len(received) != total:
        raise ConfigError(f"{address} stopped after {len(received)} of {total} bytes")
    return bytes(received)


def _place(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as scratch:
        for name, data in files.items():
            beside = Path(scratch) / name
            with beside.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        for name in files:
            (Path(scratch) / name).replace(folder / name)
    return folder
