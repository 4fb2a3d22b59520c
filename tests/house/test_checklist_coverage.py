"""The sixty things that the group named, and the breakdowns that it wants of each indicator: held, or left out with a reason."""

import csv
from pathlib import Path

from warehouse.catalogue.breakdowns import wanted_breakdowns
from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.regional_catalogue import regional_catalogue
from warehouse.catalogue.table_catalogue import CATALOGUE, tables

MAY_BE_LEFT_OUT = {"29", "60"}
"""Rows of which the group's own reports say no more than context: the size of an organisation, and side items."""


def checklist() -> list[dict[str, str]]:
    with (Path(CATALOGUE) / "checklist.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_all_sixty_rows_are_there_once_and_in_order():
    assert [row["row_number"] for row in checklist()] == [str(number) for number in range(1, 61)]
    assert all(row["subject"].strip() for row in checklist())


def test_every_target_exists():
    known = {*tables(), *(table.code for table in regional_catalogue().tables)}
    indicators = set(indicator_catalogue().indicators)
    for row in checklist():
        assert set(row["tables"].split()) <= known, row
        assert set(row["indicators"].split()) <= indicators, row


def test_a_row_without_a_target_says_why_and_only_where_that_is_allowed():
    for row in checklist():
        has_target = bool(row["tables"].split() or row["indicators"].split())
        assert has_target or len(row["out_of_scope"]) > 30, row
        assert not row["out_of_scope"] or row["row_number"] in MAY_BE_LEFT_OUT, row
    assert {row["row_number"] for row in checklist() if row["out_of_scope"]} == MAY_BE_LEFT_OUT


def test_every_wanted_breakdown_is_given_or_left_out_with_a_reason():
    """204 of them in the list of wanted indicators; a breakdown that the engine does not give cannot be claimed."""
    known = indicator_catalogue().indicators
    lines = wanted_breakdowns()
    assert len(lines) == len({(line.indicator_code, line.wanted) for line in lines}) == 204
    for line in lines:
        entry = known[line.indicator_code]
        given = {"period_code", "area_code", *entry.kept, *(name for group in entry.breakdowns for name in group)}
        assert set(line.given) <= given, line
        if line.wanted in ("prov", "origin_prov") and line.given:
            assert "province" in entry.area_levels, line
        reasons = (line.reason_en, line.reason_vi)
        assert all(len(reason) > 25 for reason in reasons) != bool(line.given), line
        assert bool(line.given) == (reasons == ("", "")), line


def test_tuberculosis_by_province_is_out_of_scope_and_says_why():
    (line,) = [line for line in wanted_breakdowns() if (line.indicator_code, line.wanted) == ("TB02", "prov")]
    assert not line.given
    assert "34 provinces" in line.reason_en
    assert "34 tỉnh" in line.reason_vi
