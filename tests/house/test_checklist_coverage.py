"""The sixty things that the group named, and the breakdowns that it wants of each indicator: held, or left out with a reason."""

import csv
import re
from pathlib import Path

from warehouse.catalogue.breakdowns import wanted_breakdowns
from warehouse.catalogue.claim_catalogue import claims
from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.regional_catalogue import regional_catalogue
from warehouse.catalogue.table_catalogue import CATALOGUE, tables

MAY_BE_LEFT_OUT = {"29", "60"}
"""Rows of which the group's own reports say no more than context: the size of an organisation, and side items."""


def checklist() -> list[dict[str, str]]:
    with (Path(CATALOGUE) / "checklist.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def numbers_in(text: str) -> set[str]:
    """Every number of a text; a blank may stand between thousands."""
    return set(re.findall(r"\d+(?:\.\d+)?", re.sub(r"(?<=\d) (?=\d{3}\b)", "", text)))


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
    """204 of them in the list of wanted indicators, and 4 for the percentage of LM12, an entry of its own.

    A breakdown that the engine does not give cannot be claimed."""
    known = indicator_catalogue().indicators
    lines = wanted_breakdowns()
    assert len(lines) == len({(line.indicator_code, line.wanted) for line in lines}) == 204 + 4
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


def test_a_row_names_the_claims_that_it_makes():
    made: dict[str, set[str]] = {}
    for claim in claims():
        for row in claim.rows:
            made.setdefault(str(row), set()).add(claim.code)
    assert {row["row_number"]: set(row["claims"].split()) for row in checklist() if row["claims"]} == made
    assert all(("release.claim" in row["tables"].split()) == bool(row["claims"]) for row in checklist())


def test_every_figure_of_the_checklist_is_a_claim_with_that_number():
    """`checklist_figures.csv` lists every number that the sixty rows print, as printed, with what kind of number it is."""
    ledger = {claim.code: claim for claim in claims()}
    with (Path(__file__).parents[1] / "goldens" / "checklist_figures.csv").open(encoding="utf-8", newline="") as stream:
        figures = [row for row in csv.DictReader(stream) if row["kind"] == "figure"]
    assert len(figures) > 40
    for row in figures:
        claim = ledger[row["claim_code"]]
        assert int(row["row_number"]) in claim.rows, row
        assert (claim.value, claim.upper) == (float(row["value"]), float(row["upper"]) if row["upper"] else None), row


def test_every_number_of_a_subject_is_a_claim_or_a_date_or_a_number_of_a_document():
    """What the rows themselves print must not be more than what is listed: a figure typed later needs its claim."""
    with (Path(__file__).parents[1] / "goldens" / "checklist_figures.csv").open(encoding="utf-8", newline="") as stream:
        listed = list(csv.DictReader(stream))
    for row in checklist():
        subject = row["subject"].replace("COVID-19", "").replace("DHIS2", "")
        told = "; ".join(entry["printed"] for entry in listed if entry["row_number"] == row["row_number"])
        mine = [claim for claim in claims() if claim.code in row["claims"].split()]
        known = numbers_in(told) | {f"{number:g}" for claim in mine for number in (claim.value, claim.upper or 0)}
        assert numbers_in(subject) <= known, row
