"""The data quality review: what the numbers say of themselves, as rows that can have a history.

Belongs here: findings about reported values (outliers, missing and unexpected reports, broken validation rules, disagreement between
sources), frames in and frames out. Does not belong here: rules about single rows (`expectations`), what a provider is told.
The dimensions are those of the WHO data quality review: completeness, internal, external.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from methods.expected_reports import ledger, unexpected_reports
from methods.outliers import OutlierPolicy, score_series
from methods.periods import parse_period, periods_between

FINDING_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "instance_code": pl.String,
    "review_code": pl.String,
    "subject_code": pl.String,
    "dimension_code": pl.String,
    "severity_code": pl.String,
    "org_unit_uid": pl.String,
    "period_code": pl.String,
    "concept_code": pl.String,
    "observed_value": pl.Float64,
    "expected_value": pl.Float64,
    "tail_probability": pl.Float64,
    "silence_code": pl.String,
    "is_practice": pl.Boolean,
}
"""One row is one finding: key instance_code, review_code, subject_code."""

RECENT = timedelta(days=400)
"""Findings look back thirteen months; statistics use all of a series. Older values were looked at when they were new."""

SERIES = (
    "instance_code",
    "data_element_uid",
    "org_unit_uid",
    "category_option_combo_uid",
    "attribute_option_combo_uid",
)


def review(
    values: pl.DataFrame,
    org_units: pl.DataFrame,
    assignments: pl.DataFrame,
    registrations: pl.DataFrame,
    as_at: datetime,
    policy: OutlierPolicy | None = None,
) -> pl.DataFrame:
    """All findings about the aggregate data of every server, in key order. Takes the open rows of the core tables of those names."""
    owed = ledger(assignments, org_units, report_periods(assignments, registrations, as_at), registrations, as_at)
    return pl.concat(
        [
            outlier_findings(values, as_at, policy),
            missing_report_findings(owed, as_at),
            unexpected_report_findings(unexpected_reports(owed, registrations), as_at),
        ]
    ).sort("instance_code", "review_code", "subject_code")


def report_periods(assignments: pl.DataFrame, registrations: pl.DataFrame, as_at: datetime) -> pl.DataFrame:
    """Every period of the data sets' types from the first one that any unit registered: nothing was asked for before."""
    first_on = registrations["period_start_on"].min()
    rows = [
        (period.code, type_code, period.start_on, period.end_on)
        for type_code in sorted(assignments["period_type_code"].drop_nulls().unique())
        for period in (periods_between(type_code, first_on, as_at.date()) if isinstance(first_on, date) else ())
    ]
    return pl.DataFrame(
        rows,
        schema={
            "period_code": pl.String,
            "period_type_code": pl.String,
            "period_start_on": pl.Date,
            "period_end_on": pl.Date,
        },
        orient="row",
    )


def outlier_findings(values: pl.DataFrame, as_at: datetime, policy: OutlierPolicy | None = None) -> pl.DataFrame:
    """Recent counts that the rest of their series makes very unlikely; `expected_value` is the mean of the others.

    `silence_code` tells why the outlier screen of DHIS2 would not show the finding, where it would not.
    """
    policy = policy or OutlierPolicy(tail_probability=1e-4)
    counted = values.filter(pl.col("value_number").is_not_null())
    scored = score_series(counted, SERIES, "value_number", policy).with_columns(
        others_mean=(pl.col("value_number").sum().over(SERIES) - pl.col("value_number")) / (pl.col("series_size") - 1)
    )
    found = scored.filter(pl.col("is_tail_outlier"), pl.col("period_start_on") >= (as_at - RECENT).date())
    return as_findings(
        found.with_columns(
            subject_code=pl.concat_str(*SERIES[1:], "period_code", separator="/"),
            severity_code=pl.when(pl.col("is_z_outlier") | pl.col("is_modified_z_outlier"))
            .then(pl.lit("warning"))
            .otherwise(pl.lit("info")),
            observed_value=pl.col("value_number"),
            expected_value=pl.col("others_mean"),
            tail_probability=pl.min_horizontal(1.0, 2 * pl.min_horizontal("tail_high", "tail_low")),
        ),
        "outlier",
        "internal",
    )


