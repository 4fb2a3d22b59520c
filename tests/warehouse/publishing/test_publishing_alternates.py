"""Rates on another population: computed from what a release shows, and shown in its files, pages and terminal."""

import dataclasses
import json
from typing import Any

import duckdb
import polars as pl
import pytest

from pipelines.cli import app, call
from warehouse.publishing.content import DENOMINATOR_SCHEMA
from warehouse.publishing.release import build_release


@pytest.fixture
def published(tmp_path: Any, catalogue: Any, context: Any, observe: Any, protect_rows: Any) -> Any:
    """Laos notifies 50 cases among 100,000 people, Cambodia none, and Viet Nam a hidden number; another source counts 80,000 people
    in each. (A rate of zero has no difference in percent: the page of the indicator broke off there and no release was made.)"""
    cards = tuple(
        dataclasses.replace(card, factor=100_000, alternates=(("population_world_bank", "WDI 2024"),))
        if card.code == "TB02"
        else card
        for card in catalogue.indicators
    )
    assert any(card.alternates for card in cards), "the world has a card of TB02"
    rows = [
        observe("TB02", "LAO", "2023", 50.0, numerator=50, denominator=100_000),
        observe("TB02", "LAO", "2022", 40.0, numerator=40, denominator=100_000),
        observe("TB02", "LAO", "2023", 30.0, numerator=15, denominator=50_000, sex_code="F"),
        observe("TB02", "KHM", "2023", 0.0, numerator=0, denominator=100_000),
        observe("TB02", "VNM", "2023", None, obs_status="Q", obs_flags=["Q"], conf_status="C"),
    ]
    others = pl.DataFrame(
        [
            ("population_world_bank", area, year, "_T", 80_000.0)
            for area in ("KHM", "LAO", "VNM")
            for year in ("2022", "2023")
        ],
        schema=DENOMINATOR_SCHEMA,
        orient="row",
    )
    return build_release(
        protect_rows(rows),
        dataclasses.replace(catalogue, indicators=cards),
        dataclasses.replace(context, denominators=others),
        tmp_path / "release",
    )


def test_alternates_are_in_the_files_the_database_the_page_and_the_terminal(
    published: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pl.read_parquet(published.folder / "data" / "alternate.parquet")
    assert set(frame["sex_code"]) == {"_T"}, "a population without sexes serves the total only"
    (row,) = frame.filter(area_code="LAO", period_code="2023").to_dicts()
    assert (row["value"], row["published_value"], row["difference_percent"]) == (62.5, 50, 25)
    assert frame.filter(area_code="VNM").is_empty(), "what is hidden cannot be worked out from another population"
    with duckdb.connect(str(published.folder / "mhwg.duckdb"), read_only=True) as file:
        assert file.execute(
            "select area_code, difference_percent from alternate where period_code = '2023' order by all"
        ).fetchall() == [("KHM", None), ("LAO", 25.0)]
    for language, heading in (("en", "On another population"), ("vi", "Với nguồn dân số khác")):
        page = (published.folder / language / "TB02.html").read_text(encoding="utf-8")
        assert heading in page
        assert "WDI 2024" in page
        assert "25.0" in page.replace("25,0", "25.0").partition(heading)[2]
    monkeypatch.setenv("MHWG_STATE", str(tmp_path))
    assert call(lambda: app(["indicator", "alternates", "tb02", "--json"], standalone_mode=False)) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(line["area_code"], line["period_code"], line["value"]) for line in told] == [
        ("KHM", "2023", 0.0),
        ("LAO", "2023", 62.5),
    ]
    assert call(lambda: app(["indicator", "alternates", "TB02"], standalone_mode=False)) == 0
    assert "+25.0 %" in capsys.readouterr().out
    assert call(lambda: app(["indicator", "alternates", "LM01"], standalone_mode=False)) == 6


def test_a_line_does_not_fall_where_only_a_part_of_the_year_is_published(make_release: Any, observe: Any) -> None:
    """2024 stands for eleven months in the tables; drawn as a year it would look like a fall."""
    counts = {}
    for notes in ([], ["year_to_date_11"]):
        rows = [
            observe("LM01", "VNM", year, value, unit_code="persons")
            for year, value in (("2022", 142_779.0), ("2023", 159_986.0))
        ]
        rows.append(observe("LM01", "VNM", "2024", 143_160.0, unit_code="persons", footnote_codes=notes))
        page = (make_release(rows).folder / "en" / "LM01.html").read_text(encoding="utf-8")
        figure = page.partition("<figure>")[2].partition("</figure>")[0]
        assert "143,160" in page
        counts[bool(notes)] = figure.count("<circle")
    assert counts[True] < counts[False]
