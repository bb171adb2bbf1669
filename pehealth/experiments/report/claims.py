"""The 34 checkable claims of the paper: what was found of each, and the verdict.

Words are in claims.toml: the claim, its figure, the command that shows it, the rule of the verdict, and why. The
verdict is computed by the rule (`judge_protocol`, `judge_results`); `why` was written for the verdict `expected`, and
a report that computes another one says that the words no longer fit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pehealth.experiments.report import judge_protocol as protocol
from pehealth.experiments.report import judge_results as results
from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.findings import Basis, Finding, Verdict
from pehealth.experiments.report.paper import TABLE_1, TABLE_3
from pehealth.experiments.report.parts import MissingPart

Judge = Callable[[Evidence], Finding]
JUDGES: tuple[Judge, ...] = (
    results.small_loss,
    protocol.silent_layers("conv1d", "conv2d"),
    protocol.silent_layers("dense"),
    protocol.silent_layers("meanpool"),
    protocol.pool_count,
    protocol.relu_count,
    protocol.relu_bytes,
    protocol.four_shares,
    protocol.sensor_words,
    protocol.exponentiations("conv1d", "conv2d"),
    protocol.exponentiations("dense"),
    protocol.relu_gates,
    protocol.identity("equation_3", walked=False),
    protocol.shares_add,
    protocol.identity("equation_4"),
    protocol.ciphertexts,
    protocol.fixed_point,
    results.postop,
    results.wearable,
    results.saturation,
    results.computation_error,
    protocol.exact_layers,
    results.one_image(TABLE_1[1], "mnist-e"),
    results.both_ends,
    results.one_image(TABLE_3[3], "mnist-f"),
    results.layer_times,
    results.under_a_second,
    protocol.where_time_goes,
    results.against_cryptonets,
    results.against_others,
    protocol.recovery,
    protocol.simulatable,
    protocol.model_hidden,
    results.the_setting,
)
"""In the order of the claims' numbers, from 1."""


@dataclass(frozen=True)
class Claim:
    """A claim as the paper has it.

    Attributes:
        number, claim, where, paper: which one, in a sentence, where it stands, and its figure.
        command: the command that shows it.
        rule: what the verdict is computed by.
        expected: the verdict that `why` was written for.
        why: why it is so.
    """

    number: int
    claim: str
    where: str
    paper: str
    command: str
    rule: str
    expected: Verdict
    why: str


def claims() -> tuple[Claim, ...]:
    """Return all claims, in order."""
    text = resources.files(__package__ or "").joinpath("claims.toml").read_text(encoding="utf-8")
    return tuple(Claim(**row) for row in tomllib.loads(text)["claim"])


@dataclass(frozen=True)
class Judged:
    """A claim with what was found, or what is missing."""

    claim: Claim
    ours: str
    verdict: Verdict
    basis: tuple[Basis, ...]

    @property
    def why(self) -> str:
        """The reason, marked where it was written for another verdict."""
        if self.verdict in (self.claim.expected, "not measured"):
            return self.claim.why
        return (
            f"(Written for the verdict '{self.claim.expected}', which this report does not confirm.) {self.claim.why}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the row of report-1.json."""
        known = self.claim
        return {
            "number": known.number,
            "claim": known.claim,
            "where": known.where,
            "paper": known.paper,
            "ours": self.ours,
            "basis": list(self.basis),
            "command": known.command,
            "verdict": self.verdict,
            "rule": known.rule,
            "why": self.why,
        }


def judge_all(evidence: Evidence) -> tuple[Judged, ...]:
    """Return all claims, judged."""
    return tuple(judge(claim, found, evidence) for claim, found in zip(claims(), JUDGES, strict=True))


def judge(claim: Claim, find: Judge, evidence: Evidence) -> Judged:
    """Return one claim, judged; "not measured" if a part is missing."""
    try:
        found = find(evidence)
    except MissingPart as missing:
        return Judged(claim, str(missing), "not measured", ())
    return Judged(claim, found.ours, found.verdict, found.basis)
