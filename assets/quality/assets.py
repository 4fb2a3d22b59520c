"""The assets `core/quality_finding` and `core/quality_measure`: the review of all sources, after they are loaded.

Belongs here: reading the open rows and handing them to the review's methods. Does not belong here: the arithmetic of findings, which
sources are held against each other (`comparisons`), rules about rows (`expectations`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import check_specs, load_results, one_opening, selected, table_key, table_spec
from assets.loading import derive_table
from assets.quality.comparisons import compare
from methods.expected_reports import ledger
from methods.outliers import score_series
from methods.quality_comparisons import (
    all_measures,
    change_findings,
    closed_unit_findings,
    reporting_measures,
    silence_measures,
)
from methods.quality_review import SERIES, report_periods, review, violation_findings
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.quality import Scales
from warehouse.store import Warehouse, fetch_frame

REVIEWED = ("core.data_value", "core.org_unit", "core.data_set_assignment", "core.data_set_registration")
VIOLATIONS = "core.validation_result"

COMPARED = (
    VIOLATIONS,
    "core.referral_record",
    "core.labour_contract",
    "core.labour_figure",
    "core.survey_person",
    "core.survey_wave",
    "core.reference_value",
)
"""What else the review reads: broken rules of the servers, and the sources that are held against each other."""


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The assets `core/quality_finding` and `core/quality_measure`."""
    made = [tables()["core.quality_finding"], tables()["core.quality_measure"]]

    @dg.multi_asset(
        can_subset=True,
        name="review_quality",
        specs=[table_spec(table, [table_key(name) for name in (*REVIEWED, *COMPARED)]) for table in made],
        check_specs=check_specs(made, scales),
    )
    @one_opening
    def review_quality(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        reports = [
            derive_table(
                warehouse,
                scales,
                source_code,
                refresh.recorded_at,
                table.name,
                partial(make, as_at=refresh.as_at),
                inputs=(*REVIEWED, *COMPARED),
                also=[refresh.as_at.date().isoformat()],
            )
            for table, source_code, make in zip(
                made, ("quality_review", "quality_measure"), (review_current_rows, measure_current_rows), strict=True
            )
        ]
        counts = warehouse.row_counts(table.name for table in made)
        yield from selected(context, load_results(made, reports, counts, scales))

    return [review_quality]


def review_current_rows(connection: Any, as_at: datetime) -> pl.DataFrame:
    """The findings that the open rows of all sources make."""
    values, org_units, assignments, registrations = _reviewed(connection)
    referrals = fetch_frame(
        connection,
        "select instance_code, direction_code, referred_on, from_org_unit_uid, is_practice from core.referral_record_current",
    )
    parts = [
        review(values, org_units, assignments, registrations, as_at),
        violation_findings(fetch_frame(connection, f"select * from {VIOLATIONS}_current order by all"), as_at),
        change_findings(values, as_at),
        closed_unit_findings(referrals, org_units),
        *compare(connection, as_at)[1],
    ]
    found = pl.concat(parts).sort("instance_code", "review_code", "subject_code")
    return found.with_columns(receipt_id=pl.lit(None, dtype=pl.String))


def measure_current_rows(connection: Any, as_at: datetime) -> pl.DataFrame:
    """The measures of the review on the open rows of all sources."""
    values, org_units, assignments, registrations = _reviewed(connection)
    periods = report_periods(assignments, registrations, as_at)
    counted = values.filter(pl.col("value_number").is_not_null())
    parts = [
        reporting_measures(ledger(assignments, org_units, periods, registrations, as_at), as_at),
        silence_measures(score_series(counted, SERIES, "value_number")),
        *compare(connection, as_at)[0],
    ]
    return all_measures(parts).with_columns(receipt_id=pl.lit(None, dtype=pl.String))


def _reviewed(connection: Any) -> tuple[pl.DataFrame, ...]:
    return tuple(fetch_frame(connection, f"select * from {name}_current order by all") for name in REVIEWED)
