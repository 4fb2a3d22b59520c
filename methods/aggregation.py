"""Regional rows: members' figures put together by the rule that the indicator's own metadata states.

Belongs here: arithmetic on frames of country cells, membership and weights. Does not belong here: which indicator follows
which rule (the catalogue), intervals of pooled counts (`methods.intervals`, applied to the result). Specification:
docs/methods/regional-aggregation.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

Rule = Literal[
    "sum",
    "pooled",
    "sum_of_estimates",
    "weighted_mean",
    "simple_mean",
    "count_by_category",
    "share_meeting",
    "median_pooled",
]

INDEPENDENT_ERRORS_CODE = "independent_errors95"
"""Interval of a weighted mean or sum of estimates whose errors are taken as independent between members."""

PERIOD_KEYS = ("period_type_code", "period_start_on", "period_end_on")


class UnknownRule(Exception):
    """A regional rule that has no arithmetic here."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"regional rule {rule!r} is not known; see the rules in docs/methods/regional-aggregation.md")
        self.rule = rule


@dataclass(frozen=True)
class RegionalRule:
    """A rule with its settings: factor of a pooled division, least coverage, target of `share_meeting`."""

    rule: Rule
    factor: float = 1.0
    minimum_coverage: float = 0.5
    target: float | None = None


def ratio_of_totals(numerators: pl.Series, denominators: pl.Series) -> float | None:
    """Sum over sum; None when nothing is divided by. The mean of the members' ratios would weigh Brunei like Indonesia."""
    total = denominators.sum()
    return None if not total else float(numerators.sum()) / float(total)


def members_by_period(periods: pl.DataFrame, membership: pl.DataFrame) -> pl.DataFrame:
    """Each period with the members of the version in force on its last day.

    *Columns* of `membership`: membership_version, area_code, valid_from_on, valid_to_on (null = still valid). Periods that
    end before the first version have no row.
    """
    return (
        periods.select(PERIOD_KEYS)
        .unique()
        .join(membership, how="cross")
        .filter(
            (pl.col("period_end_on") >= pl.col("valid_from_on"))
            & (pl.col("valid_to_on").is_null() | (pl.col("period_end_on") <= pl.col("valid_to_on")))
        )
        .select(*PERIOD_KEYS, "membership_version", "area_code")
    )


def _by_year(frame: pl.DataFrame, weights: pl.DataFrame, name: str) -> pl.DataFrame:
    return (
        frame.with_columns(pl.col("period_end_on").dt.year().alias("year"))
        .join(weights.select("area_code", "year", pl.col("weight").alias(name)), on=["area_code", "year"], how="left")
        .drop("year")
    )


def _distinct(column: str) -> pl.Expr:
    return pl.col(column).explode().drop_nulls().unique().sort().alias(column)


def _usable(rule: RegionalRule) -> pl.Expr:
    if rule.rule == "pooled":
        return pl.col("numerator").is_not_null() & (pl.col("denominator") > 0)
    if rule.rule == "median_pooled":
        return pl.col("quantities").list.len() > 0
    if rule.rule in ("weighted_mean", "sum_of_estimates"):
        return pl.col("value").is_not_null() & (pl.col("weight") > 0)
    return pl.col("value").is_not_null()


