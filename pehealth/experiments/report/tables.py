"""Tables I to IV as the paper prints them and as measured here; a row that could not be measured says why."""

from __future__ import annotations

from pehealth.experiments.report.cells import Table
from pehealth.experiments.report.evidence import Evidence
from pehealth.experiments.report.paper import TABLE_1, TABLE_3
from pehealth.experiments.report.tables_layers import accuracy_table, table_4
from pehealth.experiments.report.tables_runs import one_image, table_2


def tables(evidence: Evidence) -> tuple[Table, ...]:
    """Return all tables of a report."""
    return (
        one_image("table1", "Table I: one image through Net(e)", "mnist-e", TABLE_1, evidence),
        table_2(evidence),
        one_image("table3", "Table III: one image through Net(f)", "mnist-f", TABLE_3, evidence),
        table_4(evidence),
        accuracy_table(evidence),
    )
