"""Claims beside figures: hand-checkable worlds for every verdict, and the table in every output of a release."""

import json
from dataclasses import replace

import duckdb
import openpyxl
import polars as pl
import pytest

from warehouse.catalogue.claim_catalogue import Claim
from warehouse.publishing.claims import SCHEMA, SERIES_SCHEMA, check_claims, compared_text
from warehouse.publishing.content import OBSERVATION_SCHEMA

REGISTERS = {
    "point_of_entry": pl.DataFrame(
        {
            "poe_code": ["A", "A", "B", "L1"],
            "poe_type_code": ["AIR", "AIR", "AIR", "LAND"],
            "confidence_code": ["confirmed"] * 4,
        }
    ),
    "event": pl.DataFrame(
        {"event_code": ["X", "Y"], "participant_count": [160, 90], "confidence_code": ["as_reported", "confirmed"]}
    ),
}


def claim(against=None, **more):
    """A claim about VNM in 2023 that differs from the plain one as told."""
    plain = {
        "code": "one", "statement": {"en": "A.", "vi": "B."}, "value": 100, "sense": "about", "rounding": 10, "unit": "persons",
        "area": "VNM", "period": "2023", "citation": "hand-made", "confidence": "confirmed",
    }  # fmt: skip
    return Claim.model_validate(plain | ({"against": against} if against else {}) | more)


def checked(rows, *claims, series=()):
    observations = pl.DataFrame(rows, schema=OBSERVATION_SCHEMA)
    frame = pl.DataFrame(list(series), schema=SERIES_SCHEMA)
    made = check_claims(claims, observations, frame, REGISTERS)
    assert dict(made.schema) == SCHEMA
    return made.to_dicts()


def published(series, edition, year, value, **more):
    codes = dict.fromkeys(("sex_code", "age_code", "origin_code", "destination_code", "category_code"), "_T")
    row = {"series_code": series, "edition_code": edition, "area_code": "VNM", "year": year, "value": value}
    return row | codes | {"is_current_edition": True, "is_practice": False} | more


LM01 = {"kind": "figure", "indicator": "LM01"}


@pytest.mark.parametrize(
    ("value", "said", "apart", "percent"),
    [(104, "agrees", 4, 4), (106, "contradicted", 6, 6), (90, "contradicted", -10, -10)],
)
def test_a_figure_of_the_release_agrees_or_contradicts(observe, value, said, apart, percent):
    (row,) = checked([observe("LM01", "VNM", "2023", value)], claim(LM01))
    assert (row["verdict_code"], row["compared_value"], row["difference"]) == (said, value, apart)
    assert row["difference_percent"] == pytest.approx(percent)
    assert (row["compared_with"], row["compared_period_code"], row["is_practice"]) == ("LM01 VNM", "2023", False)


def test_a_level_is_superseded_by_a_later_period_and_a_fact_about_a_year_is_not(observe):
    rows = [observe("LM01", "VNM", "2024", 180), observe("LM01", "VNM", "2025", 200)]
    level, fact = checked(rows, claim(LM01 | {"periods": "newest"}), claim(LM01, code="two"))
    assert (level["verdict_code"], level["compared_period_code"], level["difference"]) == ("superseded", "2025", 100)
    assert "later period" in level["reason_en"]
    assert (fact["verdict_code"], fact["compared_value"]) == ("no_data", None)


def test_an_earlier_release_is_superseded_by_the_later_one_of_the_same_series(observe):
    rows = [observe("LM04", "VNM", "202310", 98.5, numerator=128_044)]
    target = {"kind": "figure", "indicator": "LM04", "quantity": "numerator"}
    a = claim(target, period="202310", value=121_190, sense="exactly", rounding=1, edition="release of 5 November")
    plain = claim(target, period="202310", value=121_190, sense="exactly", rounding=1, code="two")
    first, without = checked(rows, a, plain)
    assert (first["verdict_code"], first["difference"]) == ("superseded", 6_854)
    assert without["verdict_code"] == "contradicted"


