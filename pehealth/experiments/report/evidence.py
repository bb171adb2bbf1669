"""What tables, figures and verdicts read: results of this run by their use. A gap raises MissingPart, and is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import Any

from pehealth.experiments.report.emulate import emulation_name
from pehealth.experiments.report.paper import KIND_OF
from pehealth.experiments.report.parts import MissingPart, Parts, Result
from pehealth.experiments.report.runs import SecureRun, plan_name
from pehealth.experiments.report.suite import Suite

LINEAR_KINDS = ("conv1d", "conv2d", "dense")


@dataclass(frozen=True)
class Evidence:
    """The suite, and what its experiments gave."""

    suite: Suite
    parts: Parts

    def run(self, spec: SecureRun) -> Result:
        """Return a run's figures.

        Raises:
            MissingPart: it failed or was not made.
        """
        return self.parts[spec.name]

    def plan(self, spec: SecureRun) -> Result:
        """Return a plan's figures; raises as `run`."""
        return self.parts[plan_name(spec)]

    def emulated(self, net: str) -> Result:
        """Return what was emulated of a network; raises as `run`."""
        return self.parts[emulation_name(net)]

    def big(self, kind: str) -> Result:
        """Return the local experiment of this kind in a group of real size; raises as `run`."""
        names = [name for name in self.parts if name.startswith(f"{kind} modp")]
        if not names:
            raise MissingPart(f"{kind} in a group of real size was not measured")
        return self.parts[names[0]]

    def literal_runs(self) -> Iterator[Result]:
        """Yield every run of engine `paper` that is done.

        Raises:
            MissingPart: there is none.
        """
        specs = [s for s in self.suite.runs if s.engine == "paper" and s.name in self.parts]
        if not specs:
            raise MissingPart("no run of engine paper is done")
        for spec in specs:
            yield self.parts[spec.name]

    def layers(self, *kinds: str) -> Iterator[Result]:
        """Yield the layers of these kinds of every run of engine `paper`, with the run's ring and batch beside them."""
        found = False
        for run in self.literal_runs():
            for layer in run["layers"]:
                if layer["kind"] in kinds:
                    found = True
                    yield {
                        **layer,
                        "ring": run["ring"],
                        "batch": run["batch"],
                        "net": run["net"],
                        "group": run["group"],
                    }
        if not found:
            raise MissingPart(f"no layer of kind {', '.join(kinds)} was run")


def mean_of(splits: list[Result], read: Any) -> float:  # noqa: ANN401 - a function of a split
    """Return the mean over splits."""
    return float(mean(read(split) for split in splits))


def accuracy_at(emulated: Result, digits: int, arithmetic: str = "literal") -> float:
    """Return the mean accuracy over splits at d."""
    return mean_of(emulated["splits"], lambda s: s[arithmetic][digits]["accuracy"])


def plain_accuracy(emulated: Result) -> float:
    """Return the mean accuracy of the float networks."""
    return mean_of(emulated["splits"], lambda s: s["plain"])


def output_error(emulated: Result, digits: int, arithmetic: str = "literal") -> float:
    """Return the mean error of the logits at d."""
    return mean_of(emulated["splits"], lambda s: s[arithmetic][digits]["layers"][-1]["mean"])


def kind_error(emulated: Result, digits: int, kind: str, arithmetic: str = "literal") -> float | None:
    """Return the mean error of the outputs of a kind of layer at d, of several the worst; None if there are none."""

    def read(split: Result) -> float:
        layers = split[arithmetic][digits]["layers"]
        return float(max(layer["mean"] for layer in layers if KIND_OF[layer["kind"]] == kind))

    first = emulated["splits"][0][arithmetic][digits]["layers"]
    if not any(KIND_OF[layer["kind"]] == kind for layer in first):
        return None
    return mean_of(emulated["splits"], read)


def kind_seconds(run: Result, kind: str) -> float | None:
    """Return the seconds of all layers of one of the paper's kinds; None if there are none."""
    times = [layer["seconds"] for layer in run["layers"] if KIND_OF.get(layer["kind"]) == kind]
    return sum(times) if times else None
