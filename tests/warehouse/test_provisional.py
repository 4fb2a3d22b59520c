"""Cells that stand on less than they should: aged by a source that failed, short of reports; and the books of outages."""

import hashlib
from datetime import UTC, date, datetime

import polars as pl
import pytest

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.catalogue.regional_catalogue import regional_catalogue
from warehouse.completeness import short_of_reports, with_completeness
from warehouse.outages import Outage, current_outages, end_outage, note_outage, with_outages
from warehouse.store import Warehouse

AT = datetime(2026, 7, 6, tzinfo=UTC)


def cell(code: str, end: date, value: float | None, flags: list[str], receipts: list[str], area: str = "VN34-91"):
    return {
        "indicator_code": code, "area_code": area, "period_start_on": date(end.year, end.month, 1), "period_end_on": end,
        "value": value, "obs_status": flags[0], "obs_flags": flags, "footnote_codes": ["point_in_time"], "receipt_ids": receipts,
    }  # fmt: skip


def frame(*cells) -> pl.DataFrame:
    lists = dict.fromkeys(("obs_flags", "footnote_codes", "receipt_ids"), pl.List(pl.String))
    return pl.DataFrame(list(cells), schema_overrides={**lists, "value": pl.Float64})


def test_recent_cells_of_a_source_that_failed_are_provisional_and_carry_the_day():
    observed = frame(
        cell("TB03", date(2026, 6, 30), 0.1, ["A"], ["r1"]),
        cell("TB03", date(2026, 5, 31), 0.1, ["U", "E"], ["r1", "r9"]),
        cell("TB03", date(2026, 4, 30), None, ["O"], ["r1"]),
        cell("TB03", date(2024, 6, 30), 0.1, ["A"], ["r1"]),
        cell("LM01", date(2026, 6, 30), 0.1, ["A"], ["r2"]),
    )
    aged = with_outages(observed, [Outage("dhis2_vnm", date(2026, 6, 29))], {"dhis2_vnm": ["r1"]})
    note = "last_good_20260629"
    assert aged.select("obs_status", "obs_flags", "footnote_codes").rows() == [
        ("P", ["P"], [note, "point_in_time"]),
        # Estimated ranks before provisional, and that before low reliability.
        ("E", ["E", "P", "U"], [note, "point_in_time"]),
        ("O", ["O"], [note, "point_in_time"]),
        ("A", ["A"], ["point_in_time"]),
        ("A", ["A"], ["point_in_time"]),
    ]
    assert with_outages(observed, [], {}).equals(observed)


def test_the_footnote_names_the_day_in_both_languages():
    text = regional_catalogue().footnote("last_good_20260629")
    assert "2026-06-29" in text.en
    assert "29/06/2026" in text.vi
    assert regional_catalogue().footnote("last_good_soon").en == "last_good_soon"


@pytest.fixture
def store(tmp_path):
    warehouse = Warehouse(tmp_path / "w.duckdb")
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.receipt by name select 'r1' as receipt_id, 'dhis2_vnm' as source_code, 'p' as part_code, 'k' as kind_code, "
            "'l' as locator, 's' as payload_sha256, 1 as file_count, 1 as byte_count, 1 as record_count, "
            "timestamp '2026-06-29 05:00' as received_at, true as is_practice, 'p' as path, timestamp '2026-06-29 05:00' as refresh_at"
        )
    return warehouse


def test_an_outage_is_noted_once_and_ends(store):
    assert note_outage(store, "dhis2_vnm", "the server did not answer", AT)
    assert current_outages(store) == (Outage("dhis2_vnm", date(2026, 6, 29)),)
    before = hashlib.sha256(store.path.read_bytes()).hexdigest()
    assert not note_outage(store, "dhis2_vnm", "it still does not", AT)
    assert hashlib.sha256(store.path.read_bytes()).hexdigest() == before
    assert not note_outage(store, "labour", "never loaded: no data to age", AT)
    assert end_outage(store, "dhis2_vnm")
    assert not end_outage(store, "dhis2_vnm")
    assert current_outages(store) == ()


def test_figures_of_reports_that_have_not_all_come_say_so(store):
    """Two units owe a monthly report; in May one came: half. The share of HIV tests that were positive rests on it."""
    opened = "timestamp '2026-06-01' as recorded_from, timestamp '9999-12-31' as recorded_to, true as is_practice"
    with store.connect() as connection:

        def insert(table: str, columns: str) -> None:
            connection.execute(f"insert into {table} by name select 'vnm' as instance_code, {columns}, {opened}")

        insert(
            "core.metadata_object",
            "'dataSets' as kind_code, 'ds' as object_uid, 'HIV' as object_code, "
            """'{"dataSetElements": [{"dataElement": {"id": "e"}}]}' as detail""",
        )
        for unit in ("u1", "u2"):
            insert("core.org_unit", f"'{unit}' as org_unit_uid, '{unit}' as name, 4 as level, '/{unit}' as path, 'VNM' as country_code, "
                                    "'VN34-91' as province_area_code")  # fmt: skip
            insert("core.data_set_assignment", f"'ds' as data_set_uid, '{unit}' as org_unit_uid, 'HIV' as data_set_code, "
                                               "'Monthly' as period_type_code, 15 as timely_days")  # fmt: skip
        for unit, month in (("u1", 4), ("u2", 4), ("u1", 5)):
            insert(
                "core.data_set_registration",
                f"'ds' as data_set_uid, '20260{month}' as period_code, '{unit}' as org_unit_uid, 'a' as attribute_option_combo_uid, "
                f"timestamp '2026-06-01' as registered_at, true as is_completed, 'HIV' as data_set_code, "
                f"date '2026-0{month}-01' as period_start_on, last_day(date '2026-0{month}-01') as period_end_on",
            )
        for concept in ("HIV_POSITIVE", "HIV_TESTED"):
            insert(
                "core.data_value",
                f"'e' as data_element_uid, '202605' as period_code, 'u1' as org_unit_uid, '{concept}' as category_option_combo_uid, "
                f"'a' as attribute_option_combo_uid, '{concept}' as concept_code, '_T' as category_code, 1.0 as value_number, "
                "'Monthly' as period_type_code, date '2026-05-01' as period_start_on, date '2026-05-31' as period_end_on",
            )
        observed = frame(
            cell("HV06", date(2026, 5, 31), 0.1, ["A"], ["r1"]),
            cell("HV06", date(2026, 4, 30), 0.1, ["A"], ["r1"]),
            cell("LM01", date(2026, 5, 31), 0.1, ["A"], ["r1"]),
        )
        entries = [indicator_catalogue().indicators[code] for code in ("HV06", "LM01")]
        short = short_of_reports(connection, observed, entries, AT)
    assert short.select("indicator_code", "period_end_on", "expected", "received").rows() == [
        ("HV06", date(2026, 5, 31), 2, 1)
    ]
    marked = with_completeness(observed, short)
    assert marked.select("obs_status", "footnote_codes").rows() == [
        ("P", ["point_in_time", "reports_incomplete"]),
        ("A", ["point_in_time"]),
        ("A", ["point_in_time"]),
    ]
