"""Regional rows by hand: missing members, the accession of 26 October 2025, and each rule."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from methods import aggregation
from methods.aggregation import RegionalRule, regional_cells

LISTS = ("source_codes", "receipt_ids", "status_codes", "footnote_codes")
MEMBERSHIP = pl.DataFrame(
    [
        *[("OLD3", code, date(2000, 1, 1), date(2025, 10, 25)) for code in ("AAA", "BBB", "CCC")],
        *[("NEW4", code, date(2025, 10, 26), None) for code in ("AAA", "BBB", "CCC", "TLS")],
    ],
    schema={"membership_version": pl.String, "area_code": pl.String, "valid_from_on": pl.Date, "valid_to_on": pl.Date},
    orient="row",
)
# Big, middle, small: 60, 30, 10; the new member has 25.
PEOPLE = {"AAA": 60.0, "BBB": 30.0, "CCC": 10.0, "TLS": 25.0}
POPULATION = pl.DataFrame(
    [(code, year, people) for code, people in PEOPLE.items() for year in (2024, 2025, 2026)],
    schema={"area_code": pl.String, "year": pl.Int32, "weight": pl.Float64},
    orient="row",
)


def cell(area: str, value: float | None = None, *, year: int = 2024, **more: Any) -> dict[str, Any]:
    blank = dict.fromkeys(("numerator", "denominator", "lower", "upper", "se", "n", "quantities", "are_observed"))
    return {
        "area_code": area, "period_type_code": "A", "period_start_on": date(year, 1, 1), "period_end_on": date(year, 12, 31),
        "category_code": "_T", "value": value, "is_practice": False, **blank,
        **{name: [] for name in LISTS}, **more,
    }  # fmt: skip


def region(rule: RegionalRule, *cells: dict[str, Any], weights: pl.DataFrame | None = None) -> list[dict[str, Any]]:
    frame = pl.DataFrame(
        list(cells),
        schema_overrides={
            **dict.fromkeys(("value", "numerator", "denominator", "lower", "upper", "se"), pl.Float64),
            "n": pl.Int64, "quantities": pl.List(pl.Float64), "are_observed": pl.List(pl.Boolean),
            **dict.fromkeys(LISTS, pl.List(pl.String)),
        },
    )  # fmt: skip
    return regional_cells(
        frame, rule, dimensions=["category_code"], membership=MEMBERSHIP, population=POPULATION, weights=weights
    ).to_dicts()


def test_pooled_is_the_ratio_of_totals_not_the_mean_of_ratios() -> None:
    (asean,) = region(
        RegionalRule("pooled", 100),
        cell("AAA", 10, numerator=60, denominator=600),
        cell("BBB", 50, numerator=50, denominator=100),
        cell("CCC", 30, numerator=3, denominator=10),
    )
    assert asean["value"] == pytest.approx(100 * 113 / 710)
    assert asean["area_code"] == "ASEAN"
    assert (asean["numerator"], asean["denominator"]) == (113, 710)
    assert asean["coverage_share"] == 1
    assert asean["membership_version"] == "OLD3"


def test_a_missing_member_lowers_coverage_and_is_not_a_zero() -> None:
    (asean,) = region(
        RegionalRule("pooled", 100),
        cell("AAA", 10, numerator=60, denominator=600),
        cell("CCC", 30, numerator=3, denominator=10),
    )
    assert asean["coverage_share"] == pytest.approx(0.7)
    assert asean["value"] == pytest.approx(100 * 63 / 610)


def test_under_half_the_population_no_value_but_the_coverage_is_told() -> None:
    (asean,) = region(
        RegionalRule("pooled", 100),
        cell("BBB", 50, numerator=50, denominator=100),
        cell("CCC", 30, numerator=3, denominator=10),
        cell("CCC", 30, numerator=3, denominator=10, category_code="x"),
    )
    assert asean["category_code"] == "_T", "parts of a withheld total are left out"
    assert asean["coverage_share"] == pytest.approx(0.4)
    assert asean["value"] is None
    assert asean["numerator"] is None
    assert not asean["is_covered"]


def test_exactly_half_is_enough() -> None:
    half = POPULATION.with_columns(pl.when(pl.col("area_code") == "AAA").then(40.0).otherwise("weight").alias("weight"))
    found = regional_cells(
        pl.DataFrame([cell("AAA", 1.0)], schema_overrides={"quantities": pl.List(pl.Float64), "are_observed": pl.List(pl.Boolean),
                     **dict.fromkeys(("numerator", "denominator", "lower", "upper", "se"), pl.Float64), "n": pl.Int64,
                     **dict.fromkeys(LISTS, pl.List(pl.String))}),
        RegionalRule("sum"), dimensions=["category_code"], membership=MEMBERSHIP, population=half,
    )  # fmt: skip
    assert found["coverage_share"].to_list() == [0.5]
    assert found["value"].to_list() == [1.0]


def test_accession_counts_from_the_period_that_ends_after_it() -> None:
    before = cell("AAA", 5, period_type_code="Q", period_start_on=date(2025, 7, 1), period_end_on=date(2025, 9, 30))
    after = cell("AAA", 5, period_type_code="Q", period_start_on=date(2025, 10, 1), period_end_on=date(2025, 12, 31))
    timor = {**after, "area_code": "TLS", "value": 2.0}
    early = {**before, "area_code": "TLS", "value": 2.0}
    third, fourth = region(RegionalRule("sum"), before, early, after, timor)
    assert (third["membership_version"], third["value"], third["coverage_share"]) == ("OLD3", 5, pytest.approx(0.6))
    assert (fourth["membership_version"], fourth["value"]) == ("NEW4", 7)
    assert fourth["coverage_share"] == pytest.approx(85 / 125)


@pytest.mark.parametrize(("last_day", "version"), [(date(2025, 10, 25), "OLD3"), (date(2025, 10, 26), "NEW4")])
def test_the_day_of_accession(last_day: date, version: str) -> None:
    (asean,) = region(RegionalRule("sum"), cell("AAA", 5, period_start_on=last_day, period_end_on=last_day, year=2025))
    assert asean["membership_version"] == version


def test_a_member_without_population_leaves_the_coverage_unknown() -> None:
    unknown = POPULATION.filter(pl.col("area_code") != "CCC")
    found = regional_cells(
        pl.DataFrame([cell("AAA", 5.0)], schema_overrides={"quantities": pl.List(pl.Float64), "are_observed": pl.List(pl.Boolean),
                     **dict.fromkeys(("numerator", "denominator", "lower", "upper", "se"), pl.Float64), "n": pl.Int64,
                     **dict.fromkeys(LISTS, pl.List(pl.String))}),
        RegionalRule("sum"), dimensions=["category_code"], membership=MEMBERSHIP, population=unknown,
    )  # fmt: skip
    assert found["coverage_share"].to_list() == [None]
    assert found["value"].to_list() == [None]


def test_before_the_first_version_there_is_no_region() -> None:
    assert region(RegionalRule("sum"), cell("AAA", 5, year=1990)) == []


def test_sum_of_estimates_as_rate_with_independent_errors() -> None:
    (asean,) = region(
        RegionalRule("sum_of_estimates"),
        cell("AAA", 100, lower=90, upper=120),
        cell("BBB", 200, lower=160, upper=260),
        weights=POPULATION,
    )
    # (60 x 100 + 30 x 200) / 90; limits: root of the squares of 60 x 10 and 30 x 40 below, 60 x 20 and 30 x 60 above.
    assert asean["value"] == pytest.approx(12_000 / 90)
    assert asean["lower"] == pytest.approx((12_000 - (600**2 + 1200**2) ** 0.5) / 90)
    assert asean["upper"] == pytest.approx((12_000 + (1200**2 + 1800**2) ** 0.5) / 90)
    assert asean["interval_code"] == "independent_errors95"


def test_sum_of_estimates_of_counts() -> None:
    (asean,) = region(
        RegionalRule("sum_of_estimates"), cell("AAA", 10, lower=7, upper=13), cell("BBB", 20, lower=16, upper=24)
    )
    assert (asean["value"], asean["lower"], asean["upper"]) == (30, 25, 35)


def test_one_member_without_bounds_takes_them_from_the_region() -> None:
    (asean,) = region(RegionalRule("sum_of_estimates"), cell("AAA", 10, lower=7, upper=13), cell("BBB", 20))
    assert asean["value"] == 30
    assert asean["lower"] is None
    assert asean["interval_code"] is None


def test_weighted_mean_uses_its_own_weights_and_their_errors() -> None:
    gdp = pl.DataFrame({"area_code": ["AAA", "BBB"], "year": [2024, 2024], "weight": [1.0, 3.0]})
    (asean,) = region(RegionalRule("weighted_mean"), cell("AAA", 2, se=0.4), cell("BBB", 6, se=0.1), weights=gdp)
    assert asean["value"] == 5
    assert asean["se"] == pytest.approx((0.4**2 + 0.3**2) ** 0.5 / 4)


def test_simple_mean_counts_every_member_once() -> None:
    (asean,) = region(RegionalRule("simple_mean"), cell("AAA", 90), cell("BBB", 60), cell("CCC", 30))
    assert asean["value"] == 60


def test_count_by_category_makes_no_average() -> None:
    found = region(
        RegionalRule("count_by_category"),
        cell("AAA", 3, category_code="D1"),
        cell("BBB", 3, category_code="D1"),
        cell("CCC", 4, category_code="D1"),
    )
    assert {row["category_code"]: row["value"] for row in found} == {"D1=3": 2, "D1=4": 1}
    assert {row["coverage_share"] for row in found} == {1.0}, "coverage is that of the answers, whatever the level"


def test_share_meeting_the_target() -> None:
    (asean,) = region(RegionalRule("share_meeting", target=5.0), cell("AAA", 5.0), cell("BBB", 5.1), cell("CCC", 2))
    assert (asean["numerator"], asean["denominator"], asean["value"]) == (2, 3, pytest.approx(200 / 3))


def test_median_is_of_pooled_records() -> None:
    (asean,) = region(
        RegionalRule("median_pooled"),
        cell("AAA", 1, quantities=[1.0, 1.0, 1.0, 2.0], are_observed=[True] * 4, n=4),
        cell("BBB", 50, quantities=[50.0], are_observed=[False], n=1),
    )
    assert sorted(asean["quantities"]) == [1, 1, 1, 2, 50]
    assert sum(asean["are_observed"]) == 4
    assert asean["n"] == 5


def test_provenance_is_joined_and_practice_spreads() -> None:
    (asean,) = region(
        RegionalRule("sum"),
        cell("AAA", 1, source_codes=["b"], receipt_ids=["2"], is_practice=True),
        cell("BBB", 1, source_codes=["a", "b"], receipt_ids=["1"]),
    )
    assert asean["source_codes"] == ["a", "b"]
    assert asean["receipt_ids"] == ["1", "2"]
    assert asean["is_practice"]


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(aggregation.UnknownRule, match="geometric"):
        region(RegionalRule("geometric"), cell("AAA", 1))  # type: ignore[arg-type]


def test_ratio_of_totals() -> None:
    assert aggregation.ratio_of_totals(pl.Series([1, 3]), pl.Series([10, 10])) == 0.2
    assert aggregation.ratio_of_totals(pl.Series([1]), pl.Series([0])) is None
