"""Retention: what is due goes with all its versions and landed lines, does not come back, and past figures stand.

The clock is handed in. The days are counted by pencil from processing.toml: 1825 days before 2031-03-01 is 2026-03-02, 3650 days
2021-03-03, 365 days 2030-03-01 (Python's own calendar agrees, test_the_horizons).
"""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from warehouse import quarantine
from warehouse.catalogue.processing import personal_tables
from warehouse.catalogue.table_catalogue import tables
from warehouse.indicator_engine import OBSERVATION_SCHEMA
from warehouse.landing import Landing
from warehouse.load import LoadTransaction, transaction
from warehouse.retention import FOLLOWING, PERSONS, STATISTICS, WORK, due, enforce, horizons, standing_figures
from warehouse.store import Warehouse
from warehouse.victims import victims_beside, victims_landing

TODAY = date(2031, 3, 1)
FIRST = datetime(2026, 7, 6, tzinfo=UTC)
THEN = datetime(2031, 3, 1, tzinfo=UTC)
OLD, LATE, NEW = "EnOldRecord", "EnCorrected", "EnNewRecord"


def frame(table: str, rows: list[dict[str, object]], receipt: str = "r") -> pl.DataFrame:
    """Rows of a table; what a row does not say is `_U` or empty, as the catalogue allows."""
    entry = tables()[table]
    empty = {column.name: None if column.nullable or column.type != "varchar" else "_U" for column in entry.columns}
    return pl.DataFrame(
        [{name: {**empty, **row, "receipt_id": receipt}[name] for name in entry.batch_columns} for row in rows],
        schema_overrides={column.name: pl.Date for column in entry.columns if column.type == "date"},
    )


def record(enrollment: str, referred_on: date, entity: str = "", **more: object) -> dict[str, object]:
    return {
        "instance_code": "vnm", "enrollment_uid": enrollment, "tracked_entity_uid": entity or f"Te{enrollment[2:]}",
        "person_token": f"token of {enrollment}", "referred_on": referred_on, "updated_at": datetime(2030, 1, 1),
        "is_practice": True, **more,
    }  # fmt: skip


RECORDS = [
    record(OLD, date(2026, 3, 1)),  # one day too old
    record(LATE, date(2020, 1, 1), outcome_on=date(2026, 3, 2)),  # an old referral whose outcome came on the horizon
    record(NEW, date(2030, 5, 1)),
]


