"""Viet Nam's provinces across the merger of 1 July 2025: figures of the 63 read in the frame of the 34, never the other way.

Belongs here: re-basing of additive figures along a table of successions. Does not belong here: which quantities are
additive (the catalogue's regional rule), reading the store, names. Specification: docs/methods/frames.md.
"""

from collections.abc import Sequence

import polars as pl


class CannotSplit(ValueError):
    """A merged area's figure was asked for in the frame before the merger. No arithmetic can do that; another attempt cannot help."""

    def __init__(self, new_area_code: str, parts: Sequence[str]) -> None:
        super().__init__(
            f"{new_area_code} was formed from {', '.join(parts)}: a figure of the whole cannot be split among its parts. "
            "Ask for the figures that the source published for the parts, or read both periods in the new frame."
        )
        self.new_area_code = new_area_code
        self.parts = tuple(parts)


def rebase_up(
    frame: pl.DataFrame, succession: pl.DataFrame, additive: Sequence[str], by: Sequence[str]
) -> pl.DataFrame:
    """Figures of old areas, added up in the areas that hold them whole; figures of other areas are left as they are.

    *Columns*: `frame` has area_code, the columns `by` and the columns `additive`; `succession` has old_area_code and
    new_area_code, one row per old area. A part that is NULL makes the sum NULL: an unknown part is not zero.

    Exact, because every old area lies wholly in one new area: the total over all areas does not change, and re-basing
    twice is re-basing once.
    """
    links = succession.select(pl.col("old_area_code").alias("area_code"), "new_area_code")
    if links["area_code"].n_unique() != links.height:
        raise ValueError("an area has two successors; a figure cannot be re-based to both")
    return (
        frame.join(links, on="area_code", how="left", maintain_order="left")  # cardinality: one successor per area
        .with_columns(pl.coalesce("new_area_code", "area_code").alias("area_code"))
        .group_by(["area_code", *by], maintain_order=True)
        .agg(
            pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).otherwise(None).alias(name)
            for name in additive
        )
        .sort(["area_code", *by])
    )


def rebase_down(frame: pl.DataFrame, succession: pl.DataFrame) -> pl.DataFrame:
    """Figures of new areas under the codes of the old frame, where the area only changed its code.

    *Raises* CannotSplit for the first merged area among them, naming its parts.
    """
    parts = succession.sort("old_area_code").group_by("new_area_code", maintain_order=True).agg("old_area_code")
    merged = parts.filter(pl.col("old_area_code").list.len() > 1)
    refused = frame.join(merged, left_on="area_code", right_on="new_area_code", how="inner").sort("area_code")
    if refused.height:
        row = refused.row(0, named=True)
        raise CannotSplit(row["area_code"], row["old_area_code"])
    same = parts.select(pl.col("new_area_code").alias("area_code"), pl.col("old_area_code").list.first())
    return (
        frame.join(same, on="area_code", how="left", maintain_order="left")  # cardinality: one predecessor per area
        .with_columns(pl.coalesce("old_area_code", "area_code").alias("area_code"))
        .drop("old_area_code")
    )
