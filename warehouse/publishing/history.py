"""Which releases showed which figure: versions of rows across releases, kept as spans of time.

Belongs here: merging a new release into the spans of the earlier ones, and reading the spans at an instant. Does not
belong here: files (`release`), the history inside the restricted warehouse (`warehouse.history`).
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

OPEN_END = datetime(9999, 12, 31)
"""`released_to` of a version that the newest release shows."""


def merge_release(
    versions: pl.DataFrame | None, frame: pl.DataFrame, key: Sequence[str], released_at: datetime
) -> pl.DataFrame:
    """The spans after a release: rows that are as before stay open, others are closed, what is new begins now.

    Rows: one per key and span; spans of one key do not overlap. Receipts do not count as a change: an equal figure from
    a new pull is the same version, and names the receipts of the newest release that shows it, as that release's files do.
    """
    span = {"released_from": pl.Datetime("us"), "released_to": pl.Datetime("us")}
    fresh = frame.with_columns(
        pl.lit(released_at).cast(pl.Datetime("us")).alias("released_from"),
        pl.lit(OPEN_END).cast(pl.Datetime("us")).alias("released_to"),
    )
    if versions is None or versions.is_empty():
        return fresh.sort([*key, "released_from"])
    for name, kind in frame.schema.items():
        if name not in versions.columns:
            versions = versions.with_columns(pl.lit(None, dtype=kind).alias(name))
    versions = versions.select(
        *(pl.col(name).cast(kind) for name, kind in frame.schema.items()),
        *(pl.col(name).cast(kind) for name, kind in span.items()),
    )
    closed = versions.filter(pl.col("released_to") != OPEN_END)
    was_open = versions.filter(pl.col("released_to") == OPEN_END)
    compared = [name for name in frame.columns if name != "receipt_ids"]
    as_text = pl.struct(compared).struct.json_encode()
    stays = was_open.with_columns(as_text.alias("_row")).join(
        frame.select(as_text.alias("_row")), on="_row", how="semi"
    )
    ends = (
        was_open.with_columns(as_text.alias("_row"))
        .join(stays.select("_row"), on="_row", how="anti")
        .with_columns(pl.lit(released_at).cast(pl.Datetime("us")).alias("released_to"))
    )
    if "receipt_ids" in frame.columns:
        newest = frame.select(*key, "receipt_ids")
        stays = stays.drop("receipt_ids").join(newest, on=list(key), how="left", nulls_equal=True)
        stays = stays.select(*versions.columns, "_row")
    begins = fresh.with_columns(as_text.alias("_row")).join(stays.select("_row"), on="_row", how="anti")
    parts = [closed, *(part.drop("_row") for part in (stays, ends, begins))]
    return pl.concat(parts).sort([*key, "released_from"])


def shown_at(versions: pl.DataFrame, instant: datetime) -> pl.DataFrame:
    """The rows that the release in force at the instant showed."""
    is_shown = (pl.col("released_from") <= instant) & (instant < pl.col("released_to"))
    return versions.filter(is_shown).drop("released_from", "released_to")


def revised_keys(before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Keys of figures that both frames have, with another value. Figures hidden on either side do not count."""
    both = after.join(before.select([*key, pl.col("value").alias("value_before")]), on=list(key), how="inner")
    return both.filter(
        pl.col("value").is_not_null()
        & pl.col("value_before").is_not_null()
        & (pl.col("value") != pl.col("value_before"))
    ).select(list(key))
