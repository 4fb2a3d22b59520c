"""The same figures on another population: how far a published rate moves with the edition of its denominator.

Belongs here: computing that from what a release shows, and reading it back from a release. Does not belong here: the published
figures, which keep the one denominator that their footnote names. Only numerators that the release shows are used, so nothing
that is hidden can be worked out. Specification: docs/methods/rates.md.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from warehouse.publishing.content import ReleaseContent
from warehouse.publishing.release import ShelfError, current_release

_CODES = ("age_code", "migrant_status_code", "migrant_basis_code", "origin_code", "destination_code", "category_code")
ALTERNATE_SCHEMA: dict[str, Any] = {
    "indicator_code": pl.String, "definition_version": pl.String, "area_code": pl.String, "period_code": pl.String,
    "sex_code": pl.String, **dict.fromkeys(_CODES, pl.String), "denominator_code": pl.String, "edition": pl.String,
    "denominator": pl.Float64, "value": pl.Float64, "published_value": pl.Float64, "difference_percent": pl.Float64,
}  # fmt: skip
"""Columns of the frame `alternate`, in order."""


def alternate_frame(content: ReleaseContent) -> pl.DataFrame:
    """One row per released yearly figure of a country and other population that could serve it.

    *Columns*: the key of the figure, the population with its edition, the figure on it, the published one and the difference in
    percent of it. A population that is not told apart by sex serves the total only.
    """
    frames = [pl.DataFrame(schema=ALTERNATE_SCHEMA)]
    populations = content.context.denominators
    for card in content.catalogue.indicators:
        for code, edition in card.alternates:
            whole = [name for name in _CODES if name not in card.total_over]
            shown = content.observations.filter(
                (pl.col("indicator_code") == card.code)
                & (pl.col("period_code").str.len_chars() == 4)
                & pl.col("value").is_not_null()
                & pl.col("numerator").is_not_null()
                & pl.all_horizontal([pl.col(name) == "_T" for name in whole])
            )
            other = populations.filter(pl.col("denominator_code") == code).drop("denominator_code")
            # One population per area, year and sex.
            joined = (
                shown.rename({"value": "published_value"})
                .drop("denominator")
                .join(other, on=["area_code", "period_code", "sex_code"], how="inner", validate="m:1")
            )
            value = pl.col("numerator") / pl.col("denominator") * card.factor
            frames.append(
                joined.filter(pl.col("denominator") > 0)
                .with_columns(
                    value.alias("value"),
                    ((value / pl.col("published_value") - 1) * 100).fill_nan(None).alias("difference_percent"),
                    pl.lit(code).alias("denominator_code"),
                    pl.lit(edition).alias("edition"),
                )
                .select([pl.col(name).cast(kind) for name, kind in ALTERNATE_SCHEMA.items()])
            )
    return pl.concat(frames).sort(list(ALTERNATE_SCHEMA)[:13])


def latest_totals(frame: pl.DataFrame, code: str) -> pl.DataFrame:
    """Of one indicator the totals of the latest year of each area, for a page or the terminal."""
    totals = frame.filter(
        (pl.col("indicator_code") == code) & pl.all_horizontal([pl.col(name) == "_T" for name in ("sex_code", *_CODES)])
    )
    return totals.filter(
        pl.col("period_code") == pl.col("period_code").max().over("area_code", "denominator_code")
    ).sort("area_code", "denominator_code")


def alternates_of(shelf: Path, code: str) -> Sequence[dict[str, Any]]:
    """The latest totals of an indicator on its other populations in the current release. Raises ShelfError without a release."""
    folder = current_release(shelf)
    if folder is None:
        raise ShelfError("nothing has been released yet; run a refresh first.", file="current")
    path = folder / "data" / "alternate.parquet"
    if not path.exists():
        raise ShelfError(f"release {folder.name} is older than the alternates; the next one has them.", file=path.name)
    return latest_totals(pl.read_parquet(path), code.upper()).to_dicts()
