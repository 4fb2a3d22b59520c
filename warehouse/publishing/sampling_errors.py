"""The sampling-error table of a release, in the form that household survey reports print it.

One line per survey estimate: value, standard error, coefficient of variation, design effect and its root, weighted and unweighted n,
value plus and minus two standard errors, and the published interval. Belongs here: which estimates may be in it, and its columns.
Does not belong here: estimation (`assets.survey`), protection (`protection`), files.
"""

from datetime import datetime
from typing import Any

import polars as pl

from warehouse.history import as_naive_utc
from warehouse.store import fetch_frame

BREAKDOWNS = (
    "sex_code", "age_code", "migrant_status_code", "migrant_basis_code", "origin_code", "destination_code", "category_code",
)  # fmt: skip
_TEXT, _NUMBER = pl.String(), pl.Float64()
SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(
        ("survey_code", "wave_code", "title", "measure_code", "area_code", "period_code", *BREAKDOWNS), _TEXT
    ),
    **dict.fromkeys(("value", "se", "cv", "deff", "deft"), _NUMBER),
    "deff_reference_code": _TEXT,
    "n_weighted": _NUMBER,
    "n_unweighted": pl.Int64(),
    **dict.fromkeys(("value_minus_2se", "value_plus_2se", "lower", "upper"), _NUMBER),
    "interval_code": _TEXT,
    "df": pl.Int64(),
    "reliability_code": _TEXT,
    "is_practice": pl.Boolean(),
}
"""Columns of the table, in the order of the printed form."""

WITHHELD = ("suppressed", "not_published")


def no_sampling_errors() -> pl.DataFrame:
    """The table of a release without surveys."""
    return pl.DataFrame(schema=SCHEMA)


def sampling_errors_at(connection: Any, at: datetime, observations: pl.DataFrame) -> pl.DataFrame:
    """The table for the estimates that the store held at the instant, beside the protected observations of the same release."""
    estimates = fetch_frame(
        connection,
        """select estimate.*, wave.title
        from estimate.survey_estimate_as_of($at) as estimate
        -- Many to one: a wave has one row; a pool of waves has none, and its own code for a title.
        left join core.survey_wave_as_of($at) as wave using (survey_code, wave_code)
        order by all""",
        {"at": as_naive_utc(at)},
    )
    return sampling_errors(estimates.with_columns(pl.coalesce("title", "survey_code").alias("title")), observations)


def sampling_errors(estimates: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    """One line per estimate with a standard error that may be seen. *Rows*: wave x measure x breakdowns.

    An estimate withheld by the reliability policy stays out, and so does one whose figure the release hides or leaves empty; of a
    pool only what the release shows as a regional figure is in, for coverage is judged there. Where a
    level of a breakdown was withheld for its few respondents, the others would give its n away by subtraction: of such a breakdown
    only those are shown that the release shows with the same n, because those were audited for it.

    *Columns* added: `deft` = √deff; `value_minus_2se`, `value_plus_2se`, in the unit of the value and not cut at 0 or 1.
    Source: form of the sampling-error tables of MICS reports (Viet Nam 2011, annex on sampling errors).
    """
    key = ["measure_code", "area_code", "period_code", *BREAKDOWNS]
    shown = (
        observations.rename({"indicator_code": "measure_code"})
        .group_by(key)
        .agg(
            ((pl.col("conf_status") == "F") & pl.col("value").is_not_null()).fill_null(False).all().alias("is_free"),
            pl.col("n").max().alias("n_shown"),
        )
    )
    pattern = pl.concat_str([(pl.col(name) == "_T").cast(pl.String) for name in BREAKDOWNS], separator=" ")
    breakdown = ["survey_code", "wave_code", "measure_code", "__pattern"]
    is_thin = (pl.col("reliability_code") == "suppressed").any().over(breakdown)
    is_audited = pl.col("is_free").fill_null(False) & (pl.col("n_shown") == pl.col("n_unweighted")).fill_null(False)
    return (
        estimates.with_columns(pattern.alias("__pattern"))
        .with_columns(is_thin.alias("__is_thin"))
        .join(shown, on=key, how="left")
        .filter(
            pl.col("se").is_not_null(),
            ~pl.col("reliability_code").is_in(WITHHELD),
            pl.col("is_free").fill_null(pl.col("part_area_codes").is_null()),
            ~pl.col("__is_thin") | is_audited,
        )
        .with_columns(
            pl.col("deff").sqrt().alias("deft"),
            (pl.col("value") - 2 * pl.col("se")).alias("value_minus_2se"),
            (pl.col("value") + 2 * pl.col("se")).alias("value_plus_2se"),
        )
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
        .sort(list(SCHEMA)[:13])
    )
