"""A peer's own Python environment, under a folder of the user's cache: made once, and again if its packages change."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from peer_table.systems import Packages

SECONDS = 1200
"""How long one installation may take."""


class NoEnvironment(Exception):
    """A peer could not be installed; the message says why."""


def cache() -> Path:
    """Return the folder that everything is kept in: `pehealth-peers` in XDG_CACHE_HOME, else in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pehealth-peers"


def key_of(packages: Packages) -> str:
    """Return the digest of what an environment depends on."""
    return hashlib.sha256(json.dumps([asdict(packages), sys.version]).encode()).hexdigest()


def environment(name: str, packages: Packages) -> Path:
    """Return the interpreter of a peer's environment, made or completed now if need be.

    Raises:
        NoEnvironment: pip failed, or took too long.
    """
    home = cache() / name
    stamp, python = home / "pehealth-peer.json", home / "bin" / "python"
    if stamp.exists() and python.exists():
        if json.loads(stamp.read_text()) == key_of(packages):
            return python
        shutil.rmtree(home)
    if not python.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        venv.create(home, with_pip=True, symlinks=True)
    _pip(name, python, packages.plain)
    if packages.bare:
        _pip(name, python, ("--no-deps", *packages.bare))
    stamp.write_text(json.dumps(key_of(packages)))
    return python


def _pip(name: str, python: Path, words: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoEnvironment(f"installing {name} took longer than {SECONDS} s") from error
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), "pip failed")
        raise NoEnvironment(f"{name} cannot be installed here: {last}")