@pytest.fixture
def world(tmp_path: Path) -> tuple[Warehouse, Landing]:
    """Records of referral in two versions, a worker whose contract ended, a wave, and held records."""
    store, landing = Warehouse(tmp_path / "warehouse.duckdb"), Landing(tmp_path / "landing")
    pull = landing.pull("dhis2_vnm", "tracker", THEN, is_practice=True)
    lines = [
        {"tracked_entity": "TeOldRecord", "enrollments": [{"enrollment": OLD}]},
        {"tracked_entity": "TeTwoOfThem", "enrollments": [{"enrollment": "EnOldAgain"}, {"enrollment": NEW}]},
        {"tracked_entity": "TeCorrected", "enrollments": [{"enrollment": LATE}]},
    ]
    pull.write("tracker-000001.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    receipt = pull.finish("tracker", "by hand", {"mode": "full"}, 3).receipt_id
    old = landing.pull("dhis2_vnm", "tracker", FIRST - timedelta(days=200), is_practice=True)
    old.write("tracker-000001.jsonl", b'{"tracked_entity": "TeLongGone1"}\n')
    old.finish("tracker", "by hand", {"mode": "full"}, 1)
    again = record("EnOldAgain", date(2026, 2, 1), "TeTwoOfThem")
    with transaction(store, "dhis2_vnm", FIRST) as load:
        rows = [again, *({**row, "sex_code": "M"} for row in RECORDS)]
        load.load_frame("core.referral_record", frame("core.referral_record", rows, receipt), mode="snapshot")
        referral = {"referral_code": "ReferralOld", "referred_on": date(2026, 2, 1), "is_practice": True}
        load.load_frame("core.referral", frame("core.referral", [referral]), mode="snapshot")
        contracts = [
            {"contract_token": "ended", "departed_on": date(2015, 1, 1), "returned_on": date(2021, 3, 2),
             "published_on": date(2022, 1, 1), "is_practice": True},
            {"contract_token": "running", "departed_on": date(2019, 1, 1), "expected_end_on": date(2029, 1, 1),
             "published_on": date(2022, 1, 1), "is_practice": True},
        ]  # fmt: skip
        load.load_frame("core.labour_contract", frame("core.labour_contract", contracts), mode="snapshot")
        held = quarantine.Rejected(record(OLD, date(2026, 3, 1)), ("x: wrong",), receipt, "tracker#1")
        quarantine.hold(load.connection, tables()["staging.referral_record"], "dhis2_vnm", [held], FIRST)
        load.connection.execute(
            "insert into ops.quarantine_decision select quarantine_id, first_at, 'hold', 'x', 'why not' from quarantine.record"
        )
    with transaction(store, "dhis2_vnm", FIRST + timedelta(weeks=1)) as load:
        load.load_frame(
            "core.referral_record", frame("core.referral_record", [again, *RECORDS], receipt), mode="snapshot"
        )
    return store, landing


def test_the_victims_store_loses_its_own_rows_and_old_files(tmp_path: Path):
    store, landing = victims_beside(Warehouse(tmp_path / "warehouse.duckdb")), victims_landing(tmp_path)
    victims = [
        {"file_code": "f", "register_code": "victims", "record_code": code, "period_start_on": start,
         "period_end_on": start + timedelta(days=90), "quantity": 3, "is_practice": True}
        for code, start in (("old", date(2025, 1, 1)), ("new", date(2030, 1, 1)))
    ]  # fmt: skip
    for received in (FIRST - timedelta(days=200), THEN):
        pull = landing.pull("victims", f"support-{received.year}", received, is_practice=True)
        pull.write("support.csv", str(received).encode())
        pull.finish("file", "inbox:support.csv", {}, 1)
    with transaction(store, "victims", FIRST) as load:
        load.load_frame("restricted.victim_count", frame("restricted.victim_count", victims), mode="snapshot")
    with store.connect() as connection:
        found = enforce(connection, landing, TODAY, "retention-1", THEN)
    assert found.tables == {"restricted.victim_count": 1}
    assert found.landed_files == {"victims": 1}
    assert store.read("select record_code from restricted.victim_count").rows() == [("new",)]
    assert [receipt.part_code for receipt in landing.receipts("victims")] == ["support-2031"]


def run(world: tuple[Warehouse, Landing]) -> dict[str, int]:
    store, landing = world
    with store.connect() as connection:
        return enforce(connection, landing, TODAY, "retention-1", THEN).tables


def test_the_horizons_are_the_periods_of_the_record_of_processing():
    assert horizons(TODAY)["dhis2"] == date(2026, 3, 2)
    assert horizons(TODAY)["labour"] == date(2021, 3, 3)
    assert horizons(TODAY)["operations"] == date(2030, 3, 1)


def test_every_personal_table_has_a_rule_or_a_reason():
    ruled = {rule.table for rule in (*PERSONS, *WORK)} | {rule.staged for rule in PERSONS if rule.staged}
    named = {table.name for table in personal_tables()}
    assert named == ruled | set(FOLLOWING) | set(STATISTICS)
    by_name = {table.name: table.group for table in personal_tables()}
    assert all(by_name[rule.table] == rule.group for rule in (*PERSONS, *WORK))


def test_what_is_due_is_counted_without_being_touched(world):
    store, _ = world
    before = store.path.read_bytes()
    with store.connect(read_only=True) as connection:
        found = due(connection, TODAY)
    # two keys with two and one versions: OLD changed once, EnOldAgain never
    assert found.tables == {
        "core.labour_contract": 1, "core.referral": 1, "core.referral_record": 3, "quarantine.record": 1,
    }  # fmt: skip
    assert store.path.read_bytes() == before
    with store.connect(read_only=True) as connection:
        assert due(connection, date(2026, 8, 1)).tables == {}


def test_what_is_due_goes_with_all_versions_and_nothing_else_does(world):
    store, landing = world
    run(world)
    rows = store.read("select enrollment_uid, count(*) from core.referral_record group by all order by all").rows()
    assert rows == [(LATE, 2), (NEW, 2)]
    assert store.read("select contract_token from core.labour_contract").rows() == [("running",)]
    assert store.read("select count(*) from quarantine.record").rows() == [(0,)]
    assert store.read("select count(*) from ops.quarantine_decision").rows() == [(0,)]
    written = b"".join(path.read_bytes() for path in landing.root.rglob("*.jsonl"))
    assert OLD.encode() not in written
    assert b"EnOldAgain" not in written
    assert b"TeTwoOfThem" in written  # the person has a record that is not due
    assert LATE.encode() in written
    assert b"TeLongGone1" not in written  # received before the horizon
    for receipt in landing.receipts("dhis2_vnm"):
        landing.verify(receipt)
    store.rewrite()
    assert OLD.encode() not in store.path.read_bytes()


def test_the_history_that_is_left_is_the_history_that_was(world):
    store, _ = world
    query = """select enrollment_uid, sex_code, recorded_from, recorded_to from core.referral_record
        where list_contains($kept, enrollment_uid) order by all"""
    before = store.read(query, {"kept": [LATE, NEW]}).rows()
    run(world)
    assert store.read(query, {"kept": [LATE, NEW]}).rows() == before


def test_the_books_have_counts_and_the_horizon(world):
    store, _ = world
    run(world)
    rows = store.read("select table_name, row_count, horizon_on, cause_code from ops.removal order by all").rows()
    assert ("core.referral_record", 3, date(2026, 3, 2), "retention") in rows
    assert ("landing", 3, None, "retention") in rows
    assert run(world) == {}
    assert (
        store.read("select table_name, row_count, horizon_on, cause_code from ops.removal order by all").rows() == rows
    )


def staged_again(load: LoadTransaction) -> None:
    news = [*RECORDS[:-1], {**RECORDS[-1], "outcome_code": "CURED"}]
    staged = frame("core.referral_record", news).rename({"to_facility_code": "to_org_unit_uid"})
    names = tables()["staging.referral_record"].column_names
    rows = staged.with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in names if name not in staged.columns
    )
    load.stage("staging.referral_record", rows.select(names), {"instance_code": "vnm"})
    people = frame("core.referral_record", RECORDS).select(
        "instance_code", "tracked_entity_uid", "is_practice", "receipt_id",
        is_deleted=pl.lit(False), updated_at=pl.lit(None, dtype=pl.Datetime), enrollment_count=pl.lit(1), pointer=pl.lit("by hand"),
    )  # fmt: skip
    load.stage("staging.tracked_entity", people, {"instance_code": "vnm"})
    load.load_history("core.referral_record", mode="snapshot", scope={"instance_code": "vnm"})


