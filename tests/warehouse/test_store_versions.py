"""Older and newer stores: brought up to date in place, by command, or refused with what to do."""

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from typer.main import get_command

import warehouse
from pipelines.cli import app
from warehouse.catalogue.table_catalogue import Column, Table, tables
from warehouse.load import transaction
from warehouse.migrations import FIRST_VERSION, SCHEMA_VERSION, Step, steps, stored_version
from warehouse.store import StoreError, Warehouse

OPS = {name: table for name, table in tables().items() if table.schema_name == "ops"}


def thing(*columns: tuple[str, str]) -> dict[str, Table]:
    own = [Column(name=name, type=kind, description=f"the column {name} of the test") for name, kind in columns]  # type: ignore[arg-type]
    table = Table(
        name="core.thing", row="one thing of the test", description="A table made for the tests of versions.",
        group="reference", owner="team:test", key=("code",), column=own,
    )  # fmt: skip
    return {**OPS, table.name: table}


OLD = thing(("code", "varchar"), ("size", "varchar"))
STEP = Step(
    2,
    "0002_size_is_a_number",
    "alter table core.thing add column size_cm integer; update core.thing set size_cm = size::integer; "
    "alter table core.thing drop column size;",
)
NEW = thing(("code", "varchar"), ("size_cm", "integer"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store as the older program left it, with a row."""
    store = Warehouse(tmp_path / "warehouse.duckdb", OLD, steps=())
    with store.connect() as connection:
        connection.execute("insert into core.thing (code, size) values ('a', '12')")
    return store.path


def test_new_tables_and_columns_need_no_hand(path: Path) -> None:
    wider = Warehouse(path, thing(("code", "varchar"), ("size", "varchar"), ("colour", "varchar")), steps=())
    with wider.connect() as connection:
        assert connection.execute("select code, size, colour from core.thing").fetchall() == [("a", "12", None)]


def test_rows_reach_their_columns_when_a_new_one_stands_in_the_middle_of_the_entry(tmp_path: Path) -> None:
    # Seen on an older state: a new column is last in the store, and a load by position wrote 'Point' into a boolean.
    def staged(*columns: tuple[str, str]) -> dict[str, Table]:
        (table,) = [entry for name, entry in thing(*columns).items() if name == "core.thing"]
        own = {name: entry for name, entry in tables().items() if entry.schema_name in ("ops", "quarantine")}
        return {**own, "staging.thing": table.model_copy(update={"name": "staging.thing"})}

    path = tmp_path / "warehouse.duckdb"
    with Warehouse(path, staged(("code", "varchar"), ("is_open", "boolean")), steps=()).connect():
        pass
    now = Warehouse(path, staged(("code", "varchar"), ("shape", "varchar"), ("is_open", "boolean")), steps=())
    frame = pl.DataFrame({"code": ["a"], "shape": ["Point"], "is_open": [True], "receipt_id": ["r"], "pointer": ["p"]})
    with transaction(now, "test", datetime(2026, 7, 6, tzinfo=UTC)) as load:
        load.stage("staging.thing", frame, {})
        assert load.connection.execute("select code, shape, is_open from staging.thing").fetchall() == [
            ("a", "Point", True)
        ]


def test_the_whole_catalogue_grows_out_of_a_trimmed_one(tmp_path: Path) -> None:
    # The real catalogue as it was before the registers and before versions were counted.
    trimmed = {
        name: table.model_copy(update={"own_columns": table.own_columns[:2]}) if name == "ops.store_version" else table
        for name, table in tables().items()
        if not name.endswith((".agency", ".agency_role", ".event", ".instrument"))
    }
    older = Warehouse(tmp_path / "warehouse.duckdb", trimmed, steps=())
    older._apply = lambda connection, needed: _apply_without_version(older, connection)  # type: ignore[method-assign]
    with older.connect() as connection:
        assert stored_version(connection) == FIRST_VERSION
        connection.execute("insert into ops.watermark values ('test', 'part', 'mark', timestamp '2026-07-06')")
    now = Warehouse(tmp_path / "warehouse.duckdb")
    now.upgrade()
    with now.connect() as connection:
        assert stored_version(connection) == SCHEMA_VERSION
        assert connection.execute("select count(*) from core.agency_current").fetchall() == [(0,)]
        assert connection.execute("select watermark from ops.watermark").fetchall() == [("mark",)]


def _apply_without_version(store: Warehouse, connection) -> None:
    """What the program did before it counted versions."""
    from warehouse import schema
    from warehouse.store import apply_catalogue

    apply_catalogue(connection, store.entries)
    connection.execute(
        "insert into ops.store_version values (?, '0.1.0')", [schema.fingerprint(store.entries.values())]
    )


def test_a_store_that_needs_a_step_is_refused_with_the_command(path: Path) -> None:
    newer = Warehouse(path, NEW, steps=(STEP,))
    assert newer.pending_steps() == (STEP,)
    with pytest.raises(StoreError, match="schema version 1, this program needs 2; run `mhwg upgrade`"), newer.connect():
        pass


def test_the_upgrade_runs_the_steps_once(path: Path) -> None:
    newer = Warehouse(path, NEW, steps=(STEP,))
    assert newer.upgrade() == (STEP,)
    assert newer.upgrade() == newer.pending_steps() == ()
    with newer.connect() as connection:
        assert connection.execute("select code, size_cm from core.thing").fetchall() == [("a", 12)]


def test_a_step_that_fails_leaves_the_store_as_it_was(path: Path) -> None:
    broken = Step(2, "0002_broken", STEP.sql + "select * from no_such_table;")
    with pytest.raises(Exception, match="no_such_table"):
        Warehouse(path, NEW, steps=(broken,)).upgrade()
    with Warehouse(path, OLD, steps=()).connect() as connection:
        assert connection.execute("select code, size from core.thing").fetchall() == [("a", "12")]


def test_a_newer_store_is_refused_and_left_alone(path: Path) -> None:
    Warehouse(path, NEW, steps=(STEP,)).upgrade()
    with pytest.raises(StoreError, match="newer than this program"), Warehouse(path, OLD, steps=()).connect():
        pass
    assert Warehouse(path, NEW, steps=(STEP,)).pending_steps() == ()


def test_a_change_without_a_step_is_refused(path: Path) -> None:
    store = Warehouse(path, thing(("code", "varchar"), ("size", "integer")), steps=())
    with pytest.raises(StoreError, match="no migration leads there"), store.connect():
        pass


def test_steps_are_numbered_without_gaps(tmp_path: Path) -> None:
    (tmp_path / "0002_one.sql").write_text("select 1", encoding="utf-8")
    (tmp_path / "0004_two.sql").write_text("select 1", encoding="utf-8")
    with pytest.raises(ValueError, match="must be numbered"):
        steps(tmp_path)


def test_every_command_that_a_message_of_the_store_names_exists() -> None:
    known = set(getattr(get_command(app), "commands", {}))
    room = Path(warehouse.__file__).parent
    for name in ("store.py", "landing.py", "backup.py"):
        named = re.findall(r"`mhwg ([a-z]+)", (room / name).read_text(encoding="utf-8"))
        assert set(named) <= known, (name, named)


@pytest.mark.parametrize("damage", ["header", "end"])
def test_a_damaged_store_is_recognised_and_says_to_go_back_to_a_backup(tmp_path, damage):
    """A header whose checksum differs comes from DuckDB as a plain Error; it used to end in a traceback."""
    store = Warehouse(tmp_path / "warehouse.duckdb")
    with store.connect():
        pass
    with store.path.open("r+b") as stream:
        if damage == "header":
            stream.seek(4096)
            stream.write(b"\x5a" * 8192)
        else:
            stream.truncate(store.path.stat().st_size // 8)
    with pytest.raises(StoreError, match="mhwg restore FILE --replace"), store.connect(read_only=True) as connection:
        connection.execute("select count(*) from ops.receipt")


def test_a_store_that_the_account_may_not_open_is_not_called_damaged(tmp_path, monkeypatch):
    store = Warehouse(tmp_path / "warehouse.duckdb")
    with store.connect():
        pass

    def refused(*_, **__):
        raise duckdb.IOException('IO Error: Cannot open file "warehouse.duckdb": Permission denied')

    monkeypatch.setattr(duckdb, "connect", refused)
    with pytest.raises(StoreError, match="may not be opened by this account") as told, store.connect():
        pass
    assert "restore" not in str(told.value)
