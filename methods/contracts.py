"""Arithmetic over contracts of workers abroad: departures, stock on a day, returns, preparation, overlaps.

Belongs here: counting over a frame with the columns of core.labour_contract. Does not belong here: reading registers,
identifiers, comparison with bulletins (`methods.reconciliation`). Specification: docs/methods/labour-contracts.md.

A worker is abroad from the day of departure to the day before the return. Stock is a point in time: two stocks are never
added, only averaged.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

BREAKDOWNS = ("destination_code", "sex_code", "origin_area_code", "sector_code", "contract_type_code")
_FAR_AWAY = date(9999, 12, 31)


def departures(contracts: pl.DataFrame, first: date, last: date, by: Sequence[str] = ()) -> pl.DataFrame:
    """Contracts whose worker left from `first` to `last`, one row per group. A contract counts once, at its departure."""
    left = contracts.filter(pl.col("departed_on").is_between(first, last))
    return _counted(left, by)


def stock_on(contracts: pl.DataFrame, day: date, by: Sequence[str] = ()) -> pl.DataFrame:
    """Contracts whose worker was abroad at the end of `day`, one row per group."""
    abroad = contracts.filter(
        (pl.col("departed_on") <= day) & (pl.col("returned_on").is_null() | (pl.col("returned_on") > day))
    )
    return _counted(abroad, by)


def returns(
    contracts: pl.DataFrame, first: date, last: date, by: Sequence[str] = ("return_reason_code",)
) -> pl.DataFrame:
    """Contracts whose worker came back from `first` to `last`, one row per group; deaths are the reason `death`."""
    return _counted(contracts.filter(pl.col("returned_on").is_between(first, last)), by)


def worker_years(contracts: pl.DataFrame, first: date, last: date) -> float:
    """Years that workers spent abroad from `first` to `last`: days abroad over 365.25, each contract to the day.

    The mean of opening and closing stock approximates it when only stocks are known.
    """
    days = contracts.filter(pl.col("departed_on").is_not_null()).select(
        (
            pl.min_horizontal(pl.col("returned_on").fill_null(_FAR_AWAY), pl.lit(last).dt.offset_by("1d"))
            - pl.max_horizontal(pl.col("departed_on"), pl.lit(first))
        )
        .dt.total_days()
        .clip(lower_bound=0)
        .sum()
    )
    return float(days.item() or 0) / 365.25


def oriented(contracts: pl.DataFrame, first: date, last: date) -> tuple[int, int]:
    """Departures with an orientation certificate, and departures of registers that say so either way (LM10)."""
    left = contracts.filter(
        pl.col("departed_on").is_between(first, last) & pl.col("has_orientation_certificate").is_not_null()
    )
    return int(left["has_orientation_certificate"].sum()), left.height


def unfit(contracts: pl.DataFrame, first: date, last: date) -> tuple[int, int]:
    """Examinations that found the worker unfit, and examinations with a result (LM11)."""
    examined = contracts.filter(
        pl.col("examined_on").is_between(first, last) & pl.col("examination_result_code").is_in(["fit", "unfit"])
    )
    return examined.filter(pl.col("examination_result_code") == "unfit").height, examined.height


def overlapping(contracts: pl.DataFrame) -> pl.DataFrame:
    """Pairs of contracts of one person that were active on the same day. *Rows* one pair: person_token, first_contract_token,
    second_contract_token, overlap_days. At most one contract may be active per person."""
    active = contracts.filter(pl.col("person_token").is_not_null() & pl.col("departed_on").is_not_null()).select(
        "person_token",
        "contract_token",
        "departed_on",
        ended_on=pl.col("returned_on").fill_null(_FAR_AWAY),
    )
    pairs = active.join(active, on="person_token", suffix="_other").filter(
        (pl.col("contract_token") < pl.col("contract_token_other"))
        & (pl.col("departed_on") < pl.col("ended_on_other"))
        & (pl.col("departed_on_other") < pl.col("ended_on"))
    )
    return pairs.select(
        "person_token",
        first_contract_token="contract_token",
        second_contract_token="contract_token_other",
        overlap_days=(
            pl.min_horizontal("ended_on", "ended_on_other") - pl.max_horizontal("departed_on", "departed_on_other")
        ).dt.total_days(),
    ).sort("person_token", "first_contract_token", "second_contract_token")


def _counted(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    if not by:
        return pl.DataFrame({"contracts": [frame.height]})
    return frame.group_by(*by).agg(contracts=pl.len().cast(pl.Int64)).sort(*by)
