"""The change log as it may be seen: what each release changed against the one before, and why.

Belongs here: joining released figures with the causes that the warehouse recorded, and what of them may leave. Does not
belong here: finding causes (`warehouse.change_log`), comparing any two releases (`comparison`), pages.

A figure hidden on either side shows no number and no cause: that records were deleted, say, would tell that a hidden count
fell. What each cause contributed never leaves, because it is the number of records that came, went or were corrected.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import polars as pl

from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.change_log import CAUSES, CELL_KEY
from warehouse.publishing.comparison import compared, find_release
from warehouse.publishing.content import CHANGE_SCHEMA, KEY_COLUMNS

DISCLOSURE = "disclosure_control"
"""Cause of a figure that is hidden now or was hidden before."""
CAUSE_CODES: Sequence[str] = (*CAUSES, DISCLOSURE)


def published_changes(
    release_id: str, before: pl.DataFrame | None, after: pl.DataFrame, causes: pl.DataFrame | None
) -> pl.DataFrame:
    """One row per figure that the release shows otherwise than the one before, with the causes recorded since then.

    `before`, `after`: observations as released. `causes`: rows of `indicator.change` of the refreshes between them. A figure
    under a new definition is one change, not one that went and one that came. Empty for the first release.
    """
    if before is None:
        return pl.DataFrame(schema=CHANGE_SCHEMA)
    changes = _paired(compared(before, after))
    is_hidden = (pl.col("status_before") == "Q").fill_null(False) | (pl.col("status_after") == "Q").fill_null(False)
    told = changes.join(_by_cell(causes), on=list(CELL_KEY), how="left")
    # Nothing about the figure itself moved in the warehouse: then the pattern of hidden figures around it did.
    why = (
        pl.when(is_hidden)
        .then(pl.lit([DISCLOSURE]))
        .when(pl.col("cause_codes").is_null() & pl.col("value_before").eq_missing(pl.col("value_after")))
        .then(pl.lit([DISCLOSURE]))
        .otherwise(pl.col("cause_codes").fill_null(pl.lit(["unexplained"])))
    )
    return (
        told.with_columns(
            pl.lit(release_id).alias("release_id"),
            why.alias("cause_codes"),
            *(pl.when(~is_hidden).then(pl.col(name)).alias(name) for name in ("value_before", "value_after")),
        )
        .select(pl.col(name).cast(kind) for name, kind in CHANGE_SCHEMA.items())
        .sort("release_id", *KEY_COLUMNS)
    )


def read_changes(shelf: Path, since: str | None) -> pl.DataFrame:
    """The published change log of every release after `since`, of the newest alone when it is None. Raises ShelfError when
    there is no such release; `since` is whatever `find_release` understands."""
    current = find_release(shelf, "current")
    path = current / "data" / "history" / "change.parquet"
    changes = pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=CHANGE_SCHEMA)
    if since is None:
        return changes.filter(pl.col("release_id") == current.name)
    return changes.filter(pl.col("release_id") > find_release(shelf, since).name)


@cache
def _names(language: str) -> dict[str, str]:
    return {code.code: code.name_vi if language == "vi" else code.name_en for code in load_codelist("change_cause")}


def causes_text(codes: Sequence[str], language: str) -> str:
    """The causes in words."""
    return "; ".join(_names(language).get(code, code) for code in codes)


def cause_words(changes: pl.DataFrame, language: str) -> dict[tuple[str, ...], str]:
    """The causes of each changed cell in words, by cell key."""
    return {
        tuple(row[:-1]): causes_text(row[-1], language) for row in changes.select(*CELL_KEY, "cause_codes").iter_rows()
    }


def cause_counts(changes: pl.DataFrame, language: str) -> list[tuple[str, int]]:
    """How many cells each cause moved, causes in order."""
    counts = dict(changes["cause_codes"].explode().drop_nulls().value_counts().iter_rows())
    return [(_names(language).get(code, code), counts[code]) for code in CAUSE_CODES if code in counts]


def _by_cell(causes: pl.DataFrame | None) -> pl.DataFrame:
    """The causes of each cell in the order in which they act, over all refreshes since the last release."""
    if causes is None or causes.is_empty():
        return pl.DataFrame(schema={**dict.fromkeys(CELL_KEY, pl.String()), "cause_codes": pl.List(pl.String())})
    order = {cause: number for number, cause in enumerate(CAUSES)}
    return (
        causes.select(*CELL_KEY, "cause_code")
        .unique()
        .sort(*CELL_KEY, pl.col("cause_code").replace_strict(order, return_dtype=pl.Int32))
        .group_by(CELL_KEY, maintain_order=True)
        .agg(pl.col("cause_code").alias("cause_codes"))
    )


def _paired(changes: pl.DataFrame) -> pl.DataFrame:
    """A cell withdrawn under one version and new under another is one change: redefined."""
    gone = changes.filter(pl.col("change_code") == "withdrawn")
    came = changes.filter(pl.col("change_code") == "new")
    both = came.join(
        gone.select(
            *CELL_KEY,
            pl.col("definition_version").alias("version_before"),
            pl.col("value_before").alias("old_value"),
            pl.col("status_before").alias("old_status"),
        ),
        on=list(CELL_KEY),
        how="inner",
    )
    rest = changes.join(both.select(CELL_KEY), on=list(CELL_KEY), how="anti")
    redefined = both.with_columns(
        pl.lit("redefined").alias("change_code"),
        pl.col("old_value").alias("value_before"),
        pl.col("old_status").alias("status_before"),
    ).select(*changes.columns, "version_before")
    same = pl.when(pl.col("change_code") != "new").then("definition_version").alias("version_before")
    return pl.concat([rest.with_columns(same), redefined])
