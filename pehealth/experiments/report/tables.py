"""Tables I to IV as the paper prints them and as measured here; a row that could not be measured says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from pehealth.experiments.report.evidence import Evidence, accuracy_at, kind_seconds, mean_of, plain_accuracy
from pehealth.experiments.report.paper import (
    BATCH,
    KINDS,
    LETTERS,
    MIB,
    NETS,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    Quoted,
)
from pehealth.experiments.report.parts import MissingPart, Result
from pehealth.experiments.report.runs import SecureRun, one_server_bytes

Row = tuple[str, ...]
INSECURE = "INSECURE"


@dataclass(frozen=True)
class Table:
    """A table for people: every cell is text; the figures behind it are in the parts."""

    id: str
    title: str
    columns: Row
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with three significant digits, a dash for none."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    text = f"{value:,.{digits}g}"
    return text if "e" not in text else f"{value:,.0f}" if value >= 1 else f"{value:.1e}"


def percent(value: float | None) -> str:
    """Return a share in per cent."""
    return "-" if value is None else f"{100 * value:.2f}"


def gap_row(columns: int, what: str, make: Callable[[], Row]) -> Row:
    """Return the row, or one that says why it is missing."""
    try:
        return make()
    except MissingPart as missing:
        return (what, *[""] * (columns - 2), f"not measured: {missing}")


def tables(evidence: Evidence) -> tuple[Table, ...]:
    """Return all tables of a report."""
    return (
        one_image("table1", "Table I: one image through Net(e)", "mnist-e", TABLE_1, evidence),
        table_2(evidence),
        one_image("table3", "Table III: one image through Net(f)", "mnist-f", TABLE_3, evidence),
        table_4(evidence),
        accuracy_table(evidence),
    )


IMAGE_COLUMNS = (
    "system", "runtime, s", "MB, one server's links", "MB, all links", "accuracy, %", "classes like the oracle's",
    "what the row is",
)  # fmt: skip


def one_image(id_: str, title: str, net: str, quoted: Iterable[Quoted], evidence: Evidence) -> Table:
    """Return Table I or III."""
    rows: list[Row] = []
    for row in quoted:
        shown = f"{row.system}, a batch of {BATCH}" if row.system == "CryptoNets" else row.system
        rows.append(
            (
                shown,
                number(row.seconds),
                number(row.megabytes, 4),
                "-",
                f"{row.accuracy:g}",
                "-",
                "quoted from the paper",
            )
        )
        if row.system == "CryptoNets" and row.megabytes:
            rows.append((
                "CryptoNets, an image of the batch", number(row.seconds / BATCH), number(row.megabytes / BATCH), "-",
                f"{row.accuracy:g}", "-", f"quoted, divided by {BATCH}",
            ))  # fmt: skip
    suite = evidence.suite
    specs = [("walk fast", suite.fast[net]), ("walk right", suite.right[net])]
    specs += [("", spec) for spec in suite.timed if spec.net == net]
    rows += [
        gap_row(len(IMAGE_COLUMNS), system_name(spec, words), partial(image_row, evidence, spec, words))
        for words, spec in specs
    ]
    rows += [
        gap_row(len(IMAGE_COLUMNS), "plan", partial(plan_row, evidence, spec))
        for spec in suite.planned
        if spec.net == net
    ]
    notes = (
        (
            "MB are 2^20 bytes of payload. The paper's figures fit one server's links only; the system moves "
            "about twice that."
        ),
        (
            "A runtime of engine paper on toy32 stands beside the share of its classes that are the oracle's: "
            "--walk fast meets the paper's times and gets most answers of this network wrong."
        ),
    )
    return Table(id_, title, IMAGE_COLUMNS, tuple(rows), notes)


def system_name(spec: SecureRun, words: str = "") -> str:
    """Return for instance "paper on toy32 (INSECURE), walk fast, d = 1"."""
    group = f" on {spec.group}" if spec.group else ""
    warned = f" ({INSECURE})" if spec.group == "toy32" else ""
    return f"{spec.engine}{group}{warned}{', ' + words if words else ''}, d = {spec.digits}"


def image_row(evidence: Evidence, spec: SecureRun, words: str) -> Row:
    """Return what a run says of one image."""
    run = evidence.run(spec)
    links = run["links"]["online"]
    return (
        system_name(spec, words),
        number(run["seconds"]),
        number(one_server_bytes(links) / MIB),
        number(sum(links.values()) / MIB),
        f"{percent(run['accuracy'])} (in the clear {percent(run['plain_accuracy'])})",
        f"{run['like_oracle']} of {run['samples']}",
        f"measured, secure runs{', w = ' + str(run['walk']) if run['walk'] else ''}",
    )


def plan_row(evidence: Evidence, spec: SecureRun) -> Row:
    """Return what a plan says of a walk that is right."""
    seconds = planned_seconds(evidence, spec)
    share = f"{spec.failures:g} wrong conversions expected"
    return (f"{system_name(spec, 'walk right')}", number(seconds), "-", "-", "-", share, "from the plan, not run here")


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


def table_2(evidence: Evidence) -> Table:
    """Return Table II: the two ends, for 4096 images."""
    columns = (
        "system", "encryption (HMS), s", "decryption (HC), s", "MB to one server", "MB to both", "MB from one server",
        "what the row is",
    )  # fmt: skip
    rows: list[Row] = [
        (
            r.system,
            number(r.encrypt, 6),
            number(r.decrypt, 6),
            number(r.upload, 4),
            "-",
            number(r.result),
            "quoted from the paper",
        )
        for r in TABLE_2
    ]

    def literal(group: str, found: Callable[[], Result]) -> Row:
        ends = found()
        factor = BATCH / ends["images"]
        scaled = "" if factor == 1 else f", {ends['images']} images times {factor:g}"
        up = ends["upload_bytes_a_server"] * factor / MIB
        warned = f" ({INSECURE})" if group == "toy32" else ""
        return (
            f"paper on {ends['group']}{warned}",
            number(ends["share_seconds"] * factor),
            number(ends["recover_seconds"] * factor),
            number(up, 4),
            number(2 * up, 4),
            number(ends["result_bytes_a_server"] * factor / MIB),
            f"measured, both halves in one process{scaled}",
        )

    rows.append(gap_row(len(columns), "paper on toy32", lambda: literal("toy32", lambda: evidence.parts["ends toy32"])))
    rows.append(gap_row(len(columns), "paper, real size", lambda: literal("", lambda: evidence.big("ends"))))

    def masked() -> Row:
        run = evidence.run(evidence.suite.masked["mnist-e", 4])
        links, each = run["links"]["online"], BATCH / run["batch"] / MIB
        ups = [links[f"HMS1->{server}"] * each for server in ("E1", "E2")]
        return (
            f"rlwe, k = {run['ring']}", "-", "-", number(max(ups), 4), number(sum(ups), 4),
            number(links["E1->HC"] * each),
            f"measured in secure runs of {run['batch']} images, times {BATCH / run['batch']:g}",
        )  # fmt: skip

    rows.append(gap_row(len(columns), "rlwe", masked))
    notes = (
        (
            "CryptoNets encrypts a whole batch at once: an image of the batch takes 0.149 s and 0.090 MB (quoted, "
            "divided by 4096)."
        ),
        (
            "A 32-bit group hides no model. In a group of real size (the line modp) the same protocol sends a "
            "multiple, about as much as CryptoNets."
        ),
    )
    return Table("table2", f"Table II: sensor and centre, {BATCH} images", columns, tuple(rows), notes)


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
