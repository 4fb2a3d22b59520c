"""One opening of the store for the many questions of a step: what it shares, and when it lets go."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from warehouse.catalogue.table_catalogue import tables
from warehouse.store import StoreError, Warehouse

OPS = {name: table for name, table in tables().items() if table.schema_name == "ops"}


@pytest.fixture
def store(tmp_path: Path) -> Warehouse:
    made = Warehouse(tmp_path / "warehouse.duckdb", OPS)
    with made.connect():
        pass
    return made


@pytest.fixture
def openings(monkeypatch) -> list[bool]:
    """Every opening of the file, True for a reader's."""
    plain, seen = Warehouse._open, []
    monkeypatch.setattr(Warehouse, "_open", lambda self, read_only: seen.append(read_only) or plain(self, read_only))
    return seen


def opens_elsewhere(store: Warehouse) -> bool:
    """Whether another process can write to the file now."""
    script = f"import duckdb; duckdb.connect({str(store.path)!r}).close()"
    return subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_a_step_opens_the_file_once_and_others_have_it_again_afterwards(store, openings):
    with store.kept_open():
        assert opens_elsewhere(store)  # nothing has been asked yet
        for _ in range(3):
            with store.connect(read_only=True) as connection:
                assert connection.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
        with store.connect() as connection:
            connection.execute("create table ops.made_here (n integer)")
        assert not opens_elsewhere(store)
    assert openings == [False]
    assert opens_elsewhere(store)


def test_without_it_every_question_opens_the_file(store, openings):
    for _ in range(2):
        with store.connect(read_only=True):
            pass
    assert openings == [True, True]


def test_what_a_connection_did_not_commit_is_gone_with_it(store):
    with store.kept_open():
        with store.connect() as connection:
            connection.execute("begin")
            connection.execute("create table ops.left_behind (n integer)")
        with store.connect() as connection:
            assert not connection.execute("select 1 from duckdb_tables() where table_name = 'left_behind'").fetchall()


def test_after_a_fault_the_file_is_opened_anew(store, openings):
    with store.kept_open():
        with pytest.raises(duckdb.Error), store.connect() as connection:
            connection.execute("select no_such_column from ops.load")
        with store.connect(read_only=True) as connection:
            assert connection.execute("select count(*) from ops.load").fetchall() == [(0,)]
    assert len(openings) == 2


def test_a_store_that_does_not_exist_is_not_made_by_a_reader(tmp_path):
    store = Warehouse(tmp_path / "warehouse.duckdb", OPS)
    with store.kept_open():
        assert store.row_counts(["ops.load"]) == {}
        with pytest.raises(StoreError), store.connect(read_only=True):
            pass
    assert not store.exists
