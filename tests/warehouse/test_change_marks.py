"""A cell on which only the mark of outstanding reports moved has that cause; a cell whose figure moved as well does not."""

from datetime import date

import polars as pl

from warehouse.catalogue.regional_catalogue import LAST_GOOD
from warehouse.change_log import CELL_KEY, _moved_by_marks_alone
from warehouse.completeness import FOOTNOTE
from warehouse.indicator_engine import KEY_COLUMNS, OBSERVATION_SCHEMA
from warehouse.provisional import as_provisional


def observations(**cells):
    """One TB01 cell for each area, with its value; every other column as the engine leaves a plain figure."""
    rows = [
        {
            **dict.fromkeys(OBSERVATION_SCHEMA),
            **dict.fromkeys(KEY_COLUMNS, "_T"),
            "indicator_code": "TB01", "area_code": area, "period_code": "2026", "value": value, "obs_status": "A",
            "obs_flags": ["A"], "footnote_codes": [], "period_end_on": date(2026, 12, 31),
        }
        for area, value in cells.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=OBSERVATION_SCHEMA)


def areas(frame):
    assert frame.columns == list(CELL_KEY)
    return sorted(frame["area_code"])


def test_a_mark_put_on_or_taken_off_is_told_from_a_figure_that_moved():
    plain = observations(VNM=10.0, KHM=5.0, LAO=7.0)
    marked = as_provisional(plain, pl.col("area_code").is_in(["VNM", "KHM"]), FOOTNOTE)
    moved = marked.with_columns(value=pl.when(pl.col("area_code") == "KHM").then(6.0).otherwise("value"))
    assert areas(_moved_by_marks_alone(plain, marked)) == ["KHM", "VNM"]
    assert areas(_moved_by_marks_alone(marked, plain)) == ["KHM", "VNM"]
    assert areas(_moved_by_marks_alone(plain, moved)) == ["VNM"]


def test_the_day_of_the_last_good_data_may_move_alone():
    plain = observations(VNM=10.0)
    first, second = (as_provisional(plain, pl.lit(True), f"{LAST_GOOD}{day}") for day in ("20260601", "20260608"))
    assert areas(_moved_by_marks_alone(first, second)) == ["VNM"]


def test_provisional_for_another_reason_is_not_taken_for_a_mark():
    plain = observations(VNM=10.0)
    provisional = plain.with_columns(obs_status=pl.lit("P"), obs_flags=pl.lit(["P"], dtype=pl.List(pl.String)))
    assert areas(_moved_by_marks_alone(plain, provisional)) == []
