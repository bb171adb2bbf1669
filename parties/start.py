"""What a party is told when it starts: its role, the public settings, and what is its alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pehealth.config import Engine, GroupName, Parameters, Party
from pehealth.nets.describe import Network
from pehealth.nets.plan import sensor_names
from transport.credentials import Identity

DEFAULT_PATIENCE = 600.0
ORDER = (Party.E1, Party.E2, Party.HC, Party.DEALER)
"""Of two linked parties the earlier listens and the later connects; sensors come last."""


def role_of(name: str) -> Party:
    """Return the role behind a party's name: "HMS2" is a sensor."""
    return Party.HMS if name.startswith(Party.HMS) else Party(name)


def party_names(parameters: Parameters, *, dealer: bool = False) -> tuple[str, ...]:
    """Return the names of all parties of a run, in the order of `ORDER`."""
    fixed = [str(p) for p in ORDER if p is not Party.DEALER or dealer]
    return (*fixed, *sensor_names(parameters.sensors))


def neighbours(name: str, everyone: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (peers that this party listens for, peers that it connects to).

    Everyone is linked to everyone but sensors to one another and to the dealer.
    """

    def linked(a: str, b: str) -> bool:
        roles = {role_of(a), role_of(b)}
        return a != b and roles != {Party.HMS} and roles != {Party.HMS, Party.DEALER}

    place = everyone.index(name)
    later = tuple(p for p in everyone[place + 1 :] if linked(name, p))
    earlier = tuple(p for p in everyone[:place] if linked(name, p))
    return later, earlier


@dataclass(frozen=True)
class Start:
    """A party's start.

    Attributes:
        name: for instance "E1" or "HMS2".
        network, parameters: public, compared in the handshake.
        everyone: names of all parties of the run.
        run_id: random, common to the run.
        shaping: the `--network` text, empty for none.
        private: what only this role holds: HC the quantised model, a sensor its readings.
        virtual: time is virtual: nothing may run in a thread.
        check: servers show every layer to the launcher. It LEAKS.
        trace: note every message and what is computed between them, for the report.
        workers: processes that a server computes in, if its engine computes for long online.
        patience: seconds that a receive may wait for its message.
        state: folder that this party keeps its state in; empty if nothing is kept.
        identity: what this party proves itself with on TLS links; None: the links have no TLS.
    """

    name: str
    network: Network
    parameters: Parameters
    everyone: tuple[str, ...]
    run_id: str
    shaping: str = ""
    private: Mapping[str, Any] = field(default_factory=dict, repr=False)
    virtual: bool = False
    check: bool = False
    trace: bool = False
    workers: int = 1
    patience: float = DEFAULT_PATIENCE
    state: str = ""
    identity: Identity | None = field(default=None, repr=False)

    @property
    def role(self) -> Party:
        """This party's role."""
        return role_of(self.name)

    def agreed(self) -> dict[str, str]:
        """What both ends of every link must have in common, for the handshake to compare."""
        layers = {f"layer {p.name}": f"{p.layer} on {p.in_shape}" for p in self.network.placed}
        return {**self.parameters.fields(), "network": self.network.name, **layers}

    def to_wire(self) -> dict[str, Any]:
        """Return a structure that msgpack takes, for a process of ours to start from."""
        return {
            "name": self.name,
            "network": self.network.to_json(),
            "parameters": dataclasses.asdict(self.parameters),
            "everyone": list(self.everyone),
            "run_id": self.run_id,
            "shaping": self.shaping,
            "private": dict(self.private),
            "virtual": self.virtual,
            "check": self.check,
            "trace": self.trace,
            "workers": self.workers,
            "patience": self.patience,
            "state": self.state,
            "identity": None if self.identity is None else dataclasses.asdict(self.identity),
        }

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Start:
        """Return the start that our own launcher sent."""
        p = dict(data["parameters"])
        p["engine"] = Engine(p["engine"])
        p["group"] = GroupName(p["group"]) if p["group"] else None
        return cls(
            data["name"],
            Network.from_json(data["network"]),
            Parameters(**p),
            tuple(data["everyone"]),
            data["run_id"],
            data["shaping"],
            data["private"],
            data["virtual"],
            data["check"],
            data["trace"],
            data["workers"],
            data["patience"],
            data["state"],
            Identity(**data["identity"]) if data["identity"] else None,
        )
