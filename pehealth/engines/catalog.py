"""The masked engines by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pehealth.config import Engine, Parameters
from pehealth.crypto.linear import LinearMap
from pehealth.engines.ddh import ddh_engine
from pehealth.engines.ddh_plan import SplitPlan
from pehealth.engines.dealt import dealt
from pehealth.engines.interface import MaskedEngine
from pehealth.engines.rlwe import choose_lattice, rlwe_engine
from pehealth.errors import ConfigError


def masked_engine(parameters: Parameters) -> MaskedEngine[Any, Any, Any]:
    """Return the engine that the settings name.

    Raises:
        ConfigError: it is none of the masked engines.
    """
    if parameters.engine is Engine.DEALT:
        return dealt(parameters.ring)
    if parameters.engine is Engine.RLWE:
        if parameters.lattice is None:
            raise ConfigError("engine rlwe needs the name of a lattice set: see choose_lattice")
        return rlwe_engine(parameters.ring, parameters.lattice)
    if parameters.engine is Engine.DDH:
        return _ddh(parameters)
    raise ConfigError(f"{parameters.engine} is no masked engine of this version")


def _ddh(p: Parameters) -> MaskedEngine[Any, Any, Any]:
    if p.group is None or p.splits is None or p.walk is None or p.cap is None:
        raise ConfigError("engine ddh needs a group, a walk, a cap and the splits of its layers")
    return ddh_engine(p.ring, p.group, SplitPlan.parse(p.splits, p.walk, p.cap))


def lattice_name(engine: Engine, layers: Iterable[LinearMap], ring: int) -> str | None:
    """Return the lattice set that the engine needs for these layers: None but for `rlwe`.

    Raises:
        ConfigError: the engine needs one and none carries the ring; says why of each.
    """
    return choose_lattice(layers, ring).name if engine is Engine.RLWE else None
