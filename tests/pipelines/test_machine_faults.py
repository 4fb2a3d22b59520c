"""Faults of the machine are recognised in what Python, DuckDB and SQLite really say, and told with what to do."""

import errno
import os
import sqlite3
import tempfile
from pathlib import Path

import duckdb
import pytest
import typer

from pipelines.alerts import run_failed
from pipelines.cli import call
from pipelines.failures import Exit
from pipelines.machine_faults import DAMAGED, NO_MEMORY, NO_RIGHTS, NO_ROOM, machine_sentence


def full_device():
    with open("/dev/full", "w") as stream:  # Linux's device on which no byte has room
        stream.write("x")


def full_for_duckdb():
    duckdb.connect().execute("copy (select range from range(100000)) to '/dev/full'")


def full_for_sqlite():
    database = sqlite3.connect(":memory:")
    database.execute("pragma max_page_count = 2")
    database.execute("create table t (x)")
    database.execute("insert into t select zeroblob(100000)")


def no_memory_for_duckdb():
    connection = duckdb.connect(config={"memory_limit": "2MB", "max_temp_directory_size": "0MB"})
    connection.execute("create table t as select range as a, repeat('x', 200) as b from range(1000000)")


def no_memory_for_python():
    bytearray(1 << 60)


def damaged_store():
    """A block is read whose bytes are no longer those that DuckDB wrote."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute("create table t as select range as a, md5(range::varchar) as b from range(100000)")
        with path.open("r+b") as stream:
            stream.seek(path.stat().st_size // 2)
            stream.write(b"\x5a" * 4096)
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("select sum(a), count(distinct b) from t").fetchall()


def no_rights():
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "somewhere")


def read_only_disk():
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), "somewhere")


def fault_of(work):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        work()
    return caught.value


FAULTS = [
    (full_device, NO_ROOM), (full_for_duckdb, NO_ROOM), (full_for_sqlite, NO_ROOM),
    (no_memory_for_duckdb, NO_MEMORY), (no_memory_for_python, NO_MEMORY),
    (damaged_store, DAMAGED), (no_rights, NO_RIGHTS), (read_only_disk, NO_RIGHTS),
]  # fmt: skip


@pytest.mark.parametrize(("work", "sentence"), FAULTS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_fault_of_the_machine_says_what_to_do(work, sentence, capsys):
    fault = fault_of(work)
    assert machine_sentence(type(fault).__name__, str(fault)) == sentence
    assert call(work) == Exit.REFUSED
    told = capsys.readouterr().err
    assert " ".join(told.split()) == sentence
    assert (
        sentence
        in run_failed("Office", "refresh_labour", "0123456789", "load_labour", type(fault).__name__, str(fault)).text
    )


def test_a_cause_behind_another_fault_is_found(capsys):
    def work():
        try:
            full_device()
        except OSError as fault:
            raise RuntimeError("the log could not be written") from fault

    assert call(work) == Exit.REFUSED
    assert "Make room" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault_class", "text"),
    [
        ("Failure", "vnm: the server says: permission denied; give the service user the right to read the data set."),
        ("OSError", "[Errno 111] Connection refused"),
        ("ValueError", "disk is full"),
    ],
)
def test_other_faults_keep_their_own_words(fault_class, text):
    assert machine_sentence(fault_class, text) is None


def test_a_bug_keeps_its_traceback():
    def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(work)
    assert call(lambda: (_ for _ in ()).throw(typer.Exit(7))) == 7
