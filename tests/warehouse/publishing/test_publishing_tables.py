"""Regional tables: which figure stands in which cell, how it is written, and what stands when there is none."""

import dataclasses
from datetime import date

import polars as pl
import pytest

from warehouse.catalogue.regional_catalogue import load_regional_catalogue
from warehouse.catalogue.table_catalogue import CatalogueError, load_tables
from warehouse.publishing.content import KEY_COLUMNS, OBSERVATION_SCHEMA, release_observations
from warehouse.publishing.display import interval_text, period_text, value_text
from warehouse.publishing.tables import CELL_SCHEMA, COLUMN_SCHEMA, FOOTNOTE_SCHEMA, marked_revised, regional_set


def cell(tables, table, row, column):
    found = tables.of_table(table).cells.filter((pl.col("row_code") == row) & (pl.col("column_code") == column))
    assert found.height == 1, (table, row, column)
    return found.row(0, named=True)


@pytest.mark.parametrize(
    ("value", "decimals", "english", "vietnamese"),
    [
        (159986, 0, "159,986", "159.986"),
        (158.643, 2, "158.64", "158,64"),
        (1234.55, 1, "1,234.6", "1.234,6"),
        (0.125, 2, "0.13", "0,13"),
        (2.5, 0, "3", "3"),
        (0, 1, "–", "–"),
        (0.04, 1, "0.0", "0,0"),
        (-0.04, 1, "0.0", "0,0"),
        (-397, 0, "−397", "−397"),
        (30.1 - 1e-15, 1, "30.1", "30,1"),
    ],
)
def test_values_are_rounded_half_up_with_the_separators_of_the_language(value, decimals, english, vietnamese):
    assert value_text(value, decimals, "en") == english
    assert value_text(value, decimals, "vi") == vietnamese


def test_intervals_are_rounded_outward_and_not_by_float_noise():
    assert interval_text(96.24, 100.61, 1, "en") == "[96.2–100.7]"
    assert interval_text(30.099999999999998, 30.1, 1, "en") == "[30.1–30.1]"
    assert interval_text(1234.5, 1300.5, 0, "vi") == "[1.234–1.301]"


@pytest.mark.parametrize(
    ("code", "english", "vietnamese"),
    [
        ("2026", "2026", "2026"),
        ("2026Q2", "Q2 2026", "quý II/2026"),
        ("202607", "July 2026", "tháng 7/2026"),
        ("2026W9", "week 9, 2026", "tuần 9/2026"),
    ],
)
def test_periods_have_names(code, english, vietnamese):
    assert (period_text(code, "en"), period_text(code, "vi")) == (english, vietnamese)


def test_the_published_labour_figures_stand_in_their_cells(world, protect_rows, catalogue):
    tables = regional_set(protect_rows(world), catalogue)
    assert cell(tables, "RT01", "_T", "LM01.2023")["display_en"] == "159,986"
    assert cell(tables, "RT01", "_T", "LM01_F")["display_vi"] == "55.804"
    assert cell(tables, "RT01", "_T", "LM04.2022")["display_en"] == "158.64"
    assert cell(tables, "RT01", "JPN", "LM03")["display_en"] == "50.0"
    assert cell(tables, "RT01", "_T", "LM01.2025")["footnote_marks"] == "p"


