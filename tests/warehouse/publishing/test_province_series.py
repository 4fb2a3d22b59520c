"""Provincial series across the merger in the analyst's file: both frames, by pencil."""

from datetime import date

import duckdb
import polars as pl
import pytest

from warehouse.publishing.frame_macros import create_frame_macros

# Of the merger's table: An Giang and Kien Giang became An Giang (code 91 re-used); Ha Noi was not touched.
SUCCESSION = {"VN63-89": "VN34-91", "VN63-91": "VN34-91", "VN63-01": "VN34-01"}
NAMES = {
    "VN63-89": "An Giang",
    "VN63-91": "Kien Giang",
    "VN34-91": "An Giang",
    "VN63-01": "Ha Noi",
    "VN34-01": "Ha Noi",
}
FIGURES = [
    # indicator, area, year, value, numerator, denominator, status
    ("TB10", "VN63-89", 2024, 30.0, 30.0, None, "A"),
    ("TB10", "VN63-91", 2024, 12.0, 12.0, None, "A"),
    ("TB10", "VN34-91", 2026, 50.0, 50.0, None, "A"),
    ("TB10", "VN63-01", 2024, 7.0, 7.0, None, "A"),
    ("TB10", "VN34-01", 2026, 8.0, 8.0, None, "A"),
    ("TB03", "VN63-89", 2024, 50.0, 10.0, 20.0, "A"),
    ("TB03", "VN63-91", 2024, 10.0, 8.0, 80.0, "A"),
    ("TB03", "VN63-89", 2023, 25.0, 5.0, 20.0, "A"),
    ("TB03", "VN63-91", 2023, None, None, None, "Q"),
    ("TB12", "VN63-89", 2024, 4.0, None, None, "A"),
    ("TB12", "VN63-91", 2024, 9.0, None, None, "A"),
]


@pytest.fixture(scope="module")
def database():
    observation = pl.DataFrame(
        [
            {
                "indicator_code": indicator, "definition_version": "1", "area_code": area, "period_code": str(year),
                "sex_code": "_T", "age_code": "_T", "migrant_status_code": "_T", "migrant_basis_code": "_T",
                "origin_code": "_T", "destination_code": "_T", "category_code": "_T",
                "period_start_on": date(year, 1, 1), "period_end_on": date(year, 12, 31), "value": value,
                "numerator": numerator, "denominator": denominator, "obs_status": status, "is_practice": False,
            }
            for indicator, area, year, value, numerator, denominator, status in FIGURES
        ],
        infer_schema_length=None,
    )  # fmt: skip
    area = pl.DataFrame(
        {
            "area_code": list(NAMES),
            "name_en": list(NAMES.values()),
            "name_vi": list(NAMES.values()),
            "frame_code": [code[:4].lower() for code in NAMES],
        }
    )
    indicator = pl.DataFrame(
        {
            "indicator_code": ["TB10", "TB03", "TB12"],
            "additive_code": ["sum", "ratio", "none"],
            "factor": [1.0, 100.0, 1.0],
        }
    )
    succession = pl.DataFrame({"old_area_code": list(SUCCESSION), "new_area_code": list(SUCCESSION.values())})
    with duckdb.connect() as con:
        for name, frame in (
            ("observation", observation),
            ("area", area),
            ("indicator", indicator),
            ("area_succession", succession),
        ):
            con.register("incoming", frame.to_arrow())
            con.execute(f"create table {name} as from incoming")
            con.unregister("incoming")
        create_frame_macros(con)
        yield con


def series(database, macro: str, code: str) -> dict[tuple[str, str], tuple[float | None, str]]:
    rows = database.sql(f"select area_code, period_code, value, explanation from {macro}('{code}')").fetchall()
    return {(area, period): (value, explanation) for area, period, value, explanation in rows}


def test_counts_of_the_parts_are_the_count_of_the_whole(database):
    assert series(database, "province_series", "TB10") == {
        ("VN34-91", "2024"): (42.0, "sum of the parts"),
        ("VN34-91", "2026"): (50.0, "as released"),
        ("VN34-01", "2024"): (7.0, "the code before the merger"),
        ("VN34-01", "2026"): (8.0, "as released"),
    }


def test_a_share_is_the_ratio_of_sums_and_not_the_mean_of_shares(database):
    found = series(database, "province_series", "TB03")
    # 10 + 8 over 20 + 80: 18 percent; the mean of 50 and 10 would be 30.
    assert found["VN34-91", "2024"] == (18.0, "sum of the parts")


def test_a_suppressed_part_hides_the_whole(database):
    assert series(database, "province_series", "TB03")["VN34-91", "2023"] == (None, "a part is suppressed")


def test_medians_are_not_joined(database):
    assert series(database, "province_series", "TB12") == {
        ("VN34-91", "2024"): (None, "not additive: the parts cannot be joined")
    }


def test_a_merged_province_is_not_split_and_the_others_keep_their_series(database):
    found = series(database, "province_series_before", "TB10")
    assert found == {
        ("VN63-89", "2024"): (30.0, "as released"),
        ("VN63-91", "2024"): (12.0, "as released"),
        ("VN63-01", "2024"): (7.0, "as released"),
        ("VN63-01", "2026"): (8.0, "the code after the merger"),
        ("VN34-91", "2026"): (
            None,
            "VN34-91 = VN63-89 + VN63-91: a figure of the whole cannot be split among its parts",
        ),
    }