def test_hidden_missing_and_part_year_figures_are_no_data_with_the_reason(observe):
    rows = [
        observe("LM01", "VNM", "2023", None, conf_status="C", obs_status="Q", obs_flags=["Q"]),
        observe("LM01", "VNM", "2024", 143_160, footnote_codes=["year_to_date_11"]),
    ]
    hidden, part, absent = checked(
        rows, claim(LM01), claim(LM01, period="2024", code="two"), claim(LM01, period="2025", code="three")
    )
    assert {row["verdict_code"] for row in (hidden, part, absent)} == {"no_data"}
    assert all(row["compared_value"] is None and row["difference"] is None for row in (hidden, part, absent))
    assert "hidden" in hidden["reason_en"]
    assert "part of the year" in part["reason_en"]
    assert "no such figure" in absent["reason_en"]


def test_practice_data_cannot_contradict_without_the_mark(observe):
    (row,) = checked([observe("LM01", "VNM", "2023", 500, is_practice=True)], claim(LM01))
    assert (row["verdict_code"], row["is_practice"]) == ("contradicted", True)
    assert "made up" in row["reason_en"]
    assert "giả lập" in row["reason_vi"]


def test_sums_over_areas_codes_and_years_need_every_part(observe):
    rows = [
        observe("LM01", area, year, value, destination_code=place)
        for area, year, place, value in (
            ("VNM", "2022", "JPN", 10), ("VNM", "2023", "JPN", 20), ("VNM", "2022", "KOR", 30), ("VNM", "2023", "KOR", 40),
            ("VNM", "2024", "JPN", 9999), ("VNM", "2024", "KOR", 9999),
        )
    ]  # fmt: skip
    both = LM01 | {"by": {"destination_code": ["JPN", "KOR"]}, "periods": "sum_to"}
    (row,) = checked(rows, claim(both))
    assert (row["compared_value"], row["verdict_code"]) == (100, "agrees")
    rows[0] |= {"value": None, "conf_status": "D", "obs_status": "Q"}
    (row,) = checked(rows, claim(both))
    assert (row["compared_value"], row["verdict_code"]) == (None, "no_data")


def test_series_editions_shares_and_ranks():
    world = [
        published("people", "old", 2023, 98.2, is_current_edition=False),
        published("people", "new", 2023, 99.7),
        published("people", "new", 2023, 300, area_code="IDN"),
        published("people", "new", 2023, 50, sex_code="F", age_code="Y15T64"),
        published("people", "new", 2023, 18, sex_code="M", age_code="Y15T64"),
        published("people", "new", 2023, 32, sex_code="F", age_code="Y_GE65"),
        published("people", "new", 2023, 0, sex_code="M", age_code="Y_GE65"),
    ]
    series = {"kind": "series", "series": "people"}
    work = {"sexes": ["F", "M"], "ages": ["Y15T64"], "share_of_ages": ["Y15T64", "Y_GE65"], "factor": 100}
    rows = checked(
        [],
        claim(series | {"edition": "old"}, newer=series, value=98, rounding=1, code="a"),
        claim(series | {"rank": True}, value=2, sense="exactly", rounding=1, code="b"),
        claim(series | work, value=68, rounding=1, code="c", unit="percent"),
        claim(series | {"ages": ["Y0T14"]}, code="d"),
        series=world,
    )
    assert [row["verdict_code"] for row in rows] == ["superseded", "agrees", "agrees", "no_data"]
    assert (rows[0]["compared_with"], rows[0]["compared_value"]) == ("people.new", 99.7)
    assert "newer edition" in rows[0]["reason_en"]
    assert (rows[1]["compared_value"], rows[2]["compared_value"]) == (2, 68)


def test_registers_count_things_and_a_register_made_from_the_same_report_proves_nothing():
    count = {"kind": "register", "table": "point_of_entry", "where": {"poe_type_code": ["AIR"]}, "distinct": "poe_code"}
    people = {"kind": "register", "table": "event", "column": "participant_count"}
    rows = checked(
        [],
        claim(count, value=2, sense="exactly", rounding=1),
        claim(people | {"where": {"event_code": ["X"]}}, value=160, code="b"),
        claim(people | {"where": {"event_code": ["Y"]}}, value=160, code="c"),
        claim(people | {"where": {"event_code": ["Z"]}}, value=160, code="d"),
    )
    assert [row["verdict_code"] for row in rows] == ["agrees", "not_comparable", "contradicted", "no_data"]
    assert rows[1]["compared_value"] is None
    assert "same report" in rows[1]["reason_en"]


