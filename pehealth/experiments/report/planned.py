"""What a right answer of an MNIST network takes: measured where it was run, else from the plan."""

from __future__ import annotations

from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.parts import MissingPart
from pehealth.experiments.report.runs import SecureRun


def right_at_one_digit(evidence: Evidence, net: str) -> tuple[float, str]:
    """Return the seconds of a right answer of an MNIST network at d = 1, and whether that was run or planned."""
    planned = next((spec for spec in evidence.suite.planned if spec.net == net), None)
    if planned is not None:
        return planned_seconds(evidence, planned), "from the plan"
    return float(evidence.run(evidence.suite.right[net])["seconds"]), "measured"


def planned_seconds(evidence: Evidence, spec: SecureRun) -> float:
    """Return the seconds of a planned walk: its steps at the pace of the longest walk of this report.

    Raises:
        MissingPart: no run has walked that far.
    """
    walked = [evidence.parts[s.name] for s in evidence.suite.right.values() if s.name in evidence.parts]
    if not walked:
        raise MissingPart("no run with --walk right is done")
    longest = max(walked, key=lambda run: run["ops"]["ddlog_steps"])
    return float(longest["seconds"] * evidence.plan(spec)["ops"]["ddlog_steps"] / longest["ops"]["ddlog_steps"])
