"""The rows a load should leave behind: from the reports owed, from earlier files, and what is said where they did not come.

The world can be checked by pencil: every report has ten values, so n reports owed let expect 10 n rows.
"""

import json
from datetime import UTC, datetime

import duckdb
import pytest

from assets.declare import ROWS_CHECK, load_results
from assets.loading import SourceReport
from warehouse.catalogue.table_catalogue import tables
from warehouse.load import LedgerLine, LoadTransaction
from warehouse.row_bands import JudgedSlice, SliceCount, judge_rows, outcome
from warehouse.store import apply_catalogue

BEFORE, NOW = datetime(2026, 6, 1), datetime(2026, 7, 6, 5)
OPEN = "timestamp '9999-12-31' as recorded_to, true as is_practice"


@pytest.fixture
def connection():
    """One server: ten units with ten values a month from January 2025 to April 2026, all completed."""
    made = duckdb.connect(config={"python_enable_replacements": "false"})
    apply_catalogue(made, tables())
    elements = json.dumps({"dataSetElements": [{"dataElement": {"id": f"e{number}"}} for number in range(10)]})
    made.execute(
        f"""insert into core.metadata_object by name select 'vnm' as instance_code, 'dataSets' as kind_code, 's' as object_uid,
        'TB_MONTHLY' as object_code, $detail as detail, $at as recorded_from, {OPEN}""",
        {"detail": elements, "at": BEFORE},
    )
    units(made, 0, 10)
    reports(made, "2025-01-01", "2026-04-01", 10, BEFORE)
    yield made
    made.close()


def units(connection, first, last):
    """Units open since 2020 that owe the report."""
    connection.execute(
        f"""insert into core.org_unit by name select 'vnm' as instance_code, 'u' || range as org_unit_uid, 'Unit' as name, 4 as level,
        '/u' as path, date '2020-01-01' as opening_on, 'VNM' as country_code, $at as recorded_from, {OPEN} from range({first}, {last})""",
        {"at": BEFORE},
    )
    connection.execute(
        f"""insert into core.data_set_assignment by name select 'vnm' as instance_code, 's' as data_set_uid, 'u' || range as org_unit_uid,
        'TB_MONTHLY' as data_set_code, 'Monthly' as period_type_code, 15 as timely_days, $at as recorded_from, {OPEN}
        from range({first}, {last})""",
        {"at": BEFORE},
    )


def reports(connection, first, last, count, at, values=10):
    """Completed reports of the first `count` units for each month from `first` to `last`, with `values` values each."""
    months = (
        f"unnest(generate_series(timestamp '{first}', timestamp '{last}', interval '1 month'))::date as period_start_on"
    )
    keys = "'vnm' as instance_code, strftime(period_start_on, '%Y%m') as period_code, 'u' || unit as org_unit_uid"
    connection.execute(
        f"""insert into core.data_set_registration by name select {keys}, 's' as data_set_uid, 'TB_MONTHLY' as data_set_code,
        'a' as attribute_option_combo_uid, $at as registered_at, true as is_completed, period_start_on, $at as recorded_from, {OPEN}
        from (select {months}) cross join range({count}) as units(unit)""",
        {"at": at},
    )
    connection.execute(
        f"""insert into core.data_value by name select {keys}, 'e' || element as data_element_uid, 'c' as category_option_combo_uid,
        'a' as attribute_option_combo_uid, 'TB_NOTIFIED' as concept_code, '_T' as category_code, 3 as value_number, period_start_on,
        $at as recorded_from, {OPEN}
        from (select {months}) cross join range({count}) as units(unit) cross join range({values}) as elements(element)""",
        {"at": at},
    )


def judged(connection, source="dhis2_vnm", ledger=()):
    load = LoadTransaction(connection, tables(), source, NOW.replace(tzinfo=UTC))
    load.report.ledger.extend(ledger)
    return judge_rows(load, load.recorded_at)


@pytest.mark.parametrize(("came", "values", "state"), [(10, 10, "within"), (10, 4, "short"), (3, 10, "short")])
def test_the_rows_of_a_month_follow_from_the_reports_owed(connection, came, values, state):
    reports(connection, "2026-05-01", "2026-05-01", came, NOW, values)
    (found,) = judged(connection)
    assert (found.slice.slice_code, found.slice.row_count, found.slice.exposure) == ("2026-05-01", came * values, 10)
    assert found.state_code == state
    assert found.band.expected == pytest.approx(100, rel=0.01)
    assert f"({came} of 10 reports came)" in found.sentence()


def test_rows_that_came_twice_are_a_flood(connection):
    reports(connection, "2026-05-01", "2026-05-01", 10, NOW)
    reports(connection, "2026-05-01", "2026-05-01", 10, NOW)
    (found,) = judged(connection)
    assert (found.state_code, found.slice.row_count) == ("flood", 200)