def _quantities(rule: RegionalRule) -> list[pl.Expr]:
    nothing = pl.lit(None, dtype=pl.Float64)
    weight, value = pl.col("weight"), pl.col("value")
    mean = (weight * value).sum() / weight.sum()
    everyone = pl.col("lower").is_not_null().all() & pl.col("upper").is_not_null().all()

    def root(distance: pl.Expr) -> pl.Expr:
        return (weight.pow(2) * distance.pow(2)).sum().sqrt() / weight.sum()

    has_se = pl.col("se").is_not_null().all()
    match rule.rule:
        case "sum":
            numbers = {"numerator": pl.col("numerator").sum(), "value": value.sum()}
        case "pooled":
            total = pl.col("numerator").sum()
            base = pl.col("denominator").sum()
            numbers = {"numerator": total, "denominator": base, "value": total / base * rule.factor}
        case "weighted_mean":
            numbers = {
                "value": mean,
                "lower": pl.when(everyone).then(mean - root(value - pl.col("lower"))),
                "upper": pl.when(everyone).then(mean + root(pl.col("upper") - value)),
                "se": pl.when(has_se).then(root(pl.col("se"))),
            }
        case "sum_of_estimates":
            numbers = {
                "value": value.sum(),
                "lower": pl.when(everyone).then(value.sum() - (value - pl.col("lower")).pow(2).sum().sqrt()),
                "upper": pl.when(everyone).then(value.sum() + (pl.col("upper") - value).pow(2).sum().sqrt()),
                "se": pl.when(has_se).then(pl.col("se").pow(2).sum().sqrt()),
            }
        case "simple_mean":
            numbers = {"value": value.mean()}
        case "count_by_category":
            numbers = {"value": pl.len().cast(pl.Float64)}
        case "share_meeting":
            meeting = (value <= rule.target).sum().cast(pl.Float64)
            count = pl.len().cast(pl.Float64)
            numbers = {"numerator": meeting, "denominator": count, "value": meeting / count * 100}
        case "median_pooled":
            numbers = {}
        case _:
            raise UnknownRule(rule.rule)
    names = ("numerator", "denominator", "value", "lower", "upper", "se")
    return [numbers.get(name, nothing).alias(name) for name in names]


def pooled_estimates(
    cells: pl.DataFrame,
    parts: pl.DataFrame,
    *,
    dimensions: Sequence[str],
    membership: pl.DataFrame,
    population: pl.DataFrame,
    minimum_coverage: float,
    group_code: str = "ASEAN",
) -> pl.DataFrame:
    """The regional rows that were estimated from pooled microdata, with their membership version and coverage share.

    *Rows* of `cells`: cells of the group itself. `parts`: one row per period (PERIOD_KEYS), area_code whose sample is in the pool,
    and receipt_id that the sample came with. Coverage, and what happens below `minimum_coverage`, are those of `regional_cells`;
    only members of the group count.
    """
    held = cells.filter(pl.col("area_code") == group_code)
    everyone = _by_year(members_by_period(held, membership), population, "population")
    taken = parts.select(*PERIOD_KEYS, "area_code").unique().with_columns(pl.lit(True).alias("is_part"))
    whole = everyone.join(taken, on=[*PERIOD_KEYS, "area_code"], how="left")
    receipts = parts.group_by(PERIOD_KEYS).agg(pl.col("receipt_id").drop_nulls().unique().sort().alias("receipt_ids"))
    shares = whole.group_by(PERIOD_KEYS).agg(
        pl.col("membership_version").first(),
        pl.when(pl.col("population").is_not_null().all())
        .then(pl.col("population").filter(pl.col("is_part").fill_null(False)).sum() / pl.col("population").sum())
        .alias("coverage_share"),
    )
    enough = (pl.col("coverage_share") >= minimum_coverage).fill_null(False)
    is_total = pl.all_horizontal([pl.col(name) == "_T" for name in dimensions]) if dimensions else pl.lit(True)
    numbers = ("numerator", "denominator", "value", "lower", "upper", "se", "n", "interval_code")
    return (
        held.drop("receipt_ids")
        .join(receipts, on=list(PERIOD_KEYS), how="left")
        .join(shares, on=list(PERIOD_KEYS), how="inner")
        .with_columns(enough.alias("is_covered"))
        .filter(pl.col("is_covered") | is_total)
        .with_columns([pl.when(pl.col("is_covered")).then(pl.col(name)).alias(name) for name in numbers])
        .sort([*PERIOD_KEYS, *dimensions])
    )


