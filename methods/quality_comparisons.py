"""Sources held against each other, and facts that cannot be: the external and denominator domains of the WHO data quality review.

Belongs here: pairs of figures that should agree or bound each other, as measures (every pair) and as findings (those that do not),
frames in and frames out. Does not belong here: what one source says of itself (`quality_review`), which tables are read.

A made-up figure is never held against a real one: `is_practice` is part of every match.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from methods.outliers import changes
from methods.quality_review import RECENT, SERIES, as_findings

MEASURE_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "provider_code": pl.String,
    "measure_code": pl.String,
    "subject_code": pl.String,
    "period_code": pl.String,
    "dimension_code": pl.String,
    "value": pl.Float64,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "is_practice": pl.Boolean,
}
"""One row is one measure of the review: key provider_code, measure_code, subject_code, period_code."""

BOTH = "_T"
"""Provider of a comparison: it is not said which of the two is wrong."""


def paired(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Figures of two sources about one thing: subject_code, period_code, left, right, is_practice.

    Takes frames with subject_code, period_code, value, is_practice; a figure without a counterpart is left out.
    """
    keys = ["subject_code", "period_code", "is_practice"]
    return (
        left.join(right, on=keys, how="inner", suffix="_right", validate="1:1")
        .select(*keys, left=pl.col("value").cast(pl.Float64), right=pl.col("value_right").cast(pl.Float64))
        .sort(keys)
    )


def comparison_measures(pairs: pl.DataFrame, measure_code: str, dimension_code: str = "external") -> pl.DataFrame:
    """Every pair as a measure: the ratio of left to right, null where right is 0."""
    return _measures(
        pairs.with_columns(
            provider_code=pl.lit(BOTH),
            value=pl.when(pl.col("right") != 0).then(pl.col("left") / pl.col("right")),
            numerator=pl.col("left"),
            denominator=pl.col("right"),
        ),
        measure_code,
        dimension_code,
    )


def disagreements(
    pairs: pl.DataFrame,
    review_code: str,
    *,
    tolerance_share: float,
    least: float = 20,
    dimension_code: str = "external",
    is_bound: bool = False,
) -> pl.DataFrame:
    """Findings for pairs that differ by more than `tolerance_share` of the larger, where that is `least` or more.

    `is_bound`: left is a part of right, so only a left above right is a finding, without tolerance.
    """
    larger = pl.max_horizontal("left", "right")
    differs = (
        pl.col("left") > pl.col("right")
        if is_bound
        else (larger >= least) & ((pl.col("left") - pl.col("right")).abs() > tolerance_share * larger)
    )
    return as_findings(
        pairs.filter(differs).with_columns(
            instance_code=pl.lit(BOTH),
            severity_code=pl.lit("warning"),
            concept_code=pl.col("subject_code"),
            subject_code=pl.concat_str("subject_code", "period_code", separator="/"),
            observed_value=pl.col("left"),
            expected_value=pl.col("right"),
        ),
        review_code,
        dimension_code,
    )


def reporting_measures(owed: pl.DataFrame, as_at: datetime) -> pl.DataFrame:
    """Completeness and timeliness of every server, data set and period of the last thirteen months."""
    due = owed.filter(pl.col("state_code") != "not_due", pl.col("period_start_on") >= (as_at - RECENT).date())
    by = due.group_by("instance_code", "data_set_code", "period_code").agg(
        denominator=pl.len().cast(pl.Float64),
        came=pl.col("state_code").is_in(["on_time", "late"]).sum().cast(pl.Float64),
        in_time=(pl.col("state_code") == "on_time").sum().cast(pl.Float64),
        is_practice=pl.col("is_practice").any(),
    )
    parts = [
        _measures(
            by.with_columns(
                provider_code=pl.col("instance_code"),
                subject_code=pl.col("data_set_code"),
                numerator=pl.col(column),
                value=pl.col(column) / pl.col("denominator"),
            ),
            code,
            dimension,
        )
        for code, dimension, column in (
            ("reports_received", "completeness", "came"),
            ("reports_in_time", "timeliness", "in_time"),
        )
    ]
    return pl.concat(parts)


