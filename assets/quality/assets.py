"""The asset `core/quality_finding`: the review of what DHIS2 servers report, after all of them are loaded.

Belongs here: reading the open rows and handing them to `methods.quality_review`. Does not belong here: the arithmetic of findings, rules
about rows (`expectations`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import check_specs, load_results, selected, table_key, table_spec
from assets.loading import derive_table
from methods.quality_review import review, violation_findings
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.quality import Scales
from warehouse.store import Warehouse, fetch_frame

REVIEWED = ("core.data_value", "core.org_unit", "core.data_set_assignment", "core.data_set_registration")
VIOLATIONS = "core.validation_result"


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The asset `core/quality_finding`."""
    table = tables()["core.quality_finding"]

    @dg.multi_asset(
        can_subset=True,
        name="review_quality",
        specs=[table_spec(table, [table_key(name) for name in (*REVIEWED, VIOLATIONS)])],
        check_specs=check_specs([table], scales),
    )
    def review_quality(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        report = derive_table(
            warehouse,
            scales,
            "quality_review",
            refresh.recorded_at,
            table.name,
            lambda connection: review_current_rows(connection, refresh.as_at),
            inputs=[*REVIEWED, VIOLATIONS],
            also=[refresh.as_at.date().isoformat()],
        )
        yield from selected(context, load_results([table], [report], warehouse.row_counts([table.name]), scales))

    return [review_quality]


def review_current_rows(connection: Any, as_at: datetime) -> pl.DataFrame:
    """The findings that the open rows of all servers make."""
    values, org_units, assignments, registrations = (
        fetch_frame(connection, f"select * from {name}_current order by all") for name in REVIEWED
    )
    violations = fetch_frame(connection, f"select * from {VIOLATIONS}_current order by all")
    found = [review(values, org_units, assignments, registrations, as_at), violation_findings(violations, as_at)]
    return (
        pl.concat(found)
        .sort("instance_code", "review_code", "subject_code")
        .with_columns(receipt_id=pl.lit(None, dtype=pl.String))
    )
