"""Counting over contracts in a world of four workers, by pencil."""

from datetime import date

import polars as pl

from methods.contracts import departures, oriented, overlapping, returns, stock_on, unfit, worker_years

D = date
WORLD = pl.DataFrame(
    {
        "contract_token": ["a", "b", "c", "d", "e"],
        "person_token": ["p", "q", "q", "r", None],
        "destination_code": ["JPN", "JPN", "KOR", "TWN", "TWN"],
        "sex_code": ["F", "M", "M", "F", "F"],
        # d was found unfit and never left; c overlaps b by ten days.
        "departed_on": [D(2024, 1, 10), D(2024, 3, 1), D(2024, 6, 21), None, D(2025, 1, 1)],
        "returned_on": [D(2024, 12, 31), D(2024, 7, 1), None, None, None],
        "return_reason_code": ["completed", "health", "_Z", "_Z", "_Z"],
        "has_orientation_certificate": [True, False, None, True, True],
        "examined_on": [D(2024, 1, 2), D(2024, 2, 1), D(2024, 2, 2), D(2024, 2, 3), None],
        "examination_result_code": ["fit", "fit", "_U", "unfit", "_U"],
    },
    schema_overrides={"departed_on": pl.Date, "returned_on": pl.Date, "examined_on": pl.Date},
)
YEAR = (D(2024, 1, 1), D(2024, 12, 31))


def test_departures_count_each_contract_once_in_its_month() -> None:
    assert departures(WORLD, *YEAR)["contracts"].item() == 3
    assert departures(WORLD, *YEAR, by=["destination_code"]).rows() == [("JPN", 2), ("KOR", 1)]
    assert departures(WORLD, D(2024, 3, 1), D(2024, 3, 31))["contracts"].item() == 1


def test_stock_is_who_is_abroad_at_the_end_of_the_day() -> None:
    assert stock_on(WORLD, D(2024, 6, 30))["contracts"].item() == 3
    assert stock_on(WORLD, D(2024, 7, 1))["contracts"].item() == 2, "back on 1 July is no longer abroad"
    assert stock_on(WORLD, D(2024, 1, 9))["contracts"].item() == 0


def test_returns_by_reason() -> None:
    assert returns(WORLD, *YEAR).rows() == [("completed", 1), ("health", 1)]
    assert returns(WORLD, D(2025, 1, 1), D(2025, 12, 31)).is_empty()


def test_worker_years_are_days_abroad() -> None:
    # a: 10 Jan to 31 Dec = 356 days; b: 122 days; c: 21 Jun to the end of the year = 194 days.
    assert worker_years(WORLD, *YEAR) == (356 + 122 + 194) / 365.25


def test_preparation_leaves_the_unknown_out_of_the_denominator() -> None:
    assert oriented(WORLD, *YEAR) == (1, 2)
    assert unfit(WORLD, *YEAR) == (1, 3)


def test_two_active_contracts_of_one_person_are_found() -> None:
    assert overlapping(WORLD).rows() == [("q", "b", "c", 10)]
    mended = WORLD.with_columns(
        returned_on=pl.when(pl.col("contract_token") == "b").then(pl.date(2024, 6, 21)).otherwise(pl.col("returned_on"))
    )
    assert overlapping(mended).is_empty(), "leaving on the day of the return is no overlap"
