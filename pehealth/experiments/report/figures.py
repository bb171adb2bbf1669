"""Figures 6 and 7, and Table IV as a picture: what is drawn, and its points for the CSV file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pehealth.experiments.line_chart import Line, line_chart
from pehealth.experiments.picture import Picture
from pehealth.experiments.report.emulate import DIGITS
from pehealth.experiments.report.evidence import Evidence, kind_error, mean_of, output_error, plain_accuracy
from pehealth.experiments.report.paper import LETTERS, NETS, POSTOP
from pehealth.experiments.report.parts import MissingPart, Result

AXIS = "precision degree d"
REFERENCE = 1e-3


@dataclass(frozen=True)
class Figure:
    """A figure: its lines, and what to say under it."""

    id: str
    title: str
    y_label: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    logarithmic: bool = False

    def picture(self) -> Picture:
        """Return the drawing."""
        text: Callable[[float], str] = "{:.0e}".format if self.logarithmic else "{:.4g}".format
        return line_chart(
            self.title, self.lines, x_label=AXIS, y_label=self.y_label, y_text=text, logarithmic=self.logarithmic
        )


def figures(evidence: Evidence) -> tuple[Figure, ...]:
    """Return all figures of a report."""
    return (
        accuracy_figure("figure6a", "Figure 6a: Post-operative", NETS[:2], evidence),
        accuracy_figure("figure6b", "Figure 6b: Wearable", NETS[2:4], evidence),
        accuracy_figure("figure6c", "MNIST (not in the paper's figure)", NETS[4:], evidence),
        error_figure("figure7a", "Figure 7a: error of the inference output", None, evidence),
        error_figure("figure7b", "Figure 7b, Conv: error of the layer's outputs", "convolution", evidence),
        error_figure("figure7c", "Figure 7b, FC: error of the layer's outputs", "fully connected", evidence),
    )


def accuracy_figure(id_: str, title: str, nets: Sequence[str], evidence: Evidence) -> Figure:
    """Return accuracy against d: emulated with its range over splits, secure, in the clear, majority, the paper's."""
    lines: list[Line] = []
    missing: list[str] = []
    for ink, net in enumerate(nets):
        try:
            lines += emulated_lines(evidence.emulated(net), net, ink)
        except MissingPart as gap:
            missing.append(str(gap))
        secure = [(d, 100 * r["accuracy"]) for d in DIGITS if (r := secure_run(evidence, net, d)) is not None]
        lines.append(Line(f"({LETTERS[net]}) secure, rlwe", secure, marks=True, ink=ink + 2))
        if net in POSTOP:
            lines.append(Line(f"({LETTERS[net]}) the paper", [(4, POSTOP[net])], marks=True, ink=4 + ink))
    notes = (
        (
            "Lines: emulation by the integer oracle, the arithmetic of engine paper; bars are the range over "
            "splits. Squares: secure runs of "
            "engine rlwe on the shipped weights and test part, which is another split. Dashed: the float network, "
            "and the majority class."
        ),
        *missing,
    )
    return Figure(id_, title, "accuracy, per cent", tuple(line for line in lines if line.points), notes)


def emulated_lines(found: Result, net: str, ink: int) -> list[Line]:
    """Return a network's emulated accuracies, those in the clear and of the majority."""
    splits, letter = found["splits"], LETTERS[net]
    points = []
    for d in DIGITS:
        each = [100 * s["literal"][d]["accuracy"] for s in splits]
        points.append((float(d), sum(each) / len(each), min(each), max(each)))
    plain, majority = 100 * plain_accuracy(found), 100 * mean_of(splits, lambda s: s["majority"])
    ends = (DIGITS[0], DIGITS[-1])
    return [
        Line(f"({letter}) emulation", points, ink=ink),
        Line(f"({letter}) in the clear", [(d, plain) for d in ends], dashed=True, ink=ink),
        *([Line("majority", [(d, majority) for d in ends], dashed=True, ink=5)] if ink == 0 else []),
    ]


def secure_run(evidence: Evidence, net: str, digits: int) -> Result | None:
    """Return the secure run at d, or None."""
    try:
        return evidence.run(evidence.suite.masked[net, digits])
    except MissingPart:
        return None


def error_figure(id_: str, title: str, kind: str | None, evidence: Evidence) -> Figure:
    """Return mean errors against d: of the logits (kind None), of convolutions, or of dense layers."""
    lines: list[Line] = []
    missing: list[str] = []
    for ink, net in enumerate(NETS):
        try:
            found = evidence.emulated(net)
        except MissingPart as gap:
            missing.append(str(gap))
            continue
        values = [(float(d), output_error(found, d) if kind is None else kind_error(found, d, kind)) for d in DIGITS]
        points = [(d, v) for d, v in values if v is not None]
        lines += [Line(f"({LETTERS[net]}) emulation", points, ink=ink)] if points else []
        if kind is None:
            secure = [(float(d), r["error_mean"]) for d in DIGITS if (r := secure_run(evidence, net, d)) is not None]
            lines.append(Line(f"({LETTERS[net]}) secure, rlwe", secure, marks=True, ink=ink))
    lines.append(Line("the paper's 1e-3", [(DIGITS[0], REFERENCE), (DIGITS[-1], REFERENCE)], dashed=True, ink=5))
    notes = (
        "Mean |integer value / scale - float value|, over all outputs of the test parts and all splits; of "
        "several layers of a kind the worst. "
        "Emulation: the arithmetic of engine paper with every conversion right."
        + (" Squares: secure runs of engine rlwe on shipped weights." if kind is None else ""),
        *missing,
    )
    return Figure(id_, title, "mean error", tuple(line for line in lines if line.points), notes, logarithmic=True)
