"""Writing and reading the JSON documents of `--json`: checked against their schema, whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pehealth import schema
from pehealth.codec.strict_json import parse_json
from pehealth.errors import ConfigError, PehealthError
from pehealth.nets.record import RunResult

STDOUT = Path("-")


def check_writable(path: Path | None, flag: str) -> None:
    """Raise before a long run, not after it.

    Raises:
        ConfigError: the file's directory is not there or cannot be written.
    """
    if path is None or path == STDOUT:
        return
    if path.is_dir():
        raise ConfigError(f"{flag} {path} is a directory; name a file")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{flag} {path}: the directory {path.parent} is not there or cannot be written")


def write(path: Path, document: Mapping[str, object], schema_name: str, *, compact: bool = False) -> None:
    """Write `document` to `path`, or to standard output for "-"; `compact` puts all of it in one line.

    Raises:
        PehealthError: it does not keep its schema: a bug of ours.
        ConfigError: the file cannot be written.
    """
    if problems := schema.problems(document, schema_name):
        raise PehealthError(f"the document does not keep {schema_name}: {'; '.join(problems[:5])}")
    text = json.dumps(document, indent=None if compact else 2, allow_nan=False) + "\n"
    if path == STDOUT:
        sys.stdout.write(text)
        return
    try:
        _replace(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _replace(path: Path, text: str) -> None:
    """Write beside the file, then take its place: a reader never sees half a document."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".pehealth-", delete=False) as file:
        try:
            file.write(text)
            file.close()
            umask = os.umask(0)
            os.umask(umask)
            Path(file.name).chmod(0o666 & ~umask)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def read_result(path: Path) -> RunResult:
    """Return the record in a file that `--json` wrote.

    Raises:
        ConfigError: it cannot be read, or is no result of schema 1.
    """
    return RunResult.from_json(read_document(path))


def read_document(path: Path) -> dict[str, object]:
    """Return the JSON object in a file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds no JSON object")
    return document
