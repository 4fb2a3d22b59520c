"""The expected-reports ledger: who owed which report, whether it came, and whether it came in time.

Belongs here: the arithmetic of completeness (DQ01) and timeliness (DQ02), frames in and frames out. Does not belong here: which data sets
there are, publishing the rates. Source: DHIS2 2.43.1 (JdbcCompletenessTargetTableManager, JdbcAnalyticsManager,
JdbcCompletenessTableManager).

Two differences from DHIS2, both on purpose: an expected of 0 gives no rate instead of 0, and a rate above 100 % is shown, not capped.
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

REPORT_KEY = ("instance_code", "data_set_uid", "org_unit_uid", "period_code")


def ledger(
    assignments: pl.DataFrame,
    org_units: pl.DataFrame,
    periods: pl.DataFrame,
    registrations: pl.DataFrame,
    as_at: datetime,
) -> pl.DataFrame:
    """One row per report that was owed, in key order.

    Takes assignments (instance_code, data_set_uid, org_unit_uid, period_type_code, timely_days), org_units (instance_code, org_unit_uid,
    opening_on, closed_on), periods (period_code, period_type_code, period_start_on, period_end_on) and registrations (REPORT_KEY,
    registered_at, is_completed; several option combinations of one report count once, the latest deciding when it was whole).

    Rows: assigned unit x period of the data set's type that has ended by `as_at`, where the unit was open over the whole
    period (opening on or before its start, closing on or after its end). Columns added: due_on, received_at, state_code
    (`on_time`, `late`, `missing`, `not_due`: nothing yet, and still in time).
    """
    open_units = org_units.select("instance_code", "org_unit_uid", "opening_on", "closed_on")
    received = (
        registrations.filter(pl.col("is_completed"))
        .group_by(REPORT_KEY)
        .agg(received_at=pl.col("registered_at").max(), is_received=pl.lit(True))
    )
    owed = (
        assignments.join(open_units, on=["instance_code", "org_unit_uid"], how="inner")
        .join(periods, on="period_type_code", how="inner")
        .filter(
            pl.col("period_end_on") < as_at.date(),
            pl.col("opening_on").is_null() | (pl.col("opening_on") <= pl.col("period_start_on")),
            pl.col("closed_on").is_null() | (pl.col("closed_on") >= pl.col("period_end_on")),
        )
        .with_columns(
            due_on=pl.col("period_end_on") + pl.duration(days=pl.col("timely_days")),
            # (registration - end date at 00:00) in days <= timely_days + 1: the whole last day is in time.
            deadline_at=pl.col("period_end_on").cast(pl.Datetime("us")) + pl.duration(days=pl.col("timely_days") + 1),
        )
        .join(received, on=REPORT_KEY, how="left")
    )
    now = as_at.replace(tzinfo=None)
    state = (
        pl.when(pl.col("is_received") & (pl.col("received_at") <= pl.col("deadline_at")))
        .then(pl.lit("on_time"))
        .when(pl.col("is_received"))
        .then(pl.lit("late"))
        .when(pl.col("deadline_at") >= pl.lit(now))
        .then(pl.lit("not_due"))
        .otherwise(pl.lit("missing"))
    )
    return owed.with_columns(state_code=state).drop("is_received", "deadline_at").sort(REPORT_KEY)


def unexpected_reports(owed: pl.DataFrame, registrations: pl.DataFrame) -> pl.DataFrame:
    """Completed registrations that no ledger row asked for, in key order: unassigned or closed units, or periods not yet ended."""
    return (
        registrations.filter(pl.col("is_completed"))
        .join(owed.select(REPORT_KEY), on=list(REPORT_KEY), how="anti")
        .sort(REPORT_KEY)
    )


def reporting_rates(owed: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Completeness and timeliness by the columns `by`.

    Columns: expected (reports owed and due), actual, actual_on_time, completeness_percent, timeliness_percent (null where nothing was
    expected). Reports that are not yet due count only once they have come.
    """
    due = owed.filter(pl.col("state_code") != "not_due")
    return (
        owed.select(by)
        .unique()
        .join(
            due.group_by(by).agg(
                expected=pl.len(),
                actual=pl.col("state_code").is_in(["on_time", "late"]).sum(),
                actual_on_time=(pl.col("state_code") == "on_time").sum(),
            ),
            on=list(by),
            how="left",
        )
        .with_columns(pl.col("expected", "actual", "actual_on_time").fill_null(0).cast(pl.Int64))
        .with_columns(
            completeness_percent=pl.when(pl.col("expected") > 0).then(100.0 * pl.col("actual") / pl.col("expected")),
            timeliness_percent=pl.when(pl.col("expected") > 0).then(
                100.0 * pl.col("actual_on_time") / pl.col("expected")
            ),
        )
        .sort(by)
    )
