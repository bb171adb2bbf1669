"""Table IV, by layer, and accuracy against d as a table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pehealth.experiments.report.cells import Row, Table, gap_row, number, percent
from pehealth.experiments.report.evidence import Evidence, accuracy_at, kind_seconds, mean_of, plain_accuracy
from pehealth.experiments.report.paper import KINDS, LETTERS, NETS, TABLE_4
from pehealth.experiments.report.parts import MissingPart, Result
from pehealth.experiments.report.runs import SecureRun


def table_4(evidence: Evidence) -> Table:
    """Return Table IV: milliseconds by kind of layer, and how many answers were right."""
    columns = ("network", "layer", "paper, ms", "walk fast, ms", "walk right, ms", "real size, ms", "note")
    rows = [row for net in NETS for row in layer_rows(evidence, net)]
    notes = (
        (
            "walk fast and walk right: engine paper on toy32 (INSECURE), the slower server, each party a process "
            "on this machine. walk fast: d = 1, walks as short as the paper's times imply. walk right: one query in "
            "twenty (MNIST: in ten) may be spoilt; d as stated. Times of layers hold the waiting for the other server."
        ),
        "real size: the same protocol in an RFC 3526 group of 112 bits or more, d = 0.",
    )
    return Table("table4", "Table IV: runtime of each layer, one instance", columns, tuple(rows), notes)


def layer_rows(evidence: Evidence, net: str) -> Iterator[Row]:
    """Yield a row a kind of layer of a network, and their sum with the right answers."""
    suite = evidence.suite
    real = next((s for s in suite.real if s.net == net), None)
    specs = (suite.fast[net], suite.right[net], real)

    def found(spec: SecureRun | None) -> Result | str:
        try:
            return evidence.run(spec) if spec is not None else ""
        except MissingPart as missing:
            return str(missing)

    runs = [found(spec) for spec in specs]
    for kind in KINDS:
        if kind in TABLE_4[net]:
            times = ["-" if isinstance(r, str) else milliseconds(kind_seconds(r, kind)) for r in runs]
            yield (net, kind, f"{TABLE_4[net][kind]:g}", *times, "")
    sums = ["-" if isinstance(r, str) else milliseconds(r["seconds"]) for r in runs]
    words = [
        f"{w}: {r if isinstance(r, str) else verdict_of(r)}"
        for w, r in zip(("fast", "right", "real size"), runs, strict=True)
        if r
    ]
    yield (f"{net}, Net({LETTERS[net]})", "whole query", number(sum(TABLE_4[net].values()), 4), *sums, "; ".join(words))


def milliseconds(seconds: float | None) -> str:
    """Return milliseconds."""
    return number(None if seconds is None else 1e3 * seconds)


def verdict_of(run: Result) -> str:
    """Return how right a run was."""
    return f"d = {run['digits']}, w = {run['walk']}, classes like the oracle's {run['like_oracle']} of {run['samples']}"


def accuracy_table(evidence: Evidence) -> Table:
    """Return accuracy against d for all six networks, emulated and secure."""
    columns = (
        "network", "tested on", "majority", "in the clear", *(f"d = {d}" for d in range(6)), "secure (rlwe), d = 4",
        "weights and splits",
    )  # fmt: skip

    def row(net: str) -> Row:
        found = evidence.emulated(net)
        splits = found["splits"]
        try:
            run = evidence.run(evidence.suite.masked[net, 4])
            secure = f"{percent(run['accuracy'])} of {run['samples']} (clear {percent(run['plain_accuracy'])})"
        except MissingPart as missing:
            secure = str(missing)
        parts = "tenths of the test images" if net.startswith("mnist") else "splits"
        return (
            net,
            f"{sum(s['tested'] for s in splits):,}",
            percent(mean_of(splits, lambda s: s["majority"])),
            percent(plain_accuracy(found)),
            *(percent(accuracy_at(found, d)) for d in range(6)),
            secure,
            f"{found['weights']}; mean of {len(splits)} {parts}",
        )

    rows = tuple(gap_row(len(columns), net, partial(row, net)) for net in NETS)
    notes = (
        (
            "Columns d = 0 to 5: emulation by the integer oracle in the clear, arithmetic of engine paper, which "
            "equals a secure run "
            "whose conversions are all right. The secure column is engine rlwe between real parties, on the "
            "shipped weights and split."
        ),
    )
    return Table("accuracy", "Accuracy against the precision degree d, per cent (Figure 6)", columns, rows, notes)
