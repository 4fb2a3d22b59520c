"""Adding an indicator is one TOML file: written at run time, found in the release, the workbook, the pages and the dictionary."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import polars as pl
import pytest

from warehouse.catalogue.disclosure import load_policy
from warehouse.catalogue.indicator_catalogue import CATALOGUE, load_catalogue
from warehouse.indicator_engine import compute
from warehouse.indicator_reference import pages
from warehouse.publishing.content import ReleaseContext
from warehouse.publishing.protection import protect
from warehouse.publishing.release import build_release
from warehouse.publishing.release_catalogue import release_catalogue

AS_AT = datetime(2026, 7, 6, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one new entry: malaria referrals across the border, made from the entry of tuberculosis referrals."""
    text = (CATALOGUE / "indicators" / "TB10.toml").read_text(encoding="utf-8")
    for old, new in (
        ('code = "TB10"', 'code = "ML10"'),
        ('group = "tuberculosis"', 'group = "malaria"'),
        ('disease_code = ["TB"]', 'disease_code = ["MALARIA"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    lines = [
        'name = {en = "Cross-border malaria referrals", vi = "Số lượt chuyển tuyến sốt rét qua biên giới"}'
        if line.startswith("name = ")
        else line
        for line in text.splitlines()
    ]
    made = tmp_path / "extra"
    made.mkdir()
    (made / "ML10.toml").write_text("\n".join(lines), encoding="utf-8")
    return made


def test_one_file_is_found_in_release_workbook_pages_and_dictionary(folder: Path, tmp_path: Path, world: Any) -> None:
    known = load_catalogue(extra_indicators=folder)
    referral = {
        "disease_code": "MALARIA",
        "link_code": "linked",
        "from_country_code": "VNM",
        "to_country_code": "KHM",
        "sex_code": "F",
    }
    for number in range(30):
        world.put(
            "core.referral",
            {"referral_code": f"r{number}", "referred_on": date(2025, 5, 4), "is_practice": True, **referral},
        )
    observed = compute(world.connection, [known.indicators["ML10"]], AS_AT, catalogue=known)
    links = pl.DataFrame(
        schema=dict.fromkeys(("area_code", "parent_code", "frame_code", "membership_version"), pl.String)
    )
    areas = pl.DataFrame(
        {
            "area_code": ["VNM"],
            "name_en": ["Viet Nam"],
            "name_vi": ["Việt Nam"],
            "area_type_code": ["country"],
            "parent_code": [None],
        },
        schema_overrides={"parent_code": pl.String},
    )
    made = build_release(
        protect(observed, load_policy(), areas=links),
        release_catalogue(areas, indicators=known),
        ReleaseContext(AS_AT, "test"),
        tmp_path / "shelf",
    )
    data = made.folder / "data"
    released = pl.read_parquet(data / "observation.parquet").filter(
        indicator_code="ML10", period_code="2025", area_code="VNM"
    )
    assert 30 in released["value"].to_list()
    card = pl.read_parquet(data / "indicator.parquet").filter(indicator_code="ML10")
    assert card["name_vi"].to_list() == ["Số lượt chuyển tuyến sốt rét qua biên giới"]
    assert (data / "indicators" / "ML10.csv").exists()
    book = openpyxl.load_workbook(made.folder / "mhwg-tables.xlsx", read_only=True)
    assert "ML10" in {row[0] for row in book["Indicators"].iter_rows(values_only=True)}
    assert "ML10" in {row[0] for row in book["Data"].iter_rows(values_only=True)}
    for language, name in (
        ("en", "Cross-border malaria referrals"),
        ("vi", "Số lượt chuyển tuyến sốt rét qua biên giới"),
    ):
        page = made.folder / language / "ML10.html"
        assert name in page.read_text(encoding="utf-8")
        assert "ML10.html" in (made.folder / language / "indicators.html").read_text(encoding="utf-8")
    with duckdb.connect(str(made.folder / "mhwg.duckdb"), read_only=True) as file:
        (figures,) = file.execute("select count(*) from indicator('ML10') where value = 30").fetchall()
        assert figures[0] > 0
        undescribed = file.execute("select count(*) from dictionary where coalesce(description, '') = ''").fetchall()
    assert undescribed == [(0,)]
    assert "Cross-border malaria referrals" in pages(known)["ML10.md"]