def test_a_new_district_raises_what_is_expected(connection):
    """Thirty units more owe a report from now on: 400 rows are no flood, and 100 would be short."""
    connection.execute("update core.org_unit set opening_on = date '2020-01-01'")
    units(connection, 10, 40)
    connection.execute(
        "update core.org_unit set opening_on = date '2026-05-01' where substr(org_unit_uid, 2)::int >= 10"
    )
    reports(connection, "2026-05-01", "2026-05-01", 40, NOW)
    (found,) = judged(connection)
    assert (found.state_code, found.slice.exposure, found.slice.row_count) == ("within", 40, 400)
    assert 100 not in found.band


def test_a_month_of_which_nothing_came_is_judged_although_nothing_was_touched(connection):
    (found,) = judged(connection)
    assert (found.slice.slice_code, found.slice.row_count, found.state_code) == ("2026-05-01", 0, "short")


def test_a_month_that_is_not_due_is_nobodys_shortfall(connection):
    reports(connection, "2026-05-01", "2026-05-01", 10, NOW)
    reports(connection, "2026-06-01", "2026-06-01", 1, NOW)  # due on 15 July
    assert [found.slice.slice_code for found in judged(connection)] == ["2026-05-01"]


def test_deleted_rows_of_an_old_month_are_looked_at_again(connection):
    connection.execute(
        "update core.data_value set recorded_to = $at where period_code = '202603' and data_element_uid <> 'e1'",
        {"at": NOW},
    )
    reports(connection, "2026-05-01", "2026-05-01", 10, NOW)
    assert {found.slice.slice_code: found.state_code for found in judged(connection)} == {
        "2026-03-01": "short", "2026-05-01": "within",
    }  # fmt: skip


def test_each_judgement_is_on_file(connection):
    reports(connection, "2026-05-01", "2026-05-01", 4, NOW)
    judged(connection)
    assert connection.execute(
        "select source_code, series_code, slice_code, basis_code, state_code, row_count, earlier_count, owed_count, received_count "
        "from ops.row_band"
    ).fetchall() == [("dhis2_vnm", "TB_MONTHLY", "2026-05-01", "ledger", "short", 40, 16, 10, 4)]


def registers(connection, counts):
    """Loaded registers of so many contracts each, a month apart."""
    for number, count in enumerate(counts):
        connection.execute(
            f"""insert into core.labour_document by name select 'd{number}' as document_code, 't' as title, 'molisa' as agency_code,
            date '2026-01-10' + interval '{number} months' as published_on, 'register' as kind_code, 'contract-register' as edition_code,
            'stated' as published_on_basis_code, 'f' as file_name, 's' as file_sha256, 'r{number}' as receipt_id,
            $at as recorded_from, {OPEN}""",
            {"at": BEFORE},
        )
        connection.execute(
            "insert into ops.receipt_ledger values (?, 'labour', 1, ?, 'staging.labour_contract', ?, ?, 0, 0)",
            [BEFORE, f"r{number}", count, count],
        )


@pytest.mark.parametrize(("received", "state"), [(102, "within"), (9, "short"), (500, "flood")])
def test_a_file_is_held_against_the_files_before_it(connection, received, state):
    registers(connection, [100, 96, 108, 101, received])
    line = LedgerLine(1, "r4", "staging.labour_contract", received, received, 0, 0)
    (found,) = judged(connection, "labour", [line])
    assert (found.slice.slice_code, found.basis_code, found.state_code) == ("d4", "history", state)


def test_too_little_history_is_said_and_fails_nothing(connection):
    registers(connection, [100, 5])
    (found,) = judged(connection, "labour", [LedgerLine(1, "r1", "staging.labour_contract", 5, 5, 0, 0)])
    assert (found.state_code, found.earlier_count) == ("unjudged", 1)
    assert "too little to judge by" in found.sentence()
    assert outcome([found], "labour").passed


def test_the_check_warns_with_the_slices_outside_their_band(connection):
    reports(connection, "2026-05-01", "2026-05-01", 4, NOW)
    found = judged(connection)
    weighed = outcome(found, "dhis2_vnm")
    assert (weighed.passed, weighed.severity, weighed.unexpected_count) == (False, "warning", 1)
    loaded = [tables()["staging.data_value"], tables()["core.data_value"]]

    class Silent:
        def checks_for(self, table):
            return ()

    report = SourceReport("dhis2_vnm", slices=list(found))
    (check,) = [
        event
        for event in load_results(loaded, [report], {}, Silent())
        if getattr(event, "check_name", "") == ROWS_CHECK
    ]
    assert not check.passed
    assert "dhis2_vnm: TB_MONTHLY 2026-05-01: 40 rows, expected" in str(check.metadata["outside"])
    unjudged = SourceReport("labour", slices=[JudgedSlice(SliceCount("x", "1", 1), "history", 0, None)])
    assert not [event for event in load_results(loaded, [unjudged], {}, Silent()) if hasattr(event, "check_name")]
