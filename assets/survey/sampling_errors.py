"""The sampling-error table of a wave, in the form that household survey reports print it.

One line per estimate: value, standard error, coefficient of variation, design effect and its root, weighted and unweighted n, and
the value plus and minus two standard errors. The published intervals (t, logit, Woodruff) are in the estimates themselves.
"""

import polars as pl

COLUMNS = (
    "survey_code", "wave_code", "measure_code", "sex_code", "age_code", "migrant_status_code", "origin_code", "destination_code",
    "category_code", "value", "se", "cv", "deff", "deft", "n_weighted", "n_unweighted", "value_minus_2se", "value_plus_2se",
)  # fmt: skip


def sampling_errors(estimates: pl.DataFrame) -> pl.DataFrame:
    """The table for every wave in `estimates` that has standard errors; withheld estimates stay out, as they do from every table.

    *Columns* added: `deft` = √deff; `value_minus_2se`, `value_plus_2se`, in the unit of the value and not cut at 0 or 1.
    Source: form of the sampling-error tables of MICS reports (Viet Nam 2011, annex on sampling errors).
    """
    shown = estimates.filter(
        pl.col("se").is_not_null(), ~pl.col("reliability_code").is_in(["suppressed", "not_published"])
    )
    return shown.with_columns(
        pl.col("deff").sqrt().alias("deft"),
        (pl.col("value") - 2 * pl.col("se")).alias("value_minus_2se"),
        (pl.col("value") + 2 * pl.col("se")).alias("value_plus_2se"),
    ).select(COLUMNS)