def test_statements_are_compared_with_statements_where_there_is_no_series():
    rows = checked(
        [],
        claim(value=106, rounding=1, code="asia", not_comparable={"en": "No total.", "vi": "Không có tổng."}),
        claim({"kind": "claim", "code": "asia"}, value=80, rounding=1, code="other"),
        claim(value=281, rounding=1, code="world", not_comparable={"en": "No total.", "vi": "Không có tổng."}),
        claim({"kind": "claim", "code": "asia", "over": "world", "factor": 100}, value=60, sense="more_than", code="share", unit="percent"),
    )  # fmt: skip
    assert [row["verdict_code"] for row in rows] == ["not_comparable", "contradicted", "not_comparable", "contradicted"]
    # 106 / 281 is 37.7 %, not over 60.
    assert rows[3]["compared_value"] == pytest.approx(37.7, abs=0.05)
    assert rows[0]["reason_vi"] == "Không có tổng."


def test_the_table_leaves_in_every_format_and_a_new_verdict_is_news(released, context, catalogue, protect_rows, world):
    from warehouse.publishing.release import Draft, freeze_release

    made = pl.read_parquet(released.folder / "data" / "claim.parquet")
    about = made.filter(pl.col("claim_code") == "departures_2023_about").row(0, named=True)
    assert (about["verdict_code"], about["difference"]) == ("contradicted", 4_986)
    assert pl.read_csv(released.folder / "data" / "claim.csv").height == made.height
    with duckdb.connect(str(released.folder / "mhwg.duckdb"), read_only=True) as connection:
        counted = connection.execute("select count(*) from claim where verdict_code = 'contradicted'").fetchall()
        meanings = connection.execute(
            "select column_name, description from dictionary where table_name = 'claim'"
        ).fetchall()
    assert counted[0][0] == made.filter(pl.col("verdict_code") == "contradicted").height > 0
    assert {name for name, _ in meanings} == set(SCHEMA)
    assert not [name for name, text in meanings if "as the disclosure audit reports it" in text]
    book = openpyxl.load_workbook(released.folder / "mhwg-tables.xlsx", read_only=True)
    assert len(list(book["Claims"].iter_rows(values_only=True))) == made.height + 1
    for language, number in (("en", "+4,986 (+3.2%)"), ("vi", "+4.986 (+3,2%)")):
        text = (released.folder / language / "claims.html").read_text(encoding="utf-8")
        assert number in text
        assert 'href="claims.html" aria-current="page"' in text
    other = made.with_columns(pl.lit("agrees").alias("verdict_code"))
    prints = {
        freeze_release(Draft(protect_rows(world), catalogue), replace(context, claims=claims), None)[1]
        for claims in (made, made.clear(), other)
    }
    assert len(prints) == 3


def test_what_was_compared_is_told_in_both_languages(observe):
    rows = [observe("LM01", "VNM", "2023", 100, destination_code="JPN")]
    (row,) = checked(
        rows, claim(LM01 | {"by": {"destination_code": ["JPN"]}, "periods": "sum_to", "quantity": "value"})
    )
    assert compared_text(row, "en") == "LM01 VNM destination=JPN, all years to 2023"
    assert compared_text(row, "vi") == "LM01 VNM thị trường=JPN, cộng các năm đến 2023"
    assert compared_text(row | {"compared_with": None}, "vi") == ""


def test_the_command_reads_the_current_release(released, monkeypatch, capsys, tmp_path):
    from pipelines.cli import app, call

    monkeypatch.setenv("MHWG_STATE", str(tmp_path))
    monkeypatch.delenv("MHWG_SETTINGS", raising=False)
    (tmp_path / "release").symlink_to(released.folder.parent)
    assert call(lambda: app(["claims", "--verdict", "contradicted", "--json"], standalone_mode=False)) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["verdict_code"] for row in told} == {"contradicted"}
    assert "departures_2023_about" in {row["claim_code"] for row in told}
    assert call(lambda: app(["claims", "--language", "vi"], standalone_mode=False)) == 0
    assert "Trái với số liệu" in capsys.readouterr().out
    assert call(lambda: app(["claims", "--verdict", "wrong"], standalone_mode=False)) == 64
