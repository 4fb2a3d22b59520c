"""Checks, corrections and records held back behind an indicator: counts and statuses, small counts untold, no value of a record."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from warehouse.catalogue.disclosure import load_policy
from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.evidence import evidence_at, gather_evidence, kind_of_reason, provided_tables, staging_of
from warehouse.explain import _held_back
from warehouse.history import as_naive_utc
from warehouse.load import transaction
from warehouse.store import Warehouse

AT = datetime(2026, 7, 6, 5, tzinfo=UTC)
LATER = datetime(2026, 7, 13, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("treatment_started_on: 2031-02-01 lies after the outcome", "treatment_started_on"),
        ("core.referral.arrival_after_start: an arrival before its referral", "core.referral.arrival_after_start"),
        ("period '2026X9' is not a DHIS2 period", "period … is not a DHIS… period"),
        ("org_unit is missing", "org_unit is missing"),
    ],
)
def test_a_reason_is_told_without_the_value_that_it_quotes(reason, kind):
    assert kind_of_reason(reason) == kind


def test_what_the_store_makes_itself_stands_with_what_it_is_made_from():
    assert provided_tables(["core.referral"]) == ("core.referral", "core.referral_record")
    assert staging_of(("core.referral_record",)) == ("staging.referral_record",)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store in which 12 referral records and one value are held back, one rule failed, and one correction acts."""
    warehouse = Warehouse(tmp_path_factory.mktemp("evidence") / "warehouse.duckdb")
    with transaction(warehouse, "test", AT) as load:
        records = [
            ("staging.referral_record", "dhis2_vnm", {"referred_on": "2026-03-0" + str(n % 9 + 1), "person": n}, ["sex: X is no code"])
            for n in range(12)
        ]  # fmt: skip
        records.append(("staging.data_value", "dhis2_vnm", {"period_code": "202605"}, ["value 'abc' is no number"]))
        for number, (table, source, record, reasons) in enumerate(records):
            load.connection.execute(
                "insert into quarantine.record by name select $id as quarantine_id, $table as table_name, $source as source_code,"
                " 'r1' as receipt_id, $reasons as reasons, $record::json as record, 'held' as status_code, $at as first_at",
                {"id": str(number), "table": table, "source": source, "reasons": reasons, "record": json.dumps(record),
                 "at": as_naive_utc(AT)},
            )  # fmt: skip
        for rule, passed, count in (("a", True, 0), ("b", True, 0), ("c", False, 40), ("d", False, 1)):
            load.connection.execute(
                "insert into ops.check_result by name select $at as refresh_at, 'dhis2_vnm' as source_code, $rule as rule_code,"
                " 'core.referral_record' as table_name, 'warning' as severity_code, 'row' as level_code, $passed as is_passed,"
                " $count as unexpected_count, 100 as evaluated_count, 'Arrivals follow referrals.' as why",
                {"at": as_naive_utc(AT), "rule": rule, "passed": passed, "count": count},
            )  # fmt: skip
        rows = [
            {"correction_code": "VNM-1", "table_name": "core.data_value", "row_key": str(n), "action_code": "set",
             "column_name": "value_number", "raw_value": "4711", "corrected_value": "47", "provider_code": "dhis2_vnm",
             "reason": "Told by Mrs Nguyen.", "entered_by": "team", "entered_on": AT.date(), "entry_digest": "d",
             "receipt_id": None}
            for n in range(20)
        ]  # fmt: skip
        load.load_frame("core.correction_row", pl.DataFrame(rows), mode="snapshot")
    return warehouse


@pytest.fixture(scope="module")
def found(store):
    with store.connect(read_only=True) as connection:
        return gather_evidence(connection, indicator_catalogue(), load_policy())


def facts(found, indicator, part):
    mine = found.filter(pl.col("indicator_code") == indicator, pl.col("part_code") == part)
    return mine.select("table_name", "item_code", "year_code", "item_count", "is_small").rows()


def test_each_indicator_has_what_concerns_its_inputs_and_nothing_else(found):
    assert facts(found, "TB10", "held_back") == [("staging.referral_record", "sex", "2026", 12, False)]
    assert facts(found, "TB10", "check_passed") == [("core.referral_record", "_T", "_T", 2, False)]
    assert facts(found, "TB10", "check_failed") == [
        ("core.referral_record", "c", "_T", 40, False),
        ("core.referral_record", "d", "_T", None, True),
    ]
    assert facts(found, "TB10", "correction") == []
    assert facts(found, "ML02", "correction") == [("core.data_value", "VNM-1", "_T", 20, False)]
    assert found.filter(pl.col("indicator_code") == "MG09").is_empty()


def test_a_small_count_is_not_told(found):
    assert facts(found, "ML02", "held_back") == [("staging.data_value", "value … is no number", "2026", None, True)]


def test_no_value_of_a_record_and_no_free_words_are_in_it(found):
    text = found.write_json()
    for secret in ("abc", "4711", "Nguyen", "person", "X is no code"):
        assert secret not in text


def test_it_is_read_as_it_stood(store, found):
    with transaction(store, "release", AT) as load:
        load.load_frame("indicator.evidence", found, mode="snapshot")
    with transaction(store, "release", LATER) as load:
        load.load_frame("indicator.evidence", found.filter(pl.col("part_code") != "correction"), mode="snapshot")
    with store.connect(read_only=True) as connection:
        assert evidence_at(connection, AT).equals(found)
        assert "correction" not in set(evidence_at(connection, LATER)["part_code"])


def test_explain_finds_the_records_of_a_table_that_the_store_made_itself(store):
    """`mhwg explain` looked for quarantined rows of staging.referral, which does not exist: referrals held back were never told."""
    period = {"period_start_on": datetime(2026, 1, 1).date(), "period_end_on": datetime(2026, 12, 31).date()}
    with store.connect(read_only=True) as connection:
        held = _held_back(connection, ["core.referral"], period)
        before = _held_back(
            connection,
            ["core.referral"],
            {name: day.replace(year=2024) for name, day in period.items()},
        )
    assert held == [{"source": "dhis2_vnm", "table": "staging.referral_record", "reason": "sex", "records": 12}]
    assert before == []
