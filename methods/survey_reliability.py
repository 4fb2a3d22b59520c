"""Which estimates may be shown: flags from the size of the sample, the coefficient of variation and the degrees of freedom.

The limits are policy and are handed in; estimation and disclosure control do not belong here.
"""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class ReliabilityPolicy:
    """Limits below or above which an estimate is withheld or flagged; see `assets/survey/reliability.toml`."""

    suppress_below_n: int = 25
    bracket_below_n: int = 50
    unreliable_above_cv: float = 0.30
    withhold_above_cv: float = 0.50
    withhold_below_df: int = 8


def flag(estimates: pl.DataFrame, policy: ReliabilityPolicy) -> pl.DataFrame:
    """`estimates` with `reliability_code`: suppressed, not_published, unreliable, bracketed or shown, the worst that applies.

    A standard error that does not exist withholds the estimate; that of a sample without probabilities never exists and flags it.
    *Reads*: n_unweighted, se, cv, df, is_probability.
    """
    cv = pl.col("cv")
    estimated = pl.col("is_probability")
    no_error = estimated & pl.col("se").is_null()
    code = (
        pl.when(pl.col("n_unweighted") < policy.suppress_below_n).then(pl.lit("suppressed"))
        .when(estimated & ((cv > policy.withhold_above_cv).fill_null(False) | (pl.col("df") < policy.withhold_below_df) | no_error))
        .then(pl.lit("not_published"))
        .when(~estimated | (cv > policy.unreliable_above_cv).fill_null(False)).then(pl.lit("unreliable"))
        .when(pl.col("n_unweighted") < policy.bracket_below_n).then(pl.lit("bracketed"))
        .otherwise(pl.lit("shown"))
    )  # fmt: skip
    return estimates.with_columns(code.alias("reliability_code"))
