"""The directory of `--state`: a folder a party, and the public settings, so that they need not be repeated.

The launcher keeps the settings for the user's convenience alone. What is deployed each party knows from its own folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pehealth.errors import ConfigError

if TYPE_CHECKING:
    from parties.resolve import Job

FILE_NAME = "settings.json"
BOUND = ("net", "engine", "group", "digits", "ring", "lattice", "batch", "dealer", "reveal")
"""Settings of a request to which a deployment is bound."""


def party_folder(directory: Path, name: str) -> Path:
    """Return where a party keeps its state."""
    return directory / name


def make_directory(directory: Path) -> None:
    """Make the directory, for its owner alone, if it is not there.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--state {directory} cannot be made: {error.strerror}") from error


def remember(job: Job) -> None:
    """Keep the settings of what a job deployed, every one decided."""
    p, request, directory = job.plan.parameters, job.request, job.request.state
    if directory is None:
        return
    net = Path(request.net)
    flags = {
        "net": str(net.resolve()) if net.suffix == ".npz" else request.net,
        "engine": p.engine, "group": p.group, "digits": p.digits, "ring": p.ring, "lattice": p.lattice,
        "batch": p.batch, "dealer": request.dealer, "reveal": p.reveal,
    }  # fmt: skip
    draft = directory / f"{FILE_NAME}.new"
    draft.write_text(json.dumps({"format": 1, "flags": flags}, indent=2) + "\n")
    draft.replace(directory / FILE_NAME)


def recall(directory: Path | None) -> Mapping[str, Any]:
    """Return the settings of what is deployed; none if nothing is.

    Raises:
        ConfigError: the file cannot be understood.
    """
    if directory is None:
        return {}
    path = directory / FILE_NAME
    try:
        known = json.loads(path.read_text())
        return {name: known["flags"][name] for name in BOUND}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): remove it and name the settings by flags") from error