def test_revised_figures_carry_r_after_their_status_letters_and_before_their_notes(world, protect_rows, catalogue):
    """Marked on finished tables: nothing else of any cell changes."""
    plain = regional_set(protect_rows(world), catalogue)
    observations = release_observations(protect_rows(world).frame)
    figures = [("LM01", "2025", "_T"), ("LM04", "2023", "_T"), ("TB10", "2026", "_T"), ("TB11", "2026", "_T")]
    revised = observations.filter(pl.struct("indicator_code", "period_code", "sex_code").is_in(
        [dict(zip(("indicator_code", "period_code", "sex_code"), one, strict=True)) for one in figures]
    )).select(KEY_COLUMNS)  # fmt: skip
    marked = marked_revised(plain, revised)
    assert cell(marked, "RT01", "_T", "LM01.2025")["footnote_marks"] == "p r"
    assert cell(marked, "RT02", "VNM", "TB10.2026")["footnote_marks"] == "p r †"
    plan = cell(plain, "RT01", "_T", "LM04.2023")["footnote_marks"]
    assert cell(marked, "RT01", "_T", "LM04.2023")["footnote_marks"] == f"r {plan}".strip()
    assert cell(marked, "RT02", "VN34-91", "TB10.2026")["footnote_marks"] == "†", "a hidden figure has no status letter"
    same = ("footnote_marks", "footnote_codes")
    assert marked.cells.drop(same).equals(plain.cells.drop(same))
    changed = (marked.cells["footnote_marks"] != plain.cells["footnote_marks"]).sum()
    keys = plain.cells.join(revised, on=list(KEY_COLUMNS), how="semi").filter(pl.col("value").is_not_null())
    assert changed == keys.height > 4
    assert marked_revised(plain, revised.clear()) is plain


def test_shares_stand_at_the_period_that_most_rows_have(world, protect_rows, catalogue):
    tables = regional_set(protect_rows(world), catalogue)
    shares = tables.of_table("RT01").cells.filter((pl.col("column_code") == "LM03") & pl.col("value").is_not_null())
    assert shares["period_code"].unique().to_list() == ["2023"]
    assert shares["value"].sum() == pytest.approx(100, abs=1e-9)


def test_missing_zero_suppressed_and_not_applicable_never_look_alike(world, protect_rows, catalogue):
    tables = regional_set(protect_rows(world), catalogue)
    zero = cell(tables, "RT01", "SGP", "LM01_F")
    missing = cell(tables, "RT01", "MYS", "LM01.2024")
    impossible = cell(tables, "RT01", "JPN", "LM04.2023")
    hidden = cell(tables, "RT02", "VN34-91", "TB10.2026")
    unreliable = cell(tables, "RT17", "THA", "UH06")
    assert [c["display_en"] for c in (zero, missing, impossible, hidden, unreliable)] == ["–", "..", "x", "c", "*"]
    assert [c["value"] for c in (zero, missing, impossible, hidden, unreliable)] == [0, None, None, None, None]
    assert [c["obs_status"] for c in (missing, impossible, hidden)] == ["O", "M", "Q"]


def test_low_reliability_is_bracketed(world, protect_rows, catalogue):
    tables = regional_set(protect_rows(world), catalogue)
    assert cell(tables, "RT17", "THA", "UH04")["display_en"] == "(40.0 [25.1–57.0])"


def test_rows_follow_asean_order_with_the_region_last_and_its_coverage_footnoted(world, protect_rows, catalogue):
    tables = regional_set(protect_rows(world), catalogue).of_table("RT04")
    rows = tables.cells.unique("row_order", maintain_order=True)["row_code"].to_list()
    assert rows == ["BRN", "KHM", "IDN", "LAO", "MYS", "MMR", "PHL", "SGP", "THA", "TLS", "VNM", "ASEAN"]
    texts = dict(tables.footnotes.select("mark", "text_en").iter_rows())
    region = cell(tables, "RT04", "ASEAN", "MG09")["footnote_marks"].split()
    assert any("11 members" in texts.get(mark, "") and "100.0%" in texts.get(mark, "") for mark in region)
    withheld = cell(tables, "RT04", "ASEAN", "UH01")
    assert withheld["display_en"] == ".."
    assert any("less than half" in texts.get(mark, "") for mark in withheld["footnote_marks"].split())


def test_a_figure_of_another_year_says_so(world, protect_rows, catalogue):
    tables = regional_set(protect_rows(world), catalogue).of_table("RT04")
    texts = dict(tables.footnotes.select("mark", "text_vi").iter_rows())
    timor = cell(tables, "RT04", "TLS", "UH01")
    assert timor["column_label_en"].endswith("2021")
    assert timor["period_code"] == "2019"
    assert [texts[m] for m in timor["footnote_marks"].split() if m in texts] == ["Số liệu của năm 2019."]


