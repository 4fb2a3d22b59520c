"""Observations that stand on less than they should: provisional, with a footnote that says why.

Belongs here: setting flag, status and footnote of chosen rows. Does not belong here: which rows (`outages`, `completeness`).
"""

import polars as pl

from warehouse.publishing.content import STATUS_ORDER


def as_provisional(observations: pl.DataFrame, is_chosen: pl.Expr, footnote_code: str) -> pl.DataFrame:
    """The chosen observations carry the footnote; those with a value carry flag P, and the status that ranks highest.

    A cell without a value keeps its status: that it is missing says more than that it is provisional.
    """
    note = pl.lit([footnote_code], dtype=pl.List(pl.String))
    nothing = pl.lit([], dtype=pl.List(pl.String))
    chosen = is_chosen.fill_null(False)
    with_value = chosen & pl.col("value").is_not_null()
    flags = [
        pl.when(pl.col("obs_flags").list.contains(code) if code != "P" else pl.lit(True))
        .then(pl.lit([code], dtype=pl.List(pl.String)))
        .otherwise(nothing)
        for code in STATUS_ORDER
        if code != "A"  # normal is what a provisional figure is not
    ]
    return observations.with_columns(
        footnote_codes=pl.when(chosen)
        .then(pl.col("footnote_codes").fill_null(nothing).list.set_union(note).list.sort())
        .otherwise("footnote_codes"),
        obs_flags=pl.when(with_value).then(pl.concat_list(flags)).otherwise("obs_flags"),
    ).with_columns(obs_status=pl.when(with_value).then(pl.col("obs_flags").list.first()).otherwise("obs_status"))
