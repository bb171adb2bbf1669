"""The masked engines by name."""

from __future__ import annotations

from typing import Any

from pehealth.config import Engine, Parameters
from pehealth.engines.dealt import dealt
from pehealth.engines.interface import MaskedEngine
from pehealth.errors import ConfigError


def masked_engine(parameters: Parameters) -> MaskedEngine[Any, Any, Any]:
    """Return the engine that the settings name.

    Raises:
        ConfigError: it is none of the masked engines.
    """
    if parameters.engine is Engine.DEALT:
        return dealt(parameters.ring)
    raise ConfigError(f"{parameters.engine} is no masked engine of this version")
