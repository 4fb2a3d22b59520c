"""Rounded counts: for topics whose policy rounds, every count that stays visible is a multiple of the base.

Belongs here: rounding a marked frame. Does not belong here: choosing what to hide: rounding comes on top of it. The audit
takes a rounded figure as if it were exact, so what it proves holds for a reader who knows less. Rounding of printed
decimals is in `display`.
"""

import polars as pl

from warehouse.catalogue.disclosure import DisclosurePolicy
from warehouse.publishing.content import KEY_COLUMNS
from warehouse.publishing.counted import COUNTING_METHODS, is_exempt

FOOTNOTE = "counts_rounded"
"""Footnote code of a row whose counts are rounded."""

_COUNTS = ("numerator", "denominator", "n")
_DROPPED = ("lower", "upper", "se", "interval_code")
"""What was computed from the exact counts and would give them back."""


def round_counts(marked: pl.DataFrame, policy: DisclosurePolicy) -> pl.DataFrame:
    """The visible counts of rounding topics are multiples of their base (half up), shares are taken from rounded counts.

    A row whose denominator rounds to zero has nothing left to show and is hidden as small.
    """
    if not policy.rounds:
        return marked
    bases = [_base(row, policy) if row["conf_status"] == "F" else 0 for row in marked.iter_rows(named=True)]
    if not any(bases):
        return marked
    public = [
        policy.has_public_denominator(code, method or "")
        for code, method in marked.select("indicator_code", "method_code").iter_rows()
    ]
    frame = marked.with_columns(
        pl.Series("_base", bases, dtype=pl.Int64), pl.Series("_public", public, dtype=pl.Boolean)
    )
    touched = pl.col("_base") > 1
    is_count = pl.any_horizontal(pl.col("method_code").fill_null("").str.starts_with(m) for m in COUNTING_METHODS)

    def rounded(name: str) -> pl.Expr:
        return ((pl.col(name) / pl.col("_base") + 0.5).floor() * pl.col("_base")).cast(frame.schema[name])

    below = pl.when("_public").then(pl.col("denominator")).otherwise(rounded("denominator"))
    scale = pl.col("value") * pl.col("denominator") / pl.col("numerator")
    share = pl.when(pl.col("numerator") > 0).then(scale * rounded("numerator") / below).otherwise(pl.col("value"))
    has_share = ~is_count & pl.col("numerator").is_not_null() & pl.col("denominator").is_not_null()
    is_gone = touched & has_share & (below == 0)
    return (
        frame.with_columns(
            pl.when(touched & is_count)
            .then(rounded("value"))
            .when(touched & has_share)
            .then(share)
            .otherwise("value")
            .alias("value"),
            pl.when(touched).then(rounded("numerator")).otherwise("numerator").alias("numerator"),
            pl.when(touched).then(below).otherwise("denominator").alias("denominator"),
            pl.when(touched).then(rounded("n")).otherwise("n").alias("n"),
            *(pl.when(touched).then(None).otherwise(pl.col(name)).alias(name) for name in _DROPPED),
            pl.when(touched)
            .then(pl.concat_list(pl.col("footnote_codes").fill_null([]), pl.lit([FOOTNOTE])))
            .otherwise("footnote_codes")
            .alias("footnote_codes"),
            is_gone.alias("_gone"),
        )
        .with_columns(
            *(pl.when("_gone").then(None).otherwise(pl.col(name)).alias(name) for name in ("value", *_COUNTS)),
            pl.when("_gone").then(pl.lit("Q")).otherwise("obs_status").alias("obs_status"),
            pl.when("_gone").then(pl.lit(["Q"])).otherwise("obs_flags").alias("obs_flags"),
            pl.when("_gone").then(pl.lit("C")).otherwise("conf_status").alias("conf_status"),
        )
        .drop("_base", "_public", "_gone")
        .sort(KEY_COLUMNS, nulls_last=True)
    )


def _base(row: dict[str, object], policy: DisclosurePolicy) -> int:
    if is_exempt(row, policy):
        return 0
    return policy.rules_of(row).rounding_base
