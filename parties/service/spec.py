"""What all parties of a deployment must know of it. Public; the centre makes it, the others check it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parties.custody import settings_of
from parties.start import Start
from pehealth.config import Engine, Parameters, Party
from pehealth.crypto.lattice.parameters import PARAMETER_SETS
from pehealth.engines.catalog import masked_engine
from pehealth.errors import ConfigError
from pehealth.nets.describe import Network
from transport.handshake import is_name

SPEC_PART = "service"
"""Under which every party keeps it beside its part of the deployment."""
ENGINES = (Engine.DEALT, Engine.RLWE)
_MOST_VERSION = 10**9


@dataclass(frozen=True)
class Spec:
    """One version of a model, deployed.

    Attributes:
        id: random; names it at every party, and its room.
        model: as people name it.
        version: from 1, counted for each name.
        network, parameters: public settings.
        dealer: a party of its own deals; else HC does.
    """

    id: str
    model: str
    version: int
    network: Network
    parameters: Parameters
    dealer: bool

    @property
    def title(self) -> str:
        """For instance "clinic@2"."""
        return f"{self.model}@{self.version}"

    @property
    def source(self) -> Party:
        """Who deals."""
        return Party.DEALER if self.dealer else Party.HC

    @property
    def keepers(self) -> tuple[str, ...]:
        """The parties that hold a part."""
        names = (Party.E1, Party.E2, Party.HC, *((Party.DEALER,) if self.dealer else ()))
        return tuple(map(str, names))

    def start(self, name: str, folder: Path) -> Start:
        """Return what a role of this deployment starts from."""
        return Start(name, self.network, self.parameters, self.keepers, self.id, state=str(folder))

    def digest(self) -> str:
        """Digest of all public settings, hex: what both ends of a link compare."""
        known = [self.id, sorted(settings_of(self.start(Party.HC, Path())).items())]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]

    def to_wire(self) -> dict[str, Any]:
        """Return what msgpack and JSON take."""
        return {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "network": self.network.to_json(),
            "parameters": dataclasses.asdict(self.parameters),
            "dealer": self.dealer,
        }

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Spec:
        """Return the deployment that the centre describes.

        Raises:
            ConfigError: it is not described well, or is none that runs as a service.
        """
        try:
            _check_kinds(data)
            parameters = _parameters(data["parameters"])
            spec = cls(
                data["id"], data["model"], data["version"], Network.from_json(data["network"]), parameters,
                data["dealer"],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ConfigError(f"a deployment cannot be read: {error!r}") from error
        spec.check()
        return spec

    def check(self) -> None:
        """Raise ConfigError if this is no deployment that runs as a service."""
        if not (is_name(self.id) and is_name(self.model) and 1 <= self.version <= _MOST_VERSION):
            raise ConfigError(
                f"a model is named by at most 64 letters, digits, '_', '.' and '-', and a version from 1: "
                f"{self.model[:80]!r} cannot be"
            )
        if self.parameters.engine not in ENGINES:
            raise ConfigError(
                f"engine {self.parameters.engine} does not run as a service: its material cannot be dealt ahead and "
                f"kept; deploy with --engine {' or '.join(ENGINES)}"
            )
        if self.parameters.sensors != 1:
            raise ConfigError("one client sends all readings of a query to a service: deploy without --sensors")

    def model_bytes(self, party: Party) -> int:
        """Return the size of a server's part of the model, without making any of it."""
        engine = masked_engine(self.parameters)
        return sum(engine.model_layout(p.linear, party).size for p in self.network.linear_layers)


def _check_kinds(data: Mapping[str, Any]) -> None:
    kinds = {"id": str, "model": str, "version": int, "dealer": bool}
    if wrong := [name for name, kind in kinds.items() if type(data[name]) is not kind]:
        raise TypeError(f"{', '.join(wrong)} of another kind than expected")


def _parameters(data: Mapping[str, Any]) -> Parameters:
    known = {field.name for field in dataclasses.fields(Parameters)}
    if set(data) - known:
        raise ValueError(f"unknown parameters: {sorted(set(data) - known)[:3]}")
    p = Parameters(**{**data, "engine": Engine(data["engine"])})
    numbers = {"digits": (p.digits, 0, 12), "ring": (p.ring, 8, 64), "batch": (p.batch, 1, 4096)}
    for name, (value, least, most) in numbers.items():
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name} is outside of {least}..{most}")
    texts: dict[str, set[object]] = {"reveal": {"logits", "class"}, "lattice": {None, *PARAMETER_SETS}}
    if any(data.get(name, getattr(p, name)) not in known for name, known in texts.items()):
        raise ValueError("reveal or lattice is not known")
    if any(value is not None for value in (p.group, p.walk, p.cap, p.splits)):
        raise ValueError("group, walk, cap and splits are of engines that do not run as a service")
    return p
