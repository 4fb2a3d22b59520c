"""Pages of the indicators are those of the catalogue, and rates can be compared on other populations."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.indicator_alternates import alternate_values
from warehouse.indicator_reference import pages, write_pages

DOCS = Path(__file__).parents[3] / "docs" / "indicators"
AS_AT = datetime(2026, 7, 6, tzinfo=UTC)


def test_committed_pages_are_the_catalogue() -> None:
    made = pages(indicator_catalogue())
    assert {path.name for path in DOCS.glob("*.md")} == set(made)
    stale = [name for name, text in made.items() if (DOCS / name).read_text(encoding="utf-8") != text]
    assert stale == [], "write them again: python -m warehouse.indicator_reference"


def test_writing_again_touches_only_what_differs(tmp_path: Path) -> None:
    assert len(write_pages(tmp_path, indicator_catalogue())) == 72
    (tmp_path / "ZZ99.md").write_text("left over")
    (tmp_path / "TB11.md").write_text("edited by hand")
    assert {path.name for path in write_pages(tmp_path, indicator_catalogue())} == {"ZZ99.md", "TB11.md"}
    assert write_pages(tmp_path, indicator_catalogue()) == []


def test_a_page_tells_both_languages_and_the_arithmetic() -> None:
    text = pages(indicator_catalogue())["TB11.md"]
    assert "Tỷ lệ hoàn thành chuyển tuyến" in text
    assert "window_code in closed" in text
    assert "Experimental" in text


def test_alternates_show_how_far_a_rate_moves(world: Any) -> None:
    row = {"edition_code": "now", "area_code": "LAO", "year": 2023, "is_current_edition": True}
    world.put(
        "core.reference_value",
        {**row, "series_code": "tb_notifications", "value": 50},
        {**row, "series_code": "population_wpp", "value": 100_000},
        {**row, "series_code": "population_world_bank", "value": 80_000},
    )
    found = alternate_values(world.connection, indicator_catalogue().indicators["TB02"], AS_AT)
    values = {line["denominator_code"]: line for line in found.filter(area_code="LAO").to_dicts()}
    assert values["population"]["value"] == 50
    assert values["population_world_bank"]["value"] == pytest.approx(62.5)
    assert values["population_world_bank"]["difference_percent"] == pytest.approx(25)
    assert "2022" in values["population_world_bank"]["edition"]


def test_the_regional_row_has_alternates_pooled_anew(world: Any) -> None:
    """(50 + 30) of 100,000 + 60,000 people are 50 per 100,000; on 80,000 + 20,000 they are 80: 60 % more. Half the people are held."""
    row = {"edition_code": "now", "year": 2023, "is_current_edition": True}
    for area, episodes, people, others in (
        ("VNM", 50, 100_000, 80_000),
        ("KHM", 30, 60_000, 20_000),
        ("LAO", None, 1_000, 1_000),
        ("BRN", None, 1_000, 1_000),
    ):
        if episodes is not None:
            world.put(
                "core.reference_value", {**row, "area_code": area, "series_code": "tb_notifications", "value": episodes}
            )
        for series, value in (("population_wpp", people), ("population_world_bank", others)):
            world.put("core.reference_value", {**row, "area_code": area, "series_code": series, "value": value})
    found = alternate_values(world.connection, indicator_catalogue().indicators["TB02"], AS_AT).filter(
        area_code="ASEAN"
    )
    assert found.select("denominator_code", "value").rows() == [("population", 50.0), ("population_world_bank", 80.0)]
    assert found["difference_percent"].to_list() == pytest.approx([0, 60])


def test_an_indicator_of_its_own_records_has_no_alternates(world: Any) -> None:
    assert alternate_values(world.connection, indicator_catalogue().indicators["TB11"], AS_AT).is_empty()
