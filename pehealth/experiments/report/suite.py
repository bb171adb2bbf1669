"""Which experiments a report makes: the quick ones in minutes, the full ones in about an hour and a half."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pehealth.config import Engine, GroupName
from pehealth.experiments.report.attack import attack_experiment
from pehealth.experiments.report.emulate import DIGITS, Effort, emulation
from pehealth.experiments.report.local_paper import local_experiments
from pehealth.experiments.report.paper import NETS
from pehealth.experiments.report.parts import Experiment
from pehealth.experiments.report.pooling import pooling_experiment
from pehealth.experiments.report.runs import Planner, Runner, SecureRun, plan_experiment, run_experiment

Mode = Literal["quick", "full"]
TOY = GroupName.TOY32
RIGHT_DIGITS = {"postop-a": 0, "postop-b": 1, "wearable-c": 1, "wearable-d": 1, "mnist-e": 1, "mnist-f": 0}
"""The most digits with which a right answer takes no more than a minute or so in `toy32`."""
GROWING = "clinic"
"""Its readings need no download."""
GROWTH_RINGS = (16, 32, 64)
FAILURES = 0.05
"""Wrong conversions expected a query with --walk right: one query in twenty is spoilt."""
FAILURES_MNIST = 0.1
"""The same for the MNIST networks, whose walks are the longest."""


@dataclass(frozen=True)
class Suite:
    """The secure runs of a report by their use, and everything else that is measured.

    Attributes:
        fast: engine `paper`, toy32, walks as short as the paper's times, d = 1, by network.
        right: the same with walks for right answers, by network; d as far as seconds allow.
        real: engine `paper` in groups of 112 bits and more.
        masked: engine `rlwe` on many samples, by network and d.
        dealt: engine `dealt`, by network, d = 4.
        timed: engines `dealt` and `rlwe` on single images of the MNIST networks, each party a process.
        growth: engine `paper` on one small network with rings of several widths.
        planned: what is planned and not run.
        effort: of the emulation.
    """

    mode: Mode
    fast: dict[str, SecureRun]
    right: dict[str, SecureRun]
    real: tuple[SecureRun, ...]
    masked: dict[tuple[str, int], SecureRun]
    dealt: dict[str, SecureRun]
    timed: tuple[SecureRun, ...]
    growth: tuple[SecureRun, ...]
    planned: tuple[SecureRun, ...]
    effort: Effort

    @property
    def runs(self) -> Iterator[SecureRun]:
        """Every run, once."""
        yield from self.fast.values()
        yield from self.right.values()
        yield from self.growth
        yield from self.timed
        yield from self.masked.values()
        yield from self.dealt.values()
        yield from self.real


def suite(mode: Mode) -> Suite:
    """Return what a report of this mode measures."""
    full = mode == "full"
    big = GroupName.MODP3072 if full else GroupName.MODP2048
    far = _paper("mnist-f", 1, TOY, "right", 1, failures=FAILURES_MNIST)
    return Suite(
        mode=mode,
        fast={net: _paper(net, 1, TOY, "fast", _fewest(net, 100 if full else 10)) for net in NETS},
        right={net: _right(net, 10 if full else 3) for net in NETS} | ({"mnist-f": far} if full else {}),
        real=tuple(
            _paper(net, 0, big, "right", 1) for net in (("wearable-d", "postop-b") if full else ("wearable-d",))
        ),
        masked={(net, d): _masked(net, d, Engine.RLWE, 1000 if full else 100) for net in NETS for d in DIGITS},
        dealt={net: _masked(net, 4, Engine.DEALT, 1000 if full else 100) for net in NETS},
        timed=tuple(
            SecureRun(net, engine, 4, 100 if full else 20, processes=True)
            for net in ("mnist-e", "mnist-f")
            for engine in (Engine.DEALT, Engine.RLWE)
        ),
        growth=tuple(SecureRun(GROWING, Engine.PAPER, 0, 1, TOY, 12, ring=ring) for ring in GROWTH_RINGS),
        planned=() if full else (far,),
        effort=Effort(20, 30, 10_000) if full else Effort(5, 12, 2_000),
    )


def experiments(chosen: Suite, runner: Runner, planner: Planner, directory: Path | None) -> list[Experiment]:
    """Return the experiments of a report: quick answers first."""
    return [
        *local_experiments(full=chosen.mode == "full"),
        attack_experiment("mnist-e", 1),
        pooling_experiment(50, directory),
        *(plan_experiment(spec, planner) for spec in chosen.planned),
        *(emulation(net, chosen.effort, directory) for net in NETS),
        *(run_experiment(spec, runner) for spec in chosen.runs),
    ]


def _fewest(net: str, wanted: int) -> int:
    return min(wanted, 27) if net.startswith("postop") else wanted


def _paper(
    net: str, digits: int, group: GroupName, walk: Literal["right", "fast"], samples: int, failures: float = FAILURES
) -> SecureRun:
    right = failures if walk == "right" else None
    return SecureRun(net, Engine.PAPER, digits, samples, group, walk, failures=right, processes=True)


def _right(net: str, samples: int) -> SecureRun:
    if net.startswith("mnist"):
        return _paper(net, RIGHT_DIGITS[net], TOY, "right", 1, FAILURES_MNIST)
    return _paper(net, RIGHT_DIGITS[net], TOY, "right", samples)


def _masked(net: str, digits: int, engine: Engine, samples: int) -> SecureRun:
    """Return a run on many samples; of the wearable data ten times as many, whose first hundreds are of one trial."""
    count = _fewest(net, 10 * samples if net.startswith("wearable") else samples)
    return SecureRun(net, engine, digits, count, batch=min(count, 500 if net.startswith("wearable") else 100))