def test_a_full_pull_does_not_bring_back_what_was_removed(world, tmp_path: Path):
    store, _ = world
    run(world)
    with transaction(store, "dhis2_vnm", THEN + timedelta(days=1)) as load:
        staged_again(load)
    found = store.read("select distinct enrollment_uid from core.referral_record_current order by all").rows()
    assert found == [(LATE,), (NEW,)]
    # The same as one full pull into a store that never had them, under the same horizon.
    fresh = Warehouse(tmp_path / "fresh.duckdb")
    with fresh.connect() as connection:
        connection.execute(
            "insert into ops.removal values ('x', 'core.referral_record', 'retention', ?, 0, date '2026-03-02')", [THEN]
        )
    with transaction(fresh, "dhis2_vnm", THEN + timedelta(days=1)) as load:
        staged_again(load)
    assert fresh.read("select distinct enrollment_uid from core.referral_record_current order by all").rows() == found
    # Staging holds what was pulled until the job has run again.
    assert run(world) == {"staging.referral_record": 1, "staging.tracked_entity": 1}


def cell(period: str, value: float) -> dict[str, object]:
    texts = {name: "_T" for name, kind in OBSERVATION_SCHEMA.items() if kind == pl.String}
    lists = {name: [] for name, kind in OBSERVATION_SCHEMA.items() if isinstance(kind, pl.List)}
    return {**texts, **lists, "indicator_code": "TB11", "period_code": period, "value": value, "is_practice": True,
            "period_start_on": date(2020, 1, 1), "period_end_on": date(2020, 12, 31)}  # fmt: skip


def cells(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(
        [{name: row.get(name) for name in OBSERVATION_SCHEMA} for row in rows], schema=dict(OBSERVATION_SCHEMA)
    )


def test_figures_of_the_past_stand_and_those_of_today_are_computed(world):
    store, _ = world
    stored = cells(cell("2025", 40.0), cell("2026Q1", 11.0), cell("2026Q2", 12.0))
    with transaction(store, "indicator", THEN - timedelta(days=1)) as load:
        load.load_frame("indicator.observation", stored, mode="snapshot")
    computed = cells(cell("2026Q1", 3.0), cell("2026Q2", 13.0), cell("2026Q3", 9.0))
    rests = {"TB11": ["core.referral", "core.area"]}
    with store.connect(read_only=True) as connection:
        assert standing_figures(connection, "indicator.observation", computed, rests).equals(computed)
    run(world)
    with store.connect(read_only=True) as connection:
        found = standing_figures(connection, "indicator.observation", computed, rests)
        elsewhere = standing_figures(connection, "indicator.observation", computed, {"TB11": ["core.data_value"]})
    assert elsewhere.equals(computed)
    # 2026Q1 began before 2026-03-02: what is left of its records is not its figure. 2025 would have vanished.
    assert sorted(found.select("period_code", "value").rows()) == [
        ("2025", 40.0), ("2026Q1", 11.0), ("2026Q2", 13.0), ("2026Q3", 9.0),
    ]  # fmt: skip
