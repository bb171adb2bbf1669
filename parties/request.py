"""What a user asks for: one frozen request, checked as a whole, every problem listed at once."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pehealth.config import Engine, GroupName, Reveal
from pehealth.errors import ConfigError

Walk = Literal["right", "fast"] | int
"""How the share conversion is set: "right" (from a failure target), "fast" (the paper's times), or w itself."""

DEFAULT_GROUP = GroupName.MODP3072
DEFAULT_TIME_LIMIT = 600.0
DEFAULT_FAILURES = 0.01
WALKING = (Engine.PAPER, Engine.DDH)
MAX_DIGITS = 12
MAX_RING = 64
MAX_WALK = 60
MOST_FAILURES = 100.0


class Transport(enum.StrEnum):
    """How parties are linked: in this process, by TCP in this process, or as processes of their own over TCP."""

    MEMORY = "memory"
    TCP = "tcp"
    PROCESSES = "processes"


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """One run as a user asks for it; None lets the plan decide.

    Attributes:
        net: name of a reference network, or a file (.npz, .json, .onnx).
        engine: how linear layers are computed.
        group: of `paper` and `ddh`; modp3072 unless named. `toy32` is INSECURE.
        digits: d; the plan takes the most that fits, at most 4.
        walk: see `Walk`.
        ring: k; the plan takes the least that its bounds allow.
        lattice: of `rlwe`; the plan takes the smallest set that carries the ring.
        batch: samples in one query.
        samples: samples in all, from the start of the test set.
        repeat: how often the whole is run; times are the median.
        sensors: how many sensors assemble a query.
        transport: see `Transport`.
        tls: mutual TLS on every link; None: on wherever there is TCP.
        network: the links' latency and bandwidth as `transport.shaped.parse_network` takes them; None: as they are.
        data_dir: where data sets lie; None: PEHEALTH_DATA, else the user's data directory.
        trace: file that the run's trace goes to.
        check: open every layer and compare it with the oracle. It LEAKS, and says so.
        failures: wrong share conversions a query that may be expected with `walk` "right".
        workers: processes that each server computes in, if its engine computes for long online.
        time_limit: seconds that a run may take by the plan's estimate; above it the run is refused.
        insecure_seed: tests only: all randomness from this seed.
        in_flight: queries that are under way at once.
        state: directory in which parties keep what is deployed and dealt, a folder each; None: nothing is kept.
        deal: with `state`: deal the material that is missing, rather than refuse.
        dealer: the dealer is a party of its own, not the centre's offline half.
        reveal: what the centre receives: all logits, or the class alone.
    """

    net: str = "clinic"
    engine: Engine = Engine.RLWE
    group: GroupName | None = None
    digits: int | None = None
    walk: Walk = "right"
    ring: int | None = None
    lattice: str | None = None
    batch: int = 1
    samples: int = 1
    repeat: int = 1
    sensors: int = 1
    transport: Transport = Transport.MEMORY
    tls: bool | None = None
    network: str | None = None
    data_dir: Path | None = None
    trace: Path | None = None
    check: bool = False
    failures: float = DEFAULT_FAILURES
    workers: int = 1
    time_limit: float = DEFAULT_TIME_LIMIT
    insecure_seed: int | None = None
    in_flight: int = 1
    state: Path | None = None
    deal: bool = True
    dealer: bool = False
    reveal: Reveal = "logits"

    @property
    def queries(self) -> int:
        """How many queries the samples need; the last one may hold fewer than `batch`."""
        return -(-self.samples // self.batch)

    def checked(self) -> Self:
        """Return the request with every default that does not need the network filled in.

        Raises:
            ConfigError: settings that cannot work; all of them are listed.
        """
        if problems := tuple(self._problems()):
            raise ConfigError(*problems)
        group = self.group or (DEFAULT_GROUP if self.engine in WALKING else None)
        tls = self.transport is not Transport.MEMORY if self.tls is None else self.tls
        return dataclasses.replace(self, group=group, tls=tls)

    def _problems(self) -> Iterator[str]:
        yield from self._bad_ranges()
        yield from self._bad_combinations()
        if self.network is not None:
            from transport.shaped import parse_network  # brings trio, which `--version` does without

            try:
                parse_network(self.network)
            except ValueError as error:
                yield f"--network: {error}"
        if self.data_dir is not None and not self.data_dir.is_dir():
            yield f"--data-dir {self.data_dir} is not a directory"
        if self.trace is not None and not self.trace.parent.is_dir():
            yield f"--trace {self.trace}: the directory {self.trace.parent} does not exist"

    def _bad_ranges(self) -> Iterator[str]:
        ranges = (
            ("--digits", self.digits, 0, MAX_DIGITS),
            ("--ring", self.ring, 8, MAX_RING),
            ("--walk", self.walk if isinstance(self.walk, int) else None, 1, MAX_WALK),
            ("--batch", self.batch, 1, 4096),
            ("--samples", self.samples, 1, 1_000_000),
            ("--repeat", self.repeat, 1, 10_000),
            ("--sensors", self.sensors, 1, 1024),
            ("--in-flight", self.in_flight, 1, 256),
            ("--workers", self.workers, 1, 256),
        )
        for flag, value, least, most in ranges:
            if value is not None and not least <= value <= most:
                yield f"{flag} {value} is outside {least}..{most}"
        if not 0 < self.failures <= MOST_FAILURES:
            yield f"--failures {self.failures:g} is outside 0..{MOST_FAILURES:g} a query"
        if self.time_limit <= 0:
            yield f"--time-limit {self.time_limit:g} must be above 0"
        if not self.net.strip():
            yield "--net is empty; `pehealth data list` names the networks"

    def _bad_for_paper(self) -> Iterator[str]:
        if self.state is not None:
            yield "--state has no meaning for --engine paper, whose triples are dealt for each run"
        if self.dealer:
            yield "--dealer has no meaning for --engine paper, whose centre deals bit triples"
        if self.reveal != "logits":
            yield "--reveal class has no meaning for --engine paper, which gives the centre all logits"

    def _bad_for_ddh(self) -> Iterator[str]:
        if self.state is not None:
            yield "--state is for --engine dealt and rlwe; ddh sets its walk anew for each run, by this machine's pace"
        if self.walk == "fast":
            yield "--walk fast has no meaning for --engine ddh; set --failures, or w itself"
        if self.group is GroupName.TOY32:
            yield "--engine ddh needs a group of real size (modp2048 or above); toy32 is for --engine paper alone"

    def _bad_combinations(self) -> Iterator[str]:
        if self.engine not in WALKING:
            if self.group is not None:
                yield f"--group {self.group} has no meaning for --engine {self.engine}; it is for paper and ddh"
            if self.walk != "right":
                yield f"--walk {self.walk} has no meaning for --engine {self.engine}; it is for paper and ddh"
        if self.engine is Engine.DDH:
            yield from self._bad_for_ddh()
        if self.lattice is not None and self.engine is not Engine.RLWE:
            yield f"--lattice {self.lattice} has no meaning for --engine {self.engine}; it is for rlwe"
        if self.engine is Engine.PAPER:
            yield from self._bad_for_paper()
        if not self.deal and self.state is None:
            yield "--no-deal needs --state, a directory in which material was dealt before"
        if self.batch > self.samples:
            yield f"--batch {self.batch} exceeds --samples {self.samples}"
        if self.tls and self.transport is Transport.MEMORY:
            yield "--tls has no meaning for --transport memory; take tcp or processes"
