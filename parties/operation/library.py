"""The two libraries of the extra `[serve]`: imported when metrics are wanted, and named when they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from pehealth.errors import ConfigError


def need_library(name: str) -> ModuleType:
    """Return a module of a library. Raises ConfigError saying what to install."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(f'[operation] metrics needs {name}: pip install "pehealth[serve]"') from error
