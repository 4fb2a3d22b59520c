"""The shipped regional tables fit the shipped indicators, and every indicator is shown somewhere."""

import polars as pl
import pytest

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.regional_catalogue import regional_catalogue
from warehouse.publishing.content import Area, ReleaseCatalogue
from warehouse.publishing.release_catalogue import card_of, release_catalogue
from warehouse.publishing.tables import regional_set

WANTED = {
    "RT01": "labour migration",
    "RT02": "cross-border referral",
    "RT03": "insurance and barriers",
    "RT04": "asean profile",
    "RT05": "hiv",
    "RT06": "malaria at borders and in mobile people",
    "RT07": "non-communicable disease and mental health",
    "RT08": "maternal health",
    "RT09": "points of entry",
    "RT10": "victims of trafficking",
    "RT11": "occupational injury",
    "RT12": "remittances and recruitment cost",
    "RT13": "global compact plan",
    "RT14": "data quality",
    "RT15": "voluntary national review",
}


def test_the_wanted_tables_are_there():
    titles = {table.code: table.title.en.lower() for table in regional_catalogue().tables}
    for code, words in WANTED.items():
        assert words in titles[code]


def test_every_indicator_of_a_table_exists_and_every_indicator_stands_in_a_table():
    shown = {code for table in regional_catalogue().tables for code in table.indicators}
    assert shown == set(indicator_catalogue().indicators)


def test_the_annex_of_the_voluntary_review_holds_every_core_indicator():
    """Row 55 of the checklist: the publishable set of the review is all core indicators."""
    (annex,) = [table for table in regional_catalogue().tables if table.code == "RT15"]
    core = {code for code, entry in indicator_catalogue().indicators.items() if entry.tier == "core"}
    assert core <= {row.indicator for row in annex.rows.entry}
    assert [column.where["area_code"] for column in annex.column] == ["VNM", "ASEAN"]


@pytest.mark.parametrize("table", regional_catalogue().tables, ids=lambda table: table.code)
def test_both_languages_are_written_and_differ(table):
    for text in (table.title, table.scope, table.summary, *table.notes):
        assert text.en.strip()
        assert text.vi.strip()
        if len(text.en) > 20:
            assert text.en != text.vi
    assert table.chart


def test_members_of_the_frame_are_in_asean_order_and_known_to_the_reference_frame():
    codes = [entry.code for entry in regional_catalogue().frame("asean").entry]
    names = [entry.label.en for entry in regional_catalogue().frame("asean").entry][:-1]
    assert names == sorted(names)
    assert codes[-1] == "ASEAN"
    assert len(codes) == 12


def test_cards_carry_both_languages_and_the_series_they_read():
    catalogue = indicator_catalogue()
    for code, indicator in catalogue.indicators.items():
        card = card_of(indicator, catalogue)
        assert card.name_en
        assert card.name_vi
        assert card.definition_en != card.definition_vi, code
        assert card.unit_en
        assert card.unit_vi
    assert card_of(catalogue.indicators["TB01"], catalogue).series_codes == ("reference:tb_incidence_rate",)
    assert "reference:population_wpp" in card_of(catalogue.indicators["MG09"], catalogue).series_codes


def test_a_row_indicator_names_its_unit_and_every_year(observe, protect_rows):
    areas = pl.DataFrame(
        {
            "area_code": ["VNM"],
            "name_en": ["Viet Nam"],
            "name_vi": ["Việt Nam"],
            "area_type_code": ["country"],
            "parent_code": ["ASEAN"],
        }
    )
    catalogue = release_catalogue(areas, version="1")
    assert isinstance(catalogue, ReleaseCatalogue)
    assert catalogue.areas == (Area("VNM", "Viet Nam", "Việt Nam", "country", "ASEAN"),)
    rows = [observe("LM01", "VNM", "2023", 159986), observe("TB01", "VNM", "2022", 182, lower=116, upper=263)]
    part = regional_set(protect_rows(rows), catalogue).of_table("RT15")
    texts = dict(part.footnotes.select("mark", "text_en").iter_rows())
    shown = {
        row["row_label_en"]: (row["display_en"], [texts[m] for m in row["footnote_marks"].split()])
        for row in part.cells.filter((pl.col("column_code") == "VNM") & pl.col("value").is_not_null()).iter_rows(
            named=True
        )
    }
    assert shown == {
        "Workers who left under contract (persons)": ("159,986", ["Refers to 2023."]),
        "TB incidence (per 100,000 population)": ("182 [116–263]", ["Refers to 2022."]),
    }
