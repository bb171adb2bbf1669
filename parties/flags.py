"""The flags of every command that runs or plans a network: one set, the same everywhere."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from parties.request import DEFAULT_FAILURES, DEFAULT_TIME_LIMIT, RunRequest, Transport
from parties.state_dir import BOUND, recall
from pehealth.config import Engine, GroupName, Reveal

JsonFile = Annotated[Path | None, Parameter(allow_leading_hyphen=True)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """The flags that make a `RunRequest`."""

    net: str | None = None
    "Network: a name that `pehealth data list` shows, or a model file (.npz, .onnx) (default: clinic)."

    engine: Engine | None = None
    "How linear layers are computed (default: rlwe)."

    group: GroupName | None = None
    "Group of paper and ddh (default modp3072). toy32 is INSECURE."

    digits: int | None = None
    "Decimal digits d that a number keeps (default: the model file's, else 4; paper: as many as fit; ddh: 2)."

    walk: Literal["right", "fast"] | int = "right"
    "Share conversion of paper and ddh: right (by a failure target), fast (the paper's times), or the window w."

    ring: int | None = None
    "Bits k of the ring (default: the fewest that the proven bounds allow)."

    lattice: str | None = None
    "Lattice set of rlwe (default: the smallest that carries the ring)."

    batch: int | None = None
    "Samples in one query (default: 1)."

    samples: int | None = None
    "Samples in all, from the start of the test set (default: one batch)."

    repeat: int = 1
    "Run everything this often; times are medians."

    sensors: int = 1
    "Sensors that together supply the readings."

    transport: Transport | None = None
    "Parties in this process (memory, tcp) or each a process of its own (processes)."

    tls: bool | None = None
    "Mutual TLS on TCP links (default: on)."

    network: str | None = None
    "Shape the links: lan, wan, 4g or LATENCY,BANDWIDTH such as 20ms,100mbit."

    data_dir: Path | None = None
    "Folder of the data sets (default: PEHEALTH_DATA)."

    in_flight: int = 1
    "Queries under way at once."

    state: Path | None = None
    "Keep what is deployed and dealt in this directory, a folder a party; its settings are the defaults of later runs."

    deal: Annotated[bool, Parameter(negative="--no-deal")] = True
    "With --state: deal the material that is missing, rather than refuse."

    dealer: bool | None = None
    "The dealer is a party of its own; it never sees the model in rlwe."

    reveal: Reveal | None = None
    "What the centre receives: logits, or the class alone (default: logits)."

    trace: Path | None = None
    "Write each party's computing and messages here, for `pehealth replay`."

    check: bool = False
    "Open every layer and compare it with the oracle. This LEAKS every value to this process."

    failures: float = DEFAULT_FAILURES
    "Wrong share conversions of paper and ddh that may be expected a query."

    workers: int = 1
    "Processes that each server of ddh computes in; both servers share this machine's cores."

    time_limit: float = DEFAULT_TIME_LIMIT
    "Refuse a run that the plan expects to take more seconds than this."

    def request(self, transport: Transport = Transport.MEMORY, samples: int | None = None) -> RunRequest:
        """Return the request, checked; the arguments are what a command does unless told otherwise.

        Raises:
            ConfigError: settings that cannot work; all of them are listed.
        """
        chosen = self._chosen()
        return RunRequest(
            **chosen,
            walk=self.walk,
            samples=self.samples if self.samples is not None else max(chosen["batch"], samples or 1),
            repeat=self.repeat,
            sensors=self.sensors,
            transport=self.transport or transport,
            tls=self.tls,
            network=self.network,
            data_dir=self.data_dir,
            trace=self.trace,
            in_flight=self.in_flight,
            state=self.state,
            deal=self.deal,
            check=self.check,
            failures=self.failures,
            workers=self.workers,
            time_limit=self.time_limit,
        ).checked()

    def _chosen(self) -> dict[str, Any]:
        """Return every setting to which a deployment is bound: as named, as deployed before, or the default."""
        known: dict[str, Any] = dict(recall(self.state))
        if self.net is not None and self.net != known.get("net"):
            known = {}
        defaults = {f.name: f.default for f in dataclasses.fields(RunRequest)}
        chosen: dict[str, Any] = {}
        for name in BOUND:
            named = getattr(self, name)
            before = known.get(name) if named is None else named
            chosen[name] = defaults[name] if before is None else before
        group = chosen["group"]
        return {**chosen, "engine": Engine(chosen["engine"]), "group": GroupName(group) if group else None}
