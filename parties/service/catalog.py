"""What the centre remembers beside its deployments: version numbers, what is being retired, how much to keep dealt."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pehealth.errors import ConfigError
from pehealth.store.database import sync_directory

FILE_NAME = "catalog.json"
FORMAT = 1


class Catalog:
    """A small file, replaced as a whole, durably. Methods wait for the disk.

    Attributes:
        versions: model -> the highest version number ever given.
        retiring: deployment -> its title, of those that not every party has confirmed to have deleted.
        keep: low and high water marks that the operator has set; None: those of the settings.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self.versions: dict[str, int] = {}
        self.retiring: dict[str, str] = {}
        self.keep: tuple[int, int] | None = None
        try:
            self._take(json.loads(self._path.read_text()))
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ConfigError(f"{self._path} cannot be read ({error}): put it back, or remove it") from error

    def _take(self, data: Mapping[str, Any]) -> None:
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}")
        self.versions = {str(name): int(number) for name, number in data["versions"].items()}
        self.retiring = {str(one): str(title) for one, title in data["retiring"].items()}
        self.keep = (int(data["keep"][0]), int(data["keep"][1])) if data["keep"] else None

    def next_version(self, model: str) -> int:
        """Return the number of a model's next version: never one that was given before."""
        self.versions[model] = self.versions.get(model, 0) + 1
        self.save()
        return self.versions[model]

    def save(self) -> None:
        """Write it."""
        data = {
            "format": FORMAT, "versions": self.versions, "retiring": self.retiring,
            "keep": list(self.keep) if self.keep else None,
        }  # fmt: skip
        draft = self._path.with_name(FILE_NAME + ".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(json.dumps(data, indent=2) + "\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._path)
        sync_directory(self._path.parent)