def silence_measures(scored: pl.DataFrame) -> pl.DataFrame:
    """Per server: series that DHIS2's outlier screen can say nothing about, by reason, over all series.

    Takes `outliers.score_series` of the values of all servers. In small counts the screen is mostly silent; this says how mostly.
    """
    by_series = scored.group_by(SERIES).agg(
        silence_code=pl.col("silence_code").first(), is_practice=pl.col("is_practice").any()
    )
    all_series = by_series.group_by("instance_code").agg(denominator=pl.len().cast(pl.Float64))
    silent = (
        by_series.filter(pl.col("silence_code").is_not_null())
        .group_by("instance_code", "silence_code")
        .agg(numerator=pl.len().cast(pl.Float64), is_practice=pl.col("is_practice").any())
        .join(all_series, on="instance_code", validate="m:1")
    )
    return _measures(
        silent.with_columns(
            provider_code=pl.col("instance_code"),
            subject_code=pl.col("silence_code"),
            period_code=pl.lit("_T"),
            value=pl.col("numerator") / pl.col("denominator"),
        ),
        "outlier_screen_silent",
        "internal",
    )


def change_findings(values: pl.DataFrame, as_at: datetime, tail_probability: float = 1e-6) -> pl.DataFrame:
    """Recent jumps of a unit's monthly or quarterly total of one concept, against the period before it.

    The tail is exact: the probability that two periods of one rate give so unequal a pair. `expected_value` is the count before.
    """
    series = ["instance_code", "concept_code", "org_unit_uid", "period_type_code"]
    totals = (
        values.filter(pl.col("value_number") >= 0, pl.col("concept_code").is_not_null())
        .group_by(*series, "period_code", "period_start_on")
        .agg(value=pl.col("value_number").sum(), is_practice=pl.col("is_practice").any())
    )
    found = changes(totals, series, "period_start_on", tail_probability=tail_probability).filter(
        pl.col("is_change"), pl.col("period_start_on") >= (as_at - RECENT).date()
    )
    return as_findings(
        found.with_columns(
            subject_code=pl.concat_str("concept_code", "org_unit_uid", "period_code", separator="/"),
            severity_code=pl.lit("warning"),
            observed_value=pl.col("value"),
            expected_value=pl.col("previous"),
            tail_probability=pl.col("tail"),
        ),
        "time_change",
        "internal",
    )


def closed_unit_findings(referrals: pl.DataFrame, org_units: pl.DataFrame) -> pl.DataFrame:
    """Referrals sent by a unit that was not open on that day: nobody can have sent them. One finding per unit and month.

    The records themselves are not named: `observed_value` counts them.
    """
    known = org_units.select("instance_code", "org_unit_uid", "opening_on", "closed_on")
    sent = referrals.filter(pl.col("direction_code") == "outgoing", pl.col("referred_on").is_not_null())
    impossible = sent.join(
        known,
        left_on=["instance_code", "from_org_unit_uid"],
        right_on=["instance_code", "org_unit_uid"],
        validate="m:1",
    ).filter((pl.col("closed_on") < pl.col("referred_on")) | (pl.col("opening_on") > pl.col("referred_on")))
    by_month = impossible.group_by(
        "instance_code", "from_org_unit_uid", period_code=pl.col("referred_on").dt.strftime("%Y%m")
    ).agg(observed_value=pl.len().cast(pl.Float64), is_practice=pl.col("is_practice").any())
    return as_findings(
        by_month.with_columns(
            org_unit_uid=pl.col("from_org_unit_uid"),
            subject_code=pl.concat_str("from_org_unit_uid", "period_code", separator="/"),
            severity_code=pl.lit("warning"),
            expected_value=pl.lit(0.0),
        ),
        "closed_unit_referral",
        "internal",
    )


def _measures(found: pl.DataFrame, measure_code: str, dimension_code: str) -> pl.DataFrame:
    labelled = found.with_columns(measure_code=pl.lit(measure_code), dimension_code=pl.lit(dimension_code))
    return labelled.select(pl.col(name).cast(kind) for name, kind in MEASURE_SCHEMA.items())


def all_measures(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The measures together, in key order."""
    keys = ["provider_code", "measure_code", "subject_code", "period_code"]
    return pl.concat(list(parts)).sort(keys) if parts else pl.DataFrame(schema=dict(MEASURE_SCHEMA))
