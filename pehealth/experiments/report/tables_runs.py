"""Tables I to III: one image through Net(e) and Net(f), and the two ends for a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from pehealth.experiments.report.cells import INSECURE, Row, Table, gap_row, number, percent, system_name
from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.paper import BATCH, MIB, TABLE_2, Quoted
from pehealth.experiments.report.parts import Result
from pehealth.experiments.report.planned import planned_seconds
from pehealth.experiments.report.runs import SecureRun, one_server_bytes

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
                f"{row.seconds:g}",
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
            "--walk fast walks as short as the paper's times imply, whatever that does to the answers."
        ),
    )
    return Table(id_, title, IMAGE_COLUMNS, tuple(rows), notes)


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
            f"measured, processor time, both halves in one process{scaled}",
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