def regional_cells(
    cells: pl.DataFrame,
    rule: RegionalRule,
    *,
    dimensions: Sequence[str],
    membership: pl.DataFrame,
    population: pl.DataFrame,
    weights: pl.DataFrame | None = None,
    group_code: str = "ASEAN",
) -> pl.DataFrame:
    """One row per period and breakdown for the whole group, with its membership version and coverage share.

    *Rows* of `cells`: country cells with value, bounds, numerator, denominator, n, quantities, are_observed and the
    provenance lists. `population` and `weights`: area_code, year, weight; the year of the period's last day counts.

    Coverage is the population of the members that have a usable figure over that of all members. Below
    `rule.minimum_coverage` the numbers are null: only the total cell is kept, so that a reader sees how far it fell short.
    Unknown population of any member leaves the coverage null, which also withholds the number.
    """
    members = members_by_period(cells, membership)
    everyone = _by_year(members, population, "population")
    whole = everyone.group_by(PERIOD_KEYS).agg(
        pl.col("membership_version").first(),
        # One member without a population makes the coverage unknown, not larger.
        pl.when(pl.col("population").is_not_null().all()).then(pl.col("population").sum()).alias("population_of_all"),
    )
    held = cells.join(everyone.drop("membership_version"), on=[*PERIOD_KEYS, "area_code"], how="inner")
    ones = pl.lit(1.0).alias("weight")
    held = held.with_columns(ones) if weights is None else _by_year(held, weights, "weight")
    if rule.rule == "sum_of_estimates" and weights is not None:
        # Rates cannot be added: estimates of cases can. Rate x weight is the estimate, and dividing by the weights gives the rate.
        rule = RegionalRule("weighted_mean", rule.factor, rule.minimum_coverage, rule.target)
    held = held.filter(_usable(rule)).with_columns(
        pl.col("population").sum().over([*PERIOD_KEYS, *dimensions]).alias("population_held")
    )
    if rule.rule == "count_by_category":
        # The level that a member has reached becomes part of the category: D1=3 counts the members at level 3 in domain 1.
        held = held.with_columns(
            pl.concat_str(pl.col("category_code"), pl.lit("="), pl.col("value").round(0).cast(pl.Int64)).alias(
                "category_code"
            )
        )
    summed = held.group_by([*PERIOD_KEYS, *dimensions], maintain_order=True).agg(
        *_quantities(rule),
        pl.col("quantities").explode().drop_nulls(),
        pl.col("are_observed").explode().drop_nulls(),
        pl.col("population_held").first(),
        pl.when(pl.col("n").is_not_null().any()).then(pl.col("n").sum()).alias("n"),
        pl.col("is_practice").any(),
        *[_distinct(name) for name in ("source_codes", "receipt_ids", "status_codes", "footnote_codes")],
    )
    share = pl.col("population_held") / pl.col("population_of_all")
    enough = (share >= rule.minimum_coverage).fill_null(False)
    is_total = pl.all_horizontal([pl.col(name) == "_T" for name in dimensions]) if dimensions else pl.lit(True)
    numbers = ("numerator", "denominator", "value", "lower", "upper", "se")
    has_bounds = pl.col("lower").is_not_null() & enough
    return (
        summed.join(whole, on=list(PERIOD_KEYS), how="inner")
        .with_columns(
            share.alias("coverage_share"),
            enough.alias("is_covered"),
            pl.lit(group_code).alias("area_code"),
        )
        .filter(pl.col("is_covered") | is_total)
        .with_columns(
            *[pl.when(pl.col("is_covered")).then(pl.col(name)).alias(name) for name in numbers],
            *[
                pl.when(pl.col("is_covered")).then(pl.col(name)).alias(name)
                for name in ("quantities", "are_observed", "n")
            ],
            pl.when(has_bounds).then(pl.lit(INDEPENDENT_ERRORS_CODE)).alias("interval_code"),
        )
        .drop("population_held", "population_of_all")
        .sort([*PERIOD_KEYS, *dimensions])
    )