def test_every_cell_on_practice_data_is_marked_and_no_other(world, protect_rows, catalogue):
    cells = regional_set(protect_rows(world), catalogue).cells
    marked = cells["footnote_marks"].str.split(" ").list.contains("†")
    has_something = cells["value"].is_not_null() | (cells["obs_status"] == "Q")
    assert (marked == (cells["is_practice"] & has_something)).all()
    assert marked.any()
    assert not marked.all()


def test_a_caveat_of_the_whole_column_stands_at_its_heading(world, protect_rows, catalogue, observe):
    rows = [row for row in world if row["indicator_code"] != "MG09"]
    rows += [
        observe("MG09", "BRN", "2024", 24.1, footnote_codes=["born_abroad_or_citizenship"]),
        observe("MG09", "KHM", "2024", 0.4, footnote_codes=["born_abroad_or_citizenship", "rounded_source"]),
    ]
    tables = regional_set(protect_rows(rows), catalogue).of_table("RT04")
    column = tables.columns.filter(pl.col("column_code") == "MG09").row(0, named=True)
    texts = dict(tables.footnotes.select("mark", "text_en").iter_rows())
    assert texts[column["footnote_marks"]].startswith("Foreign-born")
    assert cell(tables, "RT04", "BRN", "MG09")["footnote_marks"] == ""
    assert texts[cell(tables, "RT04", "KHM", "MG09")["footnote_marks"]].startswith("The publisher gives a rounded")


def test_an_ambiguous_cell_stays_empty_and_is_reported(world, protect_rows, catalogue, observe):
    rows = [
        *world,
        observe("MG09", "THA", "2024", 1.0, category_code="A"),
        observe("MG09", "THA", "2024", 2.0, category_code="B"),
    ]
    rows = [
        r
        for r in rows
        if not (r["indicator_code"] == "MG09" and r["area_code"] == "THA" and r["category_code"] == "_T")
    ]
    tables = regional_set(protect_rows(rows), catalogue)
    assert cell(tables, "RT04", "THA", "MG09")["display_en"] == ".."
    assert any("RT04" in p and "THA" in p and "category_code" in p and "A, B" in p for p in tables.problems)


def test_the_newest_definition_is_shown(world, protect_rows, catalogue, observe):
    rows = [
        *world,
        observe("UH01", "VNM", "2021", 70.0, definition_version="10"),
        observe("UH01", "KHM", "2021", 1.0, definition_version="9"),
    ]
    tables = regional_set(protect_rows(rows), catalogue)
    assert cell(tables, "RT04", "VNM", "UH01")["value"] == 70.0
    assert cell(tables, "RT04", "VNM", "UH01")["definition_version"] == "10"


def test_columns_of_indicators_that_do_not_exist_are_left_out_and_reported(world, protect_rows, catalogue):
    tables = regional_set(protect_rows(world), catalogue)
    assert "MC01" not in tables.columns["column_code"].to_list()
    assert any("MC01" in problem for problem in tables.problems)


def test_tables_do_not_depend_on_the_order_of_observations(world, protect_rows, catalogue):
    forward = regional_set(protect_rows(world), catalogue)
    backward = regional_set(protect_rows(world[::-1]), catalogue)
    assert forward.cells.equals(backward.cells)
    assert forward.footnotes.equals(backward.footnotes)


def test_the_frames_are_as_the_catalogue_describes_them():
    entries = load_tables()
    for name, schema in (
        ("observation", OBSERVATION_SCHEMA),
        ("regional_cell", CELL_SCHEMA),
        ("regional_column", COLUMN_SCHEMA),
        ("footnote", FOOTNOTE_SCHEMA),
    ):
        assert list(entries[f"release.{name}"].batch_columns) == list(schema)


def test_a_suppressed_cell_that_holds_a_number_is_refused(protect_rows, observe):
    for name in ("value", "lower", "upper", "se", "numerator", "denominator", "n"):
        row = observe("TB10", "VNM", "2026", None, obs_status="Q", obs_flags=["Q"], conf_status="D") | {name: 3}
        with pytest.raises(ValueError, match="suppressed cells still hold a number"):
            release_observations(protect_rows([row]).frame)


