"""The sixty things that the group named: each is held by a table, an indicator or a regional table, or left out with a reason."""

import csv
from pathlib import Path

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