def missing_report_findings(owed: pl.DataFrame, as_at: datetime) -> pl.DataFrame:
    """Recent reports that were due and have not come."""
    found = owed.filter(pl.col("state_code") == "missing", pl.col("period_start_on") >= (as_at - RECENT).date())
    return as_findings(
        found.with_columns(
            subject_code=pl.concat_str("data_set_uid", "org_unit_uid", "period_code", separator="/"),
            severity_code=pl.lit("warning"),
            concept_code=pl.col("data_set_code"),
            observed_value=pl.lit(0.0),
            expected_value=pl.lit(1.0),
        ),
        "missing_report",
        "completeness",
    )


def unexpected_report_findings(unexpected: pl.DataFrame, as_at: datetime) -> pl.DataFrame:
    """Recent completed reports that nobody owed: of an unassigned or closed unit, or for a period that has not ended."""
    found = unexpected.filter(pl.col("period_start_on") >= (as_at - RECENT).date()).unique(
        ["instance_code", "data_set_uid", "org_unit_uid", "period_code"], keep="first", maintain_order=True
    )
    return as_findings(
        found.with_columns(
            subject_code=pl.concat_str("data_set_uid", "org_unit_uid", "period_code", separator="/"),
            severity_code=pl.lit("info"),
            concept_code=pl.col("data_set_code"),
            observed_value=pl.lit(1.0),
            expected_value=pl.lit(0.0),
        ),
        "unexpected_report",
        "completeness",
    )


def violation_findings(violations: pl.DataFrame, as_at: datetime) -> pl.DataFrame:
    """Recent violations of the servers' own validation rules, from the open rows of core.validation_result.

    `observed_value` and `expected_value` are the left and right sides.
    """
    recent = (as_at - RECENT).date()
    codes = violations["period_code"].unique().to_list()
    lately = [code for code in codes if parse_period(code).start_on >= recent]
    found = violations.filter(pl.col("period_code").is_in(lately))
    return as_findings(
        found.with_columns(
            subject_code=pl.concat_str(
                "rule_uid", "org_unit_uid", "period_code", "attribute_option_combo_uid", separator="/"
            ),
            severity_code=pl.when(pl.col("importance_code") == "LOW").then(pl.lit("info")).otherwise(pl.lit("warning")),
            concept_code=pl.col("name"),
            observed_value=pl.col("left_value"),
            expected_value=pl.col("right_value"),
        ),
        "validation_rule",
        "internal",
    )


def disagreement_findings(
    left: pl.DataFrame,
    right: pl.DataFrame,
    by: Sequence[str],
    *,
    review_code: str,
    tolerance_share: float = 0.1,
    least: float = 20,
) -> pl.DataFrame:
    """Where two sources of one fact differ by more than `tolerance_share` of the larger, and at least one says `least` or more.

    Takes frames with the columns `by`, `value` and `is_practice`; `right` is what `left` is held against. A made-up
    figure is never compared with a real one: `is_practice` is part of the match.
    """
    matched = left.join(right, on=[*by, "is_practice"], how="inner", suffix="_right")
    larger = pl.max_horizontal("value", "value_right")
    found = matched.filter(
        larger >= least, (pl.col("value") - pl.col("value_right")).abs() > tolerance_share * larger
    ).with_columns(
        instance_code=pl.lit("_T"),
        subject_code=pl.concat_str(*by, separator="/"),
        severity_code=pl.lit("warning"),
        observed_value=pl.col("value"),
        expected_value=pl.col("value_right"),
    )
    return as_findings(found, review_code, "external")


def as_findings(found: pl.DataFrame, review_code: str, dimension_code: str) -> pl.DataFrame:
    """The columns of a finding in order; those that a review does not fill are null."""
    labelled = found.with_columns(review_code=pl.lit(review_code), dimension_code=pl.lit(dimension_code))
    return labelled.select(
        (pl.col(name) if name in labelled.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in FINDING_SCHEMA.items()
    )