def test_a_repeated_key_is_refused(protect_rows, observe):
    with pytest.raises(ValueError, match="repeats 1 observation keys"):
        release_observations(protect_rows([observe("TB10", "VNM", "2026", 1), observe("TB10", "VNM", "2026", 2)]).frame)


def test_one_more_table_is_one_more_file(tmp_path, world, protect_rows, catalogue):
    (tmp_path / "RT90.toml").write_text(
        """
code = "RT90"
version = 1
title = { en = "Referrals by year", vi = "Chuyển gửi theo năm" }
scope = { en = "Viet Nam", vi = "Việt Nam" }
units = { en = "Patients", vi = "Người bệnh" }
summary = { en = "One row per year.", vi = "Mỗi năm một hàng." }

[rows]
heading = { en = "Year", vi = "Năm" }
period_type = "year"
last = 5

[[column]]
code = "TB10"
indicator = "TB10"
where = { area_code = "VNM" }
period = { rule = "row" }

[[chart]]
kind = "bars"
column = "TB10"
title = { en = "Referrals", vi = "Chuyển gửi" }
""",
        encoding="utf-8",
    )
    wider = dataclasses.replace(catalogue, regional=load_regional_catalogue(tmp_path))
    tables = regional_set(protect_rows(world), wider)
    told = [(r["row_code"], r["value"]) for r in tables.cells.iter_rows(named=True)]
    assert told == [("2024", 103), ("2025", 112), ("2026", 141)]
    assert tables.columns["group_label_vi"].to_list() == ["Số ca lao được chuyển gửi qua biên giới"]


def test_rows_may_bring_their_own_indicators(tmp_path, world, protect_rows, catalogue):
    (tmp_path / "RT91.toml").write_text(
        """
code = "RT91"
version = 1
title = { en = "Viet Nam", vi = "Việt Nam" }
scope = { en = "Viet Nam", vi = "Việt Nam" }
units = { en = "As stated", vi = "Theo hàng" }
summary = { en = "One row per indicator.", vi = "Mỗi chỉ số một hàng." }

[rows]
heading = { en = "Indicator", vi = "Chỉ số" }
[[rows.entry]]
code = "LM01"
label = { en = "Deployments", vi = "Số lao động" }
indicator = "LM01"
where = { area_code = "VNM" }
[[rows.entry]]
code = "TB01"
label = { en = "TB", vi = "Lao" }
indicator = "TB01"
where = { area_code = "VNM" }

[[column]]
code = "LATEST"
label = { en = "Latest", vi = "Mới nhất" }

[[chart]]
kind = "bars"
column = "LATEST"
title = { en = "x", vi = "x" }
""",
        encoding="utf-8",
    )
    wider = dataclasses.replace(catalogue, regional=load_regional_catalogue(tmp_path))
    tables = regional_set(protect_rows(world), wider)
    assert [(r["row_code"], r["display_en"]) for r in tables.cells.iter_rows(named=True)] == [
        ("LM01", "121,190"),
        ("TB01", "182"),
    ]


def test_a_wrong_key_is_refused_with_its_nearest_neighbour(tmp_path):
    text = (load_regional_catalogue.__globals__["CATALOGUE"] / "regional" / "RT01.toml").read_text(encoding="utf-8")
    (tmp_path / "RT01.toml").write_text(text.replace("summary =", "sumary ="), encoding="utf-8")
    with pytest.raises(CatalogueError, match="nearest known key: summary"):
        load_regional_catalogue(tmp_path)


def test_a_chart_of_a_column_that_the_table_lacks_is_refused(tmp_path):
    text = (load_regional_catalogue.__globals__["CATALOGUE"] / "regional" / "RT01.toml").read_text(encoding="utf-8")
    (tmp_path / "RT01.toml").write_text(text.replace('column = "LM01"', 'column = "LM99"'), encoding="utf-8")
    with pytest.raises(CatalogueError, match="LM99"):
        load_regional_catalogue(tmp_path)


def test_dates_of_the_world_are_whole_years(world):
    assert all(row["period_start_on"] == date(int(row["period_code"]), 1, 1) for row in world)
