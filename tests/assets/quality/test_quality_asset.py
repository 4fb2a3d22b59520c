"""The review as a table with history: found once, unchanged on a second look, closed when the reason is gone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.loading import derive_table
from assets.quality.assets import REVIEWED, review_current_rows
from expectations.scales import GreatExpectationsScales
from warehouse.store import Warehouse

AT = datetime(2026, 6, 10, 5, 0, tzinfo=UTC)
OPEN = "timestamp '2026-06-01' as recorded_from, timestamp '9999-12-31' as recorded_to"


@pytest.fixture
def store(tmp_path: Path) -> Warehouse:
    """One unit that owes a monthly report, registered for March and not for April."""
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    with warehouse.connect() as connection:
        insert(
            connection,
            "core.org_unit",
            "'u1' as org_unit_uid, 'Unit' as name, 4 as level, '/u1' as path, 'vnm' as instance_code",
        )
        insert(
            connection,
            "core.data_set_assignment",
            "'vnm' as instance_code, 'ds' as data_set_uid, 'u1' as org_unit_uid, 'TB' as data_set_code, "
            "'Monthly' as period_type_code, 15 as timely_days",
        )
        register(connection, "202603", "2026-03-01", "2026-03-31")
    return warehouse


def insert(connection: Any, table: str, columns: str) -> None:
    connection.execute(f"insert into {table} by name select {columns}, true as is_practice, {OPEN}")


def register(connection: Any, period: str, start: str, end: str) -> None:
    insert(
        connection,
        "core.data_set_registration",
        f"'vnm' as instance_code, 'ds' as data_set_uid, 'u1' as org_unit_uid, '{period}' as period_code, "
        f"'a' as attribute_option_combo_uid, "
        f"timestamp '2026-05-03' as registered_at, true as is_completed, 'TB' as data_set_code, "
        f"date '{start}' as period_start_on, date '{end}' as period_end_on",
    )


def look(warehouse: Warehouse, at: datetime, inputs_as_of: str = "first") -> Any:
    return derive_table(
        warehouse,
        GreatExpectationsScales(),
        "quality_review",
        at,
        "core.quality_finding",
        lambda connection: review_current_rows(connection, at),
        inputs=REVIEWED,
        also=[inputs_as_of],  # the rows here are written past the loader, so the test says when they changed
    )


def test_a_finding_opens_stays_and_closes(store: Warehouse) -> None:
    first = look(store, AT)
    assert first.fault is None
    assert store.read("select review_code, subject_code from core.quality_finding_current").rows() == [
        ("missing_report", "ds/u1/202604")
    ]
    again = look(store, AT + timedelta(seconds=1))
    assert again.load is None  # no input changed: nothing was computed
    second = look(store, AT + timedelta(seconds=1), "looked at once more")
    assert second.load is not None
    assert not second.load.committed
    with store.connect() as connection:
        register(connection, "202604", "2026-04-01", "2026-04-30")
    look(store, AT + timedelta(days=1), "second")
    assert store.read("select count(*) from core.quality_finding_current").item() == 0
    assert store.read("select count(*) from core.quality_finding").item() == 1
