"""The record of processing is complete, and what docs/ prints of it is what the catalogue says."""

from pathlib import Path

import pytest

from warehouse.catalogue.processing import PERSONAL_CLASSES, as_data, personal_tables, processing_record, record_page
from warehouse.catalogue.table_catalogue import tables

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_personal_column_outside_releases_stands_in_the_record():
    recorded = {
        (name, column)
        for entry in as_data()["processing"]
        for name, by_class in entry["tables"].items()
        for columns in by_class.values()
        for column in columns
    }
    held = {
        (table.name, column.name)
        for table in tables().values()
        if table.access != "public"
        for column in table.columns
        if column.data_class in PERSONAL_CLASSES
    }
    assert recorded == held
    assert ("core.referral_record", "person_token") in held


def test_no_released_table_has_a_person():
    wrong = [
        f"{table.name}.{column.name}"
        for table in tables().values()
        if table.access == "public"
        for column in table.columns
        if column.data_class in ("personal", "restricted")
    ]
    assert wrong == []


@pytest.mark.parametrize("entry", processing_record().processing, ids=lambda entry: entry.group)
def test_an_entry_says_everything_in_both_languages(entry):
    assert entry.purpose.en
    assert entry.purpose.vi
    assert entry.purpose.en != entry.purpose.vi
    assert all((entry.people, entry.origin, entry.minimisation, entry.recipients, entry.retention_reason))
    assert any(table.group == entry.group for table in personal_tables())


def test_the_page_is_current():
    assert (DOCS / "processing-record.md").read_text(encoding="utf-8") == record_page(), "run `make docs`"
