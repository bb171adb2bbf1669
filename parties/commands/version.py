"""`pehealth --version`: the versions that matter for a bug report."""

from __future__ import annotations

import platform
from importlib import metadata

from pehealth import __version__

LIBRARIES = ("numpy", "gmpy2", "trio", "cryptography", "msgpack")


def version_text() -> str:
    """Return a line for each version; nothing is imported to find them."""
    lines = [f"pehealth {__version__}", f"python {platform.python_version()}"]
    lines += [f"{name} {_version(name)}" for name in LIBRARIES]
    return "\n".join([*lines, f"platform {platform.platform()}"])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
