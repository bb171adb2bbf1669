"""Makes the clone's own environment, .venv, and installs pehealth in it with the extras that are named.

    python3 scripts/environment.py test,demo

Needs the standard library alone. A second run finds everything in place and takes a fraction of a second; a change
of pyproject.toml, of the pinned versions, of Python or of the clone's path installs again. The versions are those of
requirements-ci.txt; PEHEALTH_LATEST=1 takes the newest instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv"
PINS = ROOT / "requirements-ci.txt"
STAMP = HOME / "pehealth-installed.json"


def main() -> int:
    """Return 0 when the environment is ready, 2 when it cannot be made."""
    wanted = set(sys.argv[1].split(",")) if len(sys.argv) > 1 else set()
    with lock():
        there = installed()
        if there >= wanted:
            return 0
        print(f"making the environment {HOME} (once; some hundred MB are fetched)", flush=True)
        try:
            make()
            install((wanted | there) - {""})  # what another script asked for stays
        except subprocess.CalledProcessError as error:
            print(f"the environment could not be made: {error}. Is a package index within reach?", file=sys.stderr)
            return 2
    return 0


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Two scripts of one clone do not install at the same time."""
    with (ROOT / ".venv.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def key() -> str:
    """Return the digest of all that an installation depends on."""
    digest = hashlib.sha256()
    for part in (sys.version, str(ROOT), os.environ.get("PEHEALTH_LATEST", "")):
        digest.update(part.encode() + b"\0")
    for file in (ROOT / "pyproject.toml", PINS):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def installed() -> set[str]:
    """Return the extras that are in place; with none of them, {""} for the package alone."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return set()
    return set(stamp["extras"]) if stamp["key"] == key() else set()


def make() -> None:
    """Make .venv anew unless it is whole and of this Python and this path."""
    try:
        if json.loads(STAMP.read_text())["python"] == [sys.version, str(ROOT)]:
            STAMP.unlink()
            return
    except (OSError, ValueError, KeyError):
        pass
    shutil.rmtree(HOME, ignore_errors=True)
    if importlib.util.find_spec("ensurepip") is not None:
        venv.create(HOME, with_pip=True, symlinks=os.name != "nt")
    elif importlib.util.find_spec("pip") is not None:  # Debian without python3-venv
        venv.create(HOME, symlinks=True)
        run(sys.executable, "-m", "pip", "--python", str(HOME / "bin" / "python"), "install", "-q", "pip")
    else:
        print("this Python has neither ensurepip nor pip: install python3-venv and run this again", file=sys.stderr)
        raise SystemExit(2)


def install(extras: set[str]) -> None:
    """Install the clone, editable, and remember what it was made from."""
    target = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    pip = (str(HOME / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-e", target)
    if os.environ.get("PEHEALTH_LATEST"):
        run(*pip)
    else:
        try:
            run(*pip, "-c", str(PINS))
        except subprocess.CalledProcessError:
            if os.environ.get("CI"):
                raise
            print("the pinned versions cannot be had here; taking the newest instead", file=sys.stderr)
            run(*pip)
    STAMP.write_text(json.dumps({"key": key(), "python": [sys.version, str(ROOT)], "extras": ["", *sorted(extras)]}))


def run(*command: str) -> None:
    """Run `command`; its output is shown."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
